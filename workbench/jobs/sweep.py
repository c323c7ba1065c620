"""Many jobs of one notebook in one folder: what is done is skipped, what was cut off goes on, failures stop nobody.

``<sweep>/sweep.json`` says what is to be run, ``<sweep>/jobs/<key>/`` holds each job, by its content address. The same
command finds the same folder and does what is left.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.files import sealed, write_json
from workbench.jobs import folder as folders
from workbench.jobs.executors import TAKEN, Executor, Task
from workbench.jobs.notebook import Job
from workbench.jobs.work import lay
from workbench.record.sweep import FORMAT

PAUSE = 0.02  # seconds between two looks at the tasks
LOST = ("the kernel died", "the kernel did not start")  # errors that another attempt may be spared


class Sweep:
    """The jobs of a sweep, its folder and how far each is. ``jobs``: (job, its varied values)."""

    def __init__(self, jobs: Sequence[tuple[Job, dict[str, Any]]], out: Path | None = None, **how: Any) -> None:
        self.folder = out or Path("runs") / f"sweep-{jobs[0][0].stem}-{address(jobs)}"
        self.jobs = {self.folder / "jobs" / job.key: (job, varied) for job, varied in jobs}
        self.how, self.started, self.asked = how, folders.now(), False  # asked: to end, between two looks
        self.state: dict[Path, str] = {folder: standing(folder) for folder in self.jobs}
        self.before = {folder for folder, status in self.state.items() if status == "succeeded"}

    def lay_out(self) -> None:
        """Write every job's folder, so that all that is to be done can be seen, and sweep.json."""
        for folder, (job, _) in self.jobs.items():
            if self.state[folder] == "missing":
                folder.mkdir(parents=True, exist_ok=True)
                lay(job, folder, **self.how)
                self.state[folder] = "queued"
        self.tell("running")

    def tell(self, status: str, **facts: Any) -> None:
        """Write sweep.json."""
        (first, _) = next(iter(self.jobs.values()))
        rows = [{"folder": folder.relative_to(self.folder).as_posix(), "varied": varied}
                for folder, (_, varied) in self.jobs.items()]
        write_json(self.folder / "sweep.json", sealed({
            "format": FORMAT, "status": status, "notebook": f"{first.stem}.ipynb", "notebook_sha256": first.sha256,
            "started": self.started, **self.how, **facts, "jobs": rows}))

    def run(self, executor: Executor, retries: int = 1, told: Callable[[Sweep], None] = lambda sweep: None) -> str:
        """Run what is left, each job at most ``1 + retries`` times; ``told(self)`` is called over and over.

        Returns "succeeded", or "failed" where a job failed. Ctrl-C saves and ends what runs, and is raised again.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with folders.alone(self.folder):
            began = time.monotonic()
            self.lay_out()
            pages = ThreadPoolExecutor(1)  # beside the jobs: an import of nbconvert would keep a slot empty
            try:
                for folder in self.before:
                    if not any(folder.glob("*.html")):  # its scheduler was killed
                        pages.submit(write_page, folder)
                self.work_through(executor, retries, told, lambda folder: pages.submit(write_page, folder))
                pages.shutdown()
            except BaseException:
                executor.close()
                pages.shutdown(cancel_futures=True)
                self.tell("stopped", ended=folders.now(), seconds=round(time.monotonic() - began, 2))
                raise
            executor.close()
            status = "succeeded" if all(one == "succeeded" for one in self.state.values()) else "failed"
            self.tell(status, ended=folders.now(), seconds=round(time.monotonic() - began, 2))
        return status

    def work_through(self, executor: Executor, retries: int, told: Callable[[Sweep], None],
                     ended: Callable[[Path], Any]) -> None:
        """Until nothing waits or runs; ``ended(folder)`` is called for each job that will not be tried again."""
        waiting = deque(folder for folder, status in self.state.items() if status not in ("succeeded", "broken"))
        tasks: dict[Path, Task] = {}
        tries = dict.fromkeys(waiting, 0)
        for folder in list(waiting):
            task = executor.attach(folder)
            if task is not None:
                waiting.remove(folder)
                tasks[folder] = task
        while waiting or tasks:
            for folder, task in list(tasks.items()):
                code = task.ended()
                if code is None:
                    continue
                del tasks[folder]
                tries[folder] += code != TAKEN
                self.state[folder], again = ("queued", True) if code == TAKEN else outcome(folder, code)
                if again and tries[folder] <= retries:
                    waiting.append(folder)
                else:
                    ended(folder)
            while waiting and executor.room():
                folder = waiting.popleft()
                tasks[folder] = executor.submit(folder)
                self.state[folder] = "running"
            told(self)
            if self.asked:
                raise KeyboardInterrupt
            time.sleep(PAUSE)


def write_page(folder: Path) -> None:
    """The HTML of a job that ended. It is a copy: where it cannot be written, that is told and stops nobody."""
    try:
        from workbench.jobs.report import report

        report(folder)
    except Exception as problem:
        with suppress(OSError):
            folders.event(folder, "no report", error=f"{type(problem).__name__}: {problem}")


def address(jobs: Sequence[tuple[Job, dict[str, Any]]]) -> str:
    """What the folder is called by default: a hash of notebook and settings, the same after an update of the code."""
    content = json.dumps([[job.sha256, job.parameters] for job, _ in jobs], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:8]


def standing(folder: Path) -> str:
    """A job's status as its folder tells it; ``missing`` where none was laid out, ``broken`` where it was altered."""
    if not (folder / "run.json").is_file():
        return "missing"
    try:
        record = folders.read(folder)
    except ValueError:
        return "broken"
    return "broken" if record["status"] == "succeeded" and folders.altered(folder, record) else record["status"]


def outcome(folder: Path, code: int) -> tuple[str, bool]:
    """(status, whether another attempt may end otherwise) of an attempt that ended with this exit status.

    An error of a cell's own would come again; a killed process or kernel need not.
    """
    try:
        record = folders.read(folder)
    except ValueError:
        return "failed", False
    status = record["status"]
    if status == "succeeded":
        return (status, False) if code == 0 else ("killed", True)
    if status in ("running", "queued"):  # its process is gone, wherever it was
        status = "killed"
    return status, status == "killed" or (record["error"] or "").startswith(LOST)
