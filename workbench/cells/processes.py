"""A training shared by several processes, as the kernel sees it: they are started, followed and ended from here.

``accelerate launch`` starts them; what each does is ``workbench.jobs.ranks``. They hold the reading end of a pipe whose
other end is this process's alone: whatever happens to it, they see it go, save and end.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from workbench.files import write_json
from workbench.record.control import command
from workbench.record.store import Store
from workbench.record.tail import Tail, standing
from workbench.train.checkpoint import checkpoints, restore
from workbench.train.divergence import Diverged
from workbench.train.run import Run
from workbench.types import Stepped

LOOK = 0.1  # seconds between two looks at the record
PATIENCE = 60.0  # seconds that a stop may take: the step that runs, and a checkpoint
ENDING = 15.0  # seconds in which processes that were left alone have ended by themselves


def wanted() -> int:
    """Over how many processes this job's trainings are shared (``workbench run --processes``)."""
    return int(os.environ.get("WORKBENCH_PROCESSES") or 1)


def share(batch_size: int, processes: int) -> int:
    """Samples of a batch for each process; ValueError when they cannot be shared out evenly."""
    if batch_size % processes:
        raise ValueError(f"batch_size = {batch_size} cannot be shared by {processes} processes: "
                         f"use a multiple of {processes}")
    return batch_size // processes


def shared(run: Run, recipe: dict[str, Any], processes: int, **options: Any) -> Iterator[Stepped]:
    """``session(run, recipe, **options)`` in so many processes: yields the steps that are recorded, then the run is
    brought to where they left it.

    Interrupting stops the training and saves it. Raises Diverged as the loop does, and RuntimeError with the training's
    own sentence when it failed, or one that says what to do when a process was lost.
    """
    if run.blocks % processes:
        raise ValueError(f"a run of {run.blocks} micro-batches a step cannot be shared by {processes} processes: "
                         "use a divisor, or run it without --processes")
    folder = Path(run.folder or "")
    folder.mkdir(parents=True, exist_ok=True)
    ended(folder)  # those of a kernel that was killed may still be saving
    began = time.time()
    with tempfile.TemporaryDirectory(prefix="workbench-") as meeting, open(folder / "processes.log", "wb") as log:
        write_json(folder / "processes.json", {"recipe": recipe, "options": options, "cpu": on_cpu(processes),
                                               "meeting": f"{meeting}/ranks",
                                               "shard": bool(os.environ.get("WORKBENCH_SHARD"))})
        launcher = subprocess.Popen(command_line(folder, processes), env=environment(processes, meeting), stdout=log,
                                    stdin=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            yield from followed(folder, launcher)
        except KeyboardInterrupt:
            stop(folder, launcher)
            raise
        finally:
            with suppress(OSError):
                launcher.stdin.close()
            launcher.wait()
            ended(folder)
    judge(folder, launcher.returncode, began)
    restore(run)


def command_line(folder: Path, processes: int) -> list[str]:
    """``accelerate launch`` with everything said, so that a person's own default configuration does not matter.

    Its ``--cpu`` starts one process alone; ``--multi_gpu`` starts several, with gloo where there are no GPUs. They find
    each other through files: torch's own store would listen to the whole network.
    """
    said = {"num_processes": processes, "num_machines": 1, "machine_rank": 0, "main_process_ip": "127.0.0.1",
            "main_process_port": 0, "rdzv_backend": "c10d", "rdzv_conf": "store_type=file",
            "mixed_precision": "no", "dynamo_backend": "no", "gpu_ids": "all"}
    options = [part for name, value in said.items() for part in (f"--{name}", str(value))]
    return [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", *options,
            "-m", "workbench.jobs.ranks", str(folder.resolve())]


def environment(processes: int, meeting: str) -> dict[str, str]:
    """This process's environment with its threads shared out, a folder for passing files, loopback alone to talk over.
    """
    threads = max(1, torch.get_num_threads() // processes)
    found = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1", "TMPDIR": meeting,
             "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
             "ACCELERATE_USE_CPU": str(on_cpu(processes)).lower()}
    with suppress(StopIteration, OSError):
        loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
        found |= {"GLOO_SOCKET_IFNAME": loopback, "NCCL_SOCKET_IFNAME": loopback}
    return found


def on_cpu(processes: int) -> bool:
    """Whether there are too few GPUs to give each process one."""
    return torch.cuda.device_count() < processes


def followed(folder: Path, launcher: subprocess.Popen) -> Iterator[Stepped]:
    """Each step recorded from now on, until the launcher has ended; those before the last checkpoint are old."""
    tail, step = Tail(folder), max((int(path.stem) for path in checkpoints(folder)), default=0)
    tail.poll()
    while True:
        over = launcher.poll() is not None
        for event in tail.poll().events:
            if event["kind"] == "step" and event["step"] > step:
                step = event["step"]
                yield Stepped(step, event["act"], event["act_step"], ())
        if over:
            return
        time.sleep(LOOK)


def stop(folder: Path, launcher: subprocess.Popen) -> None:
    """Have the training stop and save; those who have not begun are ended by the pipe."""
    if (standing(folder).state or {}).get("status") in ("running", "paused"):
        command(folder, "stop")
        with suppress(subprocess.TimeoutExpired):
            launcher.wait(PATIENCE)


def ended(folder: Path) -> None:
    """Wait until no process writes the folder any more; one that goes on is no child of ours, and will be refused."""
    until = time.monotonic() + ENDING
    while (standing(folder).state or {}).get("status") in ("running", "paused") and time.monotonic() < until:
        time.sleep(LOOK)


def judge(folder: Path, code: int, began: float) -> None:
    """Raise what ended the training, if it was no plain end; a loss of processes is told in run.json, too."""
    state = standing(folder).state or {}
    mine = state.get("updated", 0) >= began
    if code == 0 and mine and state["status"] in ("finished", "stopped"):
        return
    if mine and state["status"] == "diverged":
        raise Diverged(state["error"])
    if mine and state["status"] == "failed":
        raise RuntimeError(state["error"])
    log = folder / "processes.log"
    lost = f"a process of this training was killed; run again to go on from its last checkpoint (see {log})"
    if mine and state["status"] == "lost":
        Store(folder).end("failed", error=lost)
        raise RuntimeError(lost)
    raise RuntimeError(refusal(log) or lost)


def refusal(log: Path) -> str:
    """The first sentence with which a process ended itself; empty where there is none."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), "")
