"""Run a notebook as a job: find it, check its parameters, execute it, leave a folder that says what happened.

The folder holds run.json, the executed notebook and its HTML, and whatever the cells write under
``WORKBENCH_RUN_FOLDER``. It exists from the first second, and ``status`` in run.json tells the rest.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench import benches
from workbench.files import write_json
from workbench.jobs import folder as folders
from workbench.jobs.parameters import BadParameter, read, settle
from workbench.naming import unknown
from workbench.papers import catalogue, chosen

STATUSES = ("running", "succeeded", "failed", "killed")


def shipped() -> dict[str, Path]:
    """The notebooks that come with the package, by name: of the checkout, or packed in the wheel."""
    package = Path(__file__).resolve().parents[1]
    for place in (package.parent / "notebooks", package / "notebooks"):
        found = {path.stem: path for path in sorted(place.glob("*.ipynb"))}
        if found:
            return found
    return {}


def find(name: str) -> Path:
    """The notebook called ``name``: a path, or the name of one that is shipped; ValueError with the nearest."""
    path = Path(name)
    if path.suffix == ".ipynb" and path.is_file():
        return path.resolve()
    known = shipped()
    if name in known:
        return known[name]
    raise ValueError(unknown("notebook", name, known) + " (or give the path of an .ipynb file)")


def load(path: Path) -> tuple[dict[str, Any], str]:
    """(the notebook as JSON, its sha256); ValueError when the file is no notebook."""
    data = path.read_bytes()
    try:
        notebook = json.loads(data)
        notebook["cells"][:0]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path.name} is not a notebook of format 4: open and save it in JupyterLab") from None
    return notebook, hashlib.sha256(data).hexdigest()


def run(name: str, *, given: Mapping[str, Any] | None = None, typed: Mapping[str, str] | None = None,
        seed: int | None = None, out: Path | None = None, cell_timeout: float | None = None) -> tuple[str, Path]:
    """Execute a notebook: (status, its folder). ValueError, before any kernel, for a bad name or parameter."""
    path = find(name)
    notebook, digest = load(path)
    parameters = read(notebook)
    typed = dict(typed or {})
    if seed is not None:
        if "seed" not in parameters:
            raise BadParameter(f"{path.name} has no parameter seed: leave --seed out")
        typed["seed"] = str(seed)
    values = settle(parameters, given or {}, typed)
    everything = {one.name: values.get(one.name, one.default) for one in parameters.values()}
    check_names(everything)
    folder = folders.make(path.stem, out)
    record = folders.born(path, digest, everything, values)
    write_json(folder / "run.json", record)
    print(f"run folder: {folder}", file=sys.stderr, flush=True)
    return finish(path, folder, record, values, cell_timeout), folder


def check_names(values: Mapping[str, Any]) -> None:
    """Refuse, before a kernel starts, an unknown name in a parameter called ``bench``, ``paper`` or ``..._method``."""
    for name, value in values.items():
        kind = name.rpartition("_")[2]
        if not isinstance(value, str):
            continue
        if kind == "method":
            chosen.check(value)
        elif kind == "bench" and value not in benches.BENCHES:
            raise BadParameter(unknown("bench", value, benches.BENCHES))
        elif kind == "paper":
            catalogue.find(value)


def finish(path: Path, folder: Path, record: dict[str, Any], values: dict[str, Any], cell_timeout: float | None) -> str:
    """Execute, close run.json with the true status and write the HTML of whatever was reached; returns the status."""
    began, status, error = time.monotonic(), "failed", None
    executed = folder / path.name
    try:
        execute(path, executed, folder, values, cell_timeout)
        status = "succeeded"
    except KeyboardInterrupt:
        status, error = "killed", "interrupted twice: the running cell was given up"
    except Exception as problem:
        from workbench.jobs.engine import Interrupted

        status, error = ("killed" if isinstance(problem, Interrupted) else "failed"), sentence(problem)
    except BaseException:
        status, error = "killed", "the process was asked to exit"
        raise
    finally:
        folders.close(folder, record, status, error, time.monotonic() - began)
    if error:
        print(f"{status}: {error}", file=sys.stderr, flush=True)
    if executed.exists():
        from workbench.jobs.report import write_html

        print(f"report: {write_html(executed, f'{path.stem} ({status})')}", flush=True)
    return status


def execute(path: Path, executed: Path, folder: Path, values: dict[str, Any], cell_timeout: float | None) -> None:
    import papermill
    from papermill.engines import papermill_engines

    from workbench.jobs.engine import WorkbenchEngine

    papermill_engines.register("workbench", WorkbenchEngine)
    with environment(WORKBENCH_HEADLESS="1", WORKBENCH_RUN_FOLDER=str(folder.resolve()), MPLBACKEND="Agg"):
        import nbformat

        papermill.execute_notebook(nbformat.read(path, as_version=4), None, parameters=values, engine_name="workbench",
                                   kernel_name="python3", language="python", progress_bar=False,
                                   record_path=executed, cell_timeout=cell_timeout, stdout_file=sys.stderr,
                                   stderr_file=sys.stderr)


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
    return f"{kind}: {text.strip().splitlines()[0] if text.strip() else 'no message'}"
