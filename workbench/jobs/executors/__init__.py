"""Executors: where a job's process runs. Each starts ``python -m workbench.run FOLDER`` and knows nothing of notebooks.

The folder's word beats the executor's: a job has succeeded if its exit status is 0 and its run.json says so.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, get_type_hints

from workbench.naming import unknown

EXECUTORS = {
    "local": "workbench.jobs.executors.local:Local",
    "slurm": "workbench.jobs.executors.slurm:Slurm",
    "ray": "workbench.jobs.executors.ray:Ray",
}
LOG = "log.txt"  # in the job's folder: what its process printed, in every attempt
TAKEN = 75  # exit status of a job that another process still works on: of a scheduler that was just killed, it may be
GRACE = 10.0  # seconds between asking a job to end (it saves) and killing it


class Task(Protocol):
    """One attempt at a job, from submission to end."""

    def ended(self) -> int | None:
        """The exit status once the attempt is over (negative: killed by that signal), None before. Never waits."""
        ...

    def cancel(self) -> None:
        """Ask the attempt to save and end, kill it and all that it started after GRACE; returns when it is over."""
        ...


class Executor(Protocol):
    """A place that runs jobs; made with ``jobs`` at once, ``gpus_per_job`` and options of its own."""

    def room(self) -> bool:
        """Whether a job submitted now would start, or at least wait elsewhere than with us."""
        ...

    def submit(self, folder: Path) -> Task:
        """Start an attempt at the job of this folder, its output appended to LOG there."""
        ...

    def attach(self, folder: Path) -> Task | None:
        """The attempt that an earlier, killed scheduler submitted, if it still waits or runs."""
        ...

    def close(self) -> None:
        """Cancel what still runs and let go of everything."""
        ...


def executor(name: str, *, jobs: int, gpus_per_job: int = 0, **options: Any) -> Executor:
    """The executor called ``name``; its own ``options`` may be texts, as the command line has them.

    ValueError for an unknown name or option and for a value that does not fit; ImportError, naming the extra, where
    what it needs is not installed.
    """
    if name not in EXECUTORS:
        raise ValueError(unknown("executor", name, EXECUTORS))
    module, _, attribute = EXECUTORS[name].partition(":")
    kind = getattr(import_module(module), attribute)
    hints = get_type_hints(kind.__init__)
    known = hints.keys() - {"jobs", "gpus_per_job", "return"}
    for option in options.keys() - known:
        raise ValueError(unknown(f"option of {name}", option, known))
    return kind(jobs=jobs, gpus_per_job=gpus_per_job,
                **{option: converted(option, value, hints[option]) for option, value in options.items()})


def converted(option: str, value: Any, hint: Any) -> Any:
    """An option as its type wants it: "60" as a number, "0,1" as a list."""
    from pydantic import TypeAdapter, ValidationError

    parts = value.split(",") if isinstance(value, str) and "Sequence" in str(hint) else value
    try:
        return TypeAdapter(hint).validate_python(parts)
    except ValidationError as error:
        raise ValueError(f"option {option}={value}: {error.errors()[0]['msg'].removeprefix('Input ')}") from None


def command(folder: Path) -> list[str]:
    """What runs the job of a folder, here or on another machine that sees it."""
    import sys

    return [sys.executable, "-m", "workbench.run", str(folder.resolve())]
