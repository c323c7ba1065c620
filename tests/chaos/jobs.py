"""Sweeps whose kernels, workers and schedulers are killed, at random and in the middle of a save, until they are done.

After every kill what stands in the folders is held to the promises; at the end the trainings are held against the same
ones that nobody disturbed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import nbformat
import psutil

from tests.chaos.compare import differences, redone
from tests.chaos.life import train
from tests.chaos.scenarios import scenarios
from workbench.jobs.folder import events, load
from workbench.record.sweep import rows
from workbench.train.checkpoint import BrokenCheckpoint, checkpoints, read

ROLES = ("kernel", "worker", "scheduler")
WAYS = {  # when: at a random moment, while a training runs, inside the save of a checkpoint or of a job's record
    "moment": None, "training": "jobs/*/student/steps.begun", "checkpoint": "jobs/*/student/checkpoints/.*.part",
    "record": "jobs/*/.*.part"}
TOLD, EVERY, SEEDS = {**scenarios()["two micro-batches"].told, "steps": 600}, 20, 2
CELL = f"""import json, os, time
from tests.chaos.life import train
folder = os.environ["WORKBENCH_RUN_FOLDER"]
train({{**{TOLD!r}, "seed": seed}}, folder + "/student", {EVERY})
json.dump({{"score": seed}}, open(folder + "/metrics.json", "w"))
time.sleep(0.3)"""
ORPHANED = 10.0  # seconds within which everything that was started has to be gone
PATIENCE = 120.0  # seconds without an end after which a sweep is called stuck


@dataclass
class Outcome:
    """What happened; ``said`` is empty when every promise held."""

    kills: dict[str, int] = field(default_factory=dict)  # "role, way" -> how often
    again: list[int] = field(default_factory=list)  # steps begun once more, by life
    orphans: list[float] = field(default_factory=list)  # seconds until all was gone, after each killed scheduler
    sweeps: int = 0
    said: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def killed(self) -> int:
        return sum(self.kills.values())


class Tormented:
    """One sweep's folder, its scheduler, and who is to be killed next."""

    def __init__(self, notebook: Path, folder: Path, chance: Random, outcome: Outcome) -> None:
        self.notebook, self.folder, self.chance, self.outcome = notebook, folder, chance, outcome
        self.done: dict[str, int] = {}  # finished job -> attempts it took
        self.scheduler: subprocess.Popen | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "workbench", "sweep", str(self.notebook), "--seeds", str(SEEDS), "--jobs", "2",
                   "--threads", "1", "--retries", "1000", "--out", str(self.folder)]
        with open(self.folder.with_suffix(".log"), "ab") as log:
            self.scheduler = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                              start_new_session=True)

    def ended(self) -> bool:
        return self.scheduler is None or self.scheduler.poll() is not None

    def targets(self, role: str) -> list[psutil.Process]:
        """The living processes of that role."""
        if self.scheduler is None or self.ended():
            return []
        try:
            family = psutil.Process(self.scheduler.pid).children(recursive=True)
            if role == "scheduler":
                return [psutil.Process(self.scheduler.pid)]
            word = "workbench.run" if role == "worker" else "ipykernel_launcher"
            return [one for one in family if word in " ".join(one.cmdline())]
        except psutil.Error:
            return []

    def kill_one(self) -> bool:
        """Wait for a moment, or for a save to begin, and kill one process; whether there was one to kill."""
        role, way = self.chance.choice(ROLES), self.chance.choice([*WAYS])
        self.wait(WAYS[way], self.chance.uniform(0.2, 8.0) if way == "moment" else 20.0)
        if way == "training":
            time.sleep(self.chance.uniform(0.0, 1.0))
        found = self.targets(role)
        if not found:
            return False
        try:
            self.chance.choice(found).kill()
        except psutil.Error:
            return False
        name = f"{role}, {way}"
        self.outcome.kills[name] = self.outcome.kills.get(name, 0) + 1
        if role == "scheduler":
            self.scheduler.wait()
            self.outcome.orphans.append(self.alone())
        self.check()
        return True

    def wait(self, sign: str | None, seconds: float) -> None:
        """Wait these seconds, or until a file of that kind appears or grows."""
        end, before = time.monotonic() + seconds, self.sizes(sign) if sign else {}
        while time.monotonic() < end and not self.ended():
            if sign and self.sizes(sign).items() - before.items():
                return
            time.sleep(0.001 if sign else 0.05)

    def sizes(self, sign: str) -> dict[Path, int]:
        found = {}
        for path in self.folder.glob(sign):
            with suppress(OSError):
                found[path] = path.stat().st_size
        return found

    def alone(self) -> float:
        """Seconds until no process names this folder any more."""
        began = time.monotonic()
        while left := survivors(self.folder):
            if time.monotonic() - began > ORPHANED:
                self.outcome.said.append(f"{len(left)} processes still there after {ORPHANED:g} s: {left[0].cmdline()}")
                for process in left:
                    process.kill()
                break
            time.sleep(0.1)
        return time.monotonic() - began

    def check(self) -> None:
        """What must hold at any moment: finished jobs are finished and are not redone; checkpoints can be read."""
        for folder in self.folder.glob("jobs/*"):
            if not (folder / "run.json").exists():
                continue
            record = load(folder)
            if record["status"] == "succeeded":
                if not (folder / "metrics.json").exists() or load(folder / "student")["status"] != "finished":
                    self.outcome.said.append(f"{folder.name} is recorded as succeeded and did not")
                if self.done.setdefault(folder.name, record["attempts"]) != record["attempts"]:
                    self.outcome.said.append(f"{folder.name} was finished and was run again")
            for path in checkpoints(folder / "student"):
                try:
                    read(path)
                except BrokenCheckpoint as error:
                    if path.exists():  # a living writer drops old ones
                        self.outcome.said.append(str(error))


def survivors(folder: Path) -> list[psutil.Process]:
    """Processes whose command line or environment names this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            told = [*process.cmdline(), *process.environ().values()]
            if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE and any(
                    str(folder) in one for one in told):
                found.append(process)
        except psutil.Error:
            continue
    return found


def torment(root: Path, kills: int, seed: int = 0) -> Outcome:
    """Kill sweeps ``kills`` times in all and let each come to its end."""
    chance, outcome, began = Random(f"jobs/{seed}"), Outcome(), time.perf_counter()
    notebook = written(root)
    for number in range(SEEDS):
        train({**TOLD, "seed": number}, str(root / f"reference-{number}"), EVERY)
    while outcome.killed < kills:
        sweep = Tormented(notebook, root / f"sweep-{outcome.sweeps}", chance, outcome)
        outcome.sweeps += 1
        while outcome.killed < kills:
            if sweep.ended():
                if sweep.scheduler is not None and sweep.scheduler.returncode == 0:
                    break
                sweep.start()
            sweep.kill_one()
        settle(sweep)
        for number in range(SEEDS):
            compared(sweep, root / f"reference-{number}", number)
    outcome.seconds = time.perf_counter() - began
    return outcome


def settle(sweep: Tormented) -> None:
    """Let the sweep end undisturbed."""
    if sweep.ended() and (sweep.scheduler is None or sweep.scheduler.returncode != 0):
        sweep.start()
    try:
        code = sweep.scheduler.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(sweep.scheduler.pid, signal.SIGKILL)
        code = None
    if code != 0:
        log = sweep.folder.with_suffix(".log").read_text().strip()[-300:]
        sweep.outcome.said.append(f"{sweep.folder.name} ended with {code}: {log}")
    sweep.check()
    sweep.alone()


def compared(sweep: Tormented, reference: Path, number: int) -> None:
    """The finished training against the undisturbed one: bits, events, steps that were redone."""
    said, row = sweep.outcome.said, next(row for row in rows(sweep.folder) if row.varied["seed"] == number)
    if row.status != "succeeded":
        said.append(f"{row.folder.name} is {row.status}: {row.error}")
        return
    said += [f"{row.folder.name}: {one}" for one in differences(reference, row.folder / "student")]
    again = redone(row.folder / "student")
    sweep.outcome.again += again
    if max(again, default=0) > EVERY:
        said.append(f"{row.folder.name}: {max(again)} steps redone, over {EVERY}")
    if sum(one["kind"] == "ended" and one["status"] == "succeeded" for one in events(row.folder)) != 1:
        said.append(f"{row.folder.name}: its events do not tell of one success")
    if json.loads((row.folder / "metrics.json").read_text()) != {"score": number}:
        said.append(f"{row.folder.name}: other metrics")


def written(root: Path) -> Path:
    cells = [nbformat.v4.new_code_cell("seed: int = 0", metadata={"tags": ["parameters"]}),
             nbformat.v4.new_code_cell(CELL)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "chaos.ipynb")
    return root / "chaos.ipynb"
