"""A job's folder laid out, and worked on to its end: by ``workbench run`` itself or by an executor's process.

The folder holds run.json, the notebook (executed in place, saved whole after every cell) and its HTML, events.jsonl,
and whatever the cells write under ``WORKBENCH_RUN_FOLDER``. Work that was cut off goes on in the same folder: cells are
run again, and a training cell goes on from its checkpoint.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.files import write_json
from workbench.jobs import cost, provenance, secrets
from workbench.jobs import folder as folders
from workbench.jobs.notebook import Job, load, original
from workbench.jobs.parameters import BadParameter, read, settle

KEPT = ("threads", "processes", "shard", "cell_timeout", "secrets", "parent")  # facts of how a job is to be run


def lay(job: Job, folder: Path, **how: Any) -> Path:
    """Write a queued job into an empty folder: the notebook without outputs, and run.json. ``how``: names of KEPT.

    ValueError where a secret stands in the notebook or in a parameter.
    """
    secrets.keep_out(how.get("secrets"), job.notebook, job.parameters)
    write_json(folder / f"{job.stem}.ipynb", original(job.notebook))
    folders.write(folder, {
        "format": folders.FORMAT, "status": "queued", "notebook": f"{job.stem}.ipynb", "notebook_sha256": job.sha256,
        "parameters": job.parameters, "given": list(job.given), "seed": job.parameters.get("seed"), "key": job.key,
        "laid": folders.now(), "started": None, "ended": None, "seconds": None, "error": None, "attempts": 0,
        **{name: how.get(name) for name in KEPT},
    })
    return folder


def same(job: Job, record: Mapping[str, Any]) -> None:
    """ValueError, naming the first difference, where a folder's record is of another notebook or other parameters."""
    if record["notebook_sha256"] != job.sha256:
        raise ValueError(f"that folder holds a run of another {record['notebook']}: name another with --out")
    for name, value in json.loads(json.dumps(job.parameters)).items():
        other = record["parameters"].get(name)
        if other != value:
            raise ValueError(f"that folder holds a run with {name} = {other!r}, not {value!r}: name another with --out")


def work(folder: Path) -> str:
    """Run the job of a folder to its end and return its status; a job that has succeeded is left as it is.

    Raises ValueError for a folder without a job that can be run or a secret that is not set, and Taken where another
    process is at it.
    """
    with folders.alone(folder):
        record = folders.load(folder)
        if record["status"] == "succeeded":
            return "succeeded"
        redactor = secrets.Redactor(secrets.values(record.get("secrets")))
        values = injected(folder, record)
        if record["attempts"]:
            shutil.rmtree(folder / "figures", ignore_errors=True)  # the cells draw them again
        folders.write(folder, record, status="running", started=record["started"] or folders.now(), ended=None,
                      error=None, attempts=record["attempts"] + 1, process=provenance.process(),
                      versions=provenance.versions(), commit=provenance.commit(), code=provenance.code_digest(),
                      machine=provenance.machine(), lock=provenance.lock())
        folders.event(folder, "started", attempt=record["attempts"])
        with secrets.hushed(redactor):
            return finish(folder, record, values, redactor)


def injected(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """The given values, checked once more against the folder's own notebook: run.json may have been edited."""
    if not {"notebook", "parameters", "given", "attempts"} <= record.keys():
        raise ValueError(f"{folder} is a training's folder, not a job's: name the folder above it")
    notebook = original(load(folder / record["notebook"]))
    if provenance.sources_digest(notebook) != record["notebook_sha256"]:
        raise ValueError(f"{folder / record['notebook']} was altered since the run began: start the run anew")
    try:
        return settle(read(notebook), {name: record["parameters"][name] for name in record["given"]}, {})
    except KeyError as name:
        raise BadParameter(f"{folder / 'run.json'} gives {name} no value: start the run anew") from None


def finish(folder: Path, record: dict[str, Any], values: dict[str, Any], redactor: secrets.Redactor) -> str:
    """Execute and close run.json with the true status, which is returned."""
    began, status, error = time.monotonic(), "failed", None
    before = record.get("seconds") or 0.0
    try:
        execute(folder, record, values, redactor)
        status = "succeeded"
    except KeyboardInterrupt:
        status, error = "killed", "interrupted twice: the running cell was given up"
    except Exception as problem:
        from workbench.jobs.engine import Interrupted

        status = "killed" if isinstance(problem, Interrupted) else "failed"
        error = redactor.text(sentence(problem))
    except BaseException:
        status, error = "killed", "the process was asked to exit"
        raise
    finally:
        seconds = round(before + time.monotonic() - began, 2)
        folders.event(folder, "ended", status=status, error=error)
        told = cost.closing(folder, record, seconds) | {"warnings": redactor.folder(folder)}
        told["files"] = folders.manifest(folder)
        folders.write(folder, record, status=status, error=error, ended=folders.now(), seconds=seconds,
                      **redactor.all(told))
    if error:
        print(f"{status}: {error}", file=sys.stderr, flush=True)
    return status


def execute(folder: Path, record: dict[str, Any], values: dict[str, Any], redactor: secrets.Redactor) -> None:
    # jsonschema builds a grammar of URIs with this, where it is there, in 1.4 s of every process; a notebook has none
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    import nbformat
    import papermill

    from workbench.jobs.engine import register

    register()
    path = folder / record["notebook"]
    fresh = nbformat.reads(json.dumps(original(load(path))), as_version=4)
    with environment(**variables(folder, record)):
        papermill.execute_notebook(fresh, None, parameters=values,
                                   engine_name="workbench", kernel_name="python3", language="python",
                                   progress_bar=False, record_path=path, record=record, redactor=redactor,
                                   cell_timeout=record.get("cell_timeout"), stdout_file=sys.stderr,
                                   stderr_file=sys.stderr)


def variables(folder: Path, record: Mapping[str, Any]) -> dict[str, str]:
    """What the kernel is told by its environment."""
    found = {"WORKBENCH_HEADLESS": "1", "WORKBENCH_RUN_FOLDER": str(folder.resolve()), "MPLBACKEND": "Agg"}
    if record.get("threads"):
        found["OMP_NUM_THREADS"] = str(record["threads"])
    if record.get("processes"):
        found["WORKBENCH_PROCESSES"] = str(record["processes"])
    if record.get("shard"):
        found["WORKBENCH_SHARD"] = "1"
    return found


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set variables for the kernel to inherit, and put the old ones back."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def sentence(problem: Exception) -> str:
    """One line for a person: a cell's own error, or what happened to its kernel."""
    kind, text = getattr(problem, "ename", "") or type(problem).__name__, getattr(problem, "evalue", "") or str(problem)
    if kind == "DeadKernelError":
        return "the kernel died (out of memory, or killed from outside); finished cells are kept"
    if kind == "CellTimeoutError":
        return "a cell ran past its time limit; finished cells are kept"
    if "Kernel didn't respond" in text or "Kernel died before" in text:
        return "the kernel did not start: is ipykernel installed here, and memory left? `workbench doctor` looks"
    return f"{kind}: {text.strip().splitlines()[0] if text.strip() else 'no message'}"
