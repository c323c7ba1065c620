"""Jobs on a cluster that Slurm shares out, handed over through submitit.

A sweep's jobs go in as arrays. A job that is preempted or comes to its time limit saves, is queued again by Slurm under
the same number and goes on from its checkpoint. Slurm is asked through ``squeue``, which needs no accounting.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from workbench.files import write_json
from workbench.jobs import provenance
from workbench.jobs.executors import GRACE, command
from workbench.jobs.executors.slurm_queue import Queue
from workbench.jobs.executors.slurm_worker import Worker, exit_status
from workbench.jobs.folder import read

SUBMISSION = "submission.json"  # in the job's folder: what a later scheduler finds the job by
MOST = 500  # jobs handed over at once; Slurm's own limit of an array is 1000 by default
LEAVING = 60.0  # seconds that Slurm may take to end a job that was cancelled (its KillWait is 30 by default)
SIGNAL_BEFORE = 90  # seconds before the time limit that a job is told to save
AGAIN = 1000  # how often a job may come to its time limit


class Slurm:
    """At most ``jobs`` at once, each with GPUs and CPUs of its own and ``minutes`` to run before it is queued again.

    ``cluster="local"`` runs them here through submitit, without Slurm and without GPUs. ImportError without submitit;
    ValueError where there is no Slurm, or for GPUs without it.
    """

    def __init__(self, *, jobs: int, gpus_per_job: int = 0, cpus_per_job: int = 1, partition: str | None = None,
                 minutes: int = 240, cluster: str = "slurm", every: float = 10.0,
                 command: Callable[[Path], list[str]] = command) -> None:
        self.executors = {"slurm": submitit().SlurmExecutor, "local": submitit().LocalExecutor}
        if cluster not in self.executors:
            raise ValueError(f"unknown cluster {cluster!r}: slurm or local")
        if cluster == "slurm" and self.executors["slurm"].affinity() <= 0:
            raise ValueError("there is no Slurm here (no srun): go to the cluster's login node, or use --on local")
        if cluster == "local" and gpus_per_job:
            raise ValueError("submitit without Slurm gives every job the same GPUs: use --on local")
        self.jobs, self.cluster, self.command, self.queue = jobs, cluster, command, Queue(every)
        self.settings: dict[str, Any] = {"timeout_min": minutes, "signal_delay_s": SIGNAL_BEFORE}
        if cluster == "slurm":
            self.settings = {"time": minutes, "signal_delay_s": SIGNAL_BEFORE, "cpus_per_task": cpus_per_job,
                             "gpus_per_node": gpus_per_job or None, "partition": partition}
        self.tasks: list[Submission] = []

    def room(self) -> bool:
        """Slurm keeps what waits; without it there is room for ``jobs``."""
        self.tasks = [task for task in self.tasks if task.look() is None]
        if len(self.tasks) < (self.jobs if self.cluster == "local" else MOST):
            return True
        self.hand_over()  # nothing may be asked for before there is room
        return False

    def submit(self, folder: Path) -> Submission:
        """The job is handed over with those that are submitted along with it, when one of them is first asked for."""
        task = Submission(self, folder)
        self.tasks.append(task)
        return task

    def hand_over(self) -> None:
        """Submit what was collected as one array, which runs as many at once as earlier ones leave."""
        waiting = [task for task in self.tasks if task.id is None and task.code is None]
        free = self.jobs - self.taken()
        if not waiting or free <= 0:
            return
        name = f"workbench-{secrets.token_hex(4)}"
        for index, task in enumerate(waiting):
            for old in (task.folder / ".submitit").glob("exit-*.json"):  # numbers of processes come again
                old.unlink()
            task.write(array=name, index=index, at_once=free)
        where = waiting[0].folder
        where = (where.parents[1] if where.parent.name == "jobs" else where) / ".submitit"
        executor = self.executors[self.cluster](where, max_num_timeout=AGAIN)
        names = {"job_name": name, "array_parallelism": free} if self.cluster == "slurm" else {}
        executor.update_parameters(**self.settings, **names)
        try:
            with outside():
                jobs = executor.submit_array([Worker(self.command(task.folder), task.folder.resolve())
                                              for task in waiting])
        except submitit().core.utils.FailedJobError as error:
            raise RuntimeError(f"Slurm refused the jobs: {str(error).strip().splitlines()[-1]}") from None
        for task, job in zip(waiting, jobs, strict=True):
            task.id, task.local = job.job_id, getattr(job, "_process", None)
            task.write(**task.facts, id=job.job_id, process=process(job.job_id) if task.local else None)

    def taken(self) -> int:
        """How many jobs the arrays that live may run at once."""
        live: dict[str, list[int]] = {}
        for task in self.tasks:
            if task.id is not None and task.code is None:
                live.setdefault(task.facts["array"], []).append(task.facts["at_once"])
        return sum(min(len(limits), limits[0]) for limits in live.values())

    def attach(self, folder: Path) -> Submission | None:
        try:
            facts = json.loads((folder / SUBMISSION).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if facts.get("on") != "slurm" or facts.get("cluster") != self.cluster:
            return None
        task = Submission(self, folder, facts)
        if self.cluster == "slurm":
            task.id = task.id or self.queue.find(facts["array"], facts["index"])
        if task.id is None or exit_status(folder, task.id) is not None or not task.lives(now=True):
            return None
        self.tasks.append(task)
        return task

    def close(self) -> None:
        left = [task for task in self.tasks if task.look() is None]
        for task in left:
            task.ask()
        for task in left:
            task.cancel()


class Submission:
    """A job in Slurm's hands; ``facts`` are what SUBMISSION holds of it."""

    def __init__(self, slurm: Slurm, folder: Path, facts: dict[str, Any] | None = None) -> None:
        self.slurm, self.folder, self.facts = slurm, folder, facts or {}
        self.id: str | None = self.facts.get("id")
        self.code: int | None = None
        self.asked, self.local = False, None

    def write(self, **facts: Any) -> None:
        self.facts = facts | {"on": "slurm", "cluster": self.slurm.cluster}
        write_json(self.folder / SUBMISSION, self.facts)

    def ended(self) -> int | None:
        if self.id is None and self.code is None:
            self.slurm.hand_over()
        return self.look()

    def look(self) -> int | None:
        if self.code is None and self.id is not None:
            self.code = exit_status(self.folder, self.id)
            if self.code is None and not self.lives():
                code = exit_status(self.folder, self.id)
                self.code = told(self.folder) if code is None else code
        return self.code

    def lives(self, now: bool = False) -> bool:
        """Whether Slurm (without it: this machine) still has the job."""
        if self.slurm.cluster == "slurm":
            return self.slurm.queue.has(str(self.id), now=now)
        if self.local is not None:
            return self.local.poll() is None
        return provenance.alive(self.facts.get("process") or {})

    def ask(self) -> None:
        """Tell Slurm to end the job: its process is sent SIGTERM, and killed after the cluster's KillWait."""
        if self.asked or self.code is not None:
            return
        self.asked = True
        if self.id is None:
            self.code = 130
        elif self.slurm.cluster == "slurm":
            with suppress(subprocess.SubprocessError, OSError):
                subprocess.run(["scancel", self.id], capture_output=True, timeout=30, check=False)
        else:
            with suppress(ProcessLookupError):
                os.kill(int(self.id), 15)

    def cancel(self) -> None:
        self.ask()
        end = time.monotonic() + LEAVING + GRACE
        while self.code is None and time.monotonic() < end:
            if not self.lives(now=True):
                self.code = told(self.folder) if self.look() is None else self.code
            time.sleep(0.2)


@contextmanager
def outside() -> Iterator[None]:
    """Hide the job that we may run in ourselves, but not where Slurm is found."""
    kept = {name: os.environ[name] for name in ("SLURM_CONF", "SLURM_CLUSTERS") if name in os.environ}
    with submitit().helpers.clean_env():
        os.environ.update(kept)
        yield


def told(folder: Path) -> int:
    """The exit status that a job's folder tells of, where nobody else can: Slurm only knows that it is gone."""
    try:
        return {"succeeded": 0, "killed": 130, "failed": 1}.get(read(folder)["status"], -9)
    except ValueError:
        return 1


def process(number: str) -> dict[str, Any]:
    return provenance.process() | {"id": int(number), "began": provenance.began(int(number))}


def submitit() -> Any:
    try:
        import submitit
    except ImportError:
        raise ImportError('--on slurm needs submitit: pip install "distillation-workbench[slurm]"') from None
    return submitit
