"""Jobs as processes of this machine, so many at once, each with GPUs of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from workbench.jobs import provenance
from workbench.jobs.executors import GRACE, LOG, command


class Local:
    """At most ``jobs`` processes; each gets ``gpus_per_job`` of ``gpus`` (indices; by default those of the machine).

    The process sees its GPUs alone from its first moment. With ``gpus_per_job`` 0 nothing about GPUs is changed.
    ValueError where a job asks for more GPUs than there are.
    """

    def __init__(self, *, jobs: int, gpus_per_job: int = 0, gpus: Sequence[str] | None = None,
                 command: Callable[[Path], list[str]] = command) -> None:
        self.jobs, self.each, self.command = jobs, gpus_per_job, command
        self.gpus = visible() if gpus is None else list(gpus)
        if gpus_per_job > len(self.gpus):
            raise ValueError(f"a job asks for {gpus_per_job} GPUs and this machine has {len(self.gpus)}: "
                             "lower --gpus-per-job")
        self.tasks: list[Process] = []

    def room(self) -> bool:
        self.tasks = [task for task in self.tasks if task.ended() is None]
        return len(self.tasks) < self.jobs and len(self.free()) >= self.each

    def free(self) -> list[str]:
        taken = {gpu for task in self.tasks for gpu in task.gpus}
        return [gpu for gpu in self.gpus if gpu not in taken]

    def submit(self, folder: Path) -> Process:
        if not self.room():
            raise RuntimeError(f"all {self.jobs} slots are taken: ask room() first")
        task = Process(self.command(folder), folder, self.free()[: self.each])
        self.tasks.append(task)
        return task

    def attach(self, folder: Path) -> None:
        """Nothing: a job ends with the scheduler that started it."""

    def close(self) -> None:
        ask = [task for task in self.tasks if task.ended() is None]
        for task in ask:
            task.ask()
        for task in ask:
            task.cancel()


class Process:
    """A job's process, in a session of its own; ``settings`` are those of ``subprocess.Popen``."""

    def __init__(self, command: list[str], folder: Path, gpus: Sequence[str] = (), **settings: Any) -> None:
        self.gpus, self.asked = list(gpus), None
        own = {"WORKBENCH_PARENT": str(os.getpid())} | ({"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {})
        own = {**settings.pop("env", os.environ), **own}
        with open(folder / LOG, "ab") as log, heard(signal.SIGINT):
            self.popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                          start_new_session=True, env=own, **settings)

    def ended(self) -> int | None:
        return self.popen.poll()

    def ask(self) -> None:
        """SIGTERM: the job interrupts its cell, a training saves, and it ends."""
        if self.asked is None and self.ended() is None:
            self.asked = time.monotonic()
            self.popen.send_signal(signal.SIGTERM)

    def cancel(self, grace: float = GRACE) -> None:
        family = members(self.popen.pid)
        self.ask()
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(max(0.0, grace - (time.monotonic() - (self.asked or 0.0))))
        for process in {*family, *members(self.popen.pid)}:
            with suppress(psutil.Error):
                process.kill()
        self.popen.wait()


@contextmanager
def heard(number: signal.Signals) -> Iterator[None]:
    """Let processes that are started meanwhile hear a signal that we block (Ray's workers do): it interrupts a cell."""
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def members(pid: int) -> list[psutil.Process]:
    """A process and all that it started and that still lives."""
    try:
        head = psutil.Process(pid)
        return [head, *head.children(recursive=True)]
    except psutil.Error:
        return []


def visible() -> list[str]:
    """Indices of the GPUs that this process may use."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [one.strip() for one in chosen.split(",") if one.strip()]
    return [str(index) for index in range(len(provenance.gpus()))]
