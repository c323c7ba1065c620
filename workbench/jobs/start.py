"""``workbench run``: a job prepared, given a folder and worked on here; or one that was cut off, gone on with."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.jobs import folder as folders
from workbench.jobs import secrets
from workbench.jobs.notebook import Job, prepare
from workbench.jobs.work import lay, same, work


def start(name: str, *, given: Mapping[str, Any] | None = None, typed: Mapping[str, str] | None = None,
          seed: int | None = None, out: Path | None = None, **how: Any) -> tuple[str, Path]:
    """Run a notebook, or go on with a run's folder: (status, the folder).

    Raises ValueError, before any kernel, for a bad name or parameter and for a folder that holds something else.
    """
    if (Path(name) / "run.json").is_file():
        if given or typed or seed is not None or out or any(how.values()):
            raise ValueError(f"{name} is a run's folder and says how it is run: give nothing else, or a notebook")
        folder = Path(name)
    else:
        folder = placed(prepare(name, given=given, typed=typed, seed=seed), out, how)
    print(f"run folder: {folder}", file=sys.stderr, flush=True)
    status = work(folder)
    from workbench.jobs.report import report

    print(f"report: {report(folder)}", flush=True)
    return status, folder


def placed(job: Job, out: Path | None, how: dict[str, Any]) -> Path:
    """A new folder for the job, or ``out`` where that holds this very job already."""
    if out is not None and (out / "run.json").is_file():
        record = folders.load(out)
        if "notebook_sha256" not in record:
            raise ValueError(f"{out} exists and is not an empty folder: name another with --out")
        same(job, record)
        return out
    secrets.keep_out(how.get("secrets"), job.notebook, job.parameters)
    return lay(job, folders.make(job.stem, out), **how)
