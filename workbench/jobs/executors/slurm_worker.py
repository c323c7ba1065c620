"""What runs under Slurm: the job's process, and what to do when Slurm asks it to leave."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

from workbench.files import write_json
from workbench.jobs.executors import GRACE
from workbench.jobs.executors.local import Process

SAVING = 60.0  # seconds that a job has to save before its time is up


class Worker:
    """Runs the job of a folder to its end and leaves its exit status there. Slurm sends SIGTERM to end it for good (or
    to preempt it), SIGUSR2 to have it saved and queued again.

    Slurm sends its signals to a job's every process; those that the job starts are deaf to them, and told by us.
    """

    def __init__(self, command: list[str], folder: Path) -> None:
        self.command, self.folder, self.left = command, folder, 0.0
        self.process: Process | None = None

    def __call__(self) -> int:
        import submitit

        signal.signal(signal.SIGTERM, self.leave)
        self.process = Process(deaf(self.command), self.folder)
        while (code := self.process.ended()) is None:
            if self.left and time.monotonic() - self.left > GRACE:
                self.process.cancel()
            time.sleep(0.05)
        if self.left:
            raise SystemExit(128 + signal.SIGTERM)  # without a word: one that was preempted comes back
        path = exit_file(self.folder, submitit.JobEnvironment().job_id)
        path.parent.mkdir(exist_ok=True)
        write_json(path, {"exit": code})
        return code

    def leave(self, *_: Any) -> None:
        self.left = self.left or time.monotonic()
        if self.process is not None:
            self.process.ask()

    def checkpoint(self) -> Any:
        """What submitit calls on SIGUSR2: the job saves and ends, and is to be submitted again."""
        import submitit

        if self.process is not None:
            self.process.cancel(SAVING)
        return submitit.helpers.DelayedSubmission(Worker(self.command, self.folder))


def deaf(command: list[str]) -> list[str]:
    """The command, with SIGTERM and SIGUSR2 ignored until it listens to them itself, as its cells' runner does."""
    return ["/bin/sh", "-c", 'trap "" TERM USR2; exec "$@"', "sh", *command]


def exit_file(folder: Path, job: str) -> Path:
    return folder / ".submitit" / f"exit-{job}.json"


def exit_status(folder: Path, job: str) -> int | None:
    """What the worker left; None where it has not ended, or not by itself."""
    try:
        return json.loads(exit_file(folder, job).read_text(encoding="utf-8"))["exit"]
    except (OSError, ValueError):
        return None
