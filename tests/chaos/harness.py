"""Kill, resume, compare. Children come from a fork server that has torch loaded: a life costs a tenth of a second."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.compare import differences, redone
from tests.chaos.life import BEGUN, INTERRUPTED, live
from tests.chaos.scenarios import Scenario
from workbench.record.fork import fork

WAYS = ("moment",) * 6 + ("save",) * 2 + ("rename",) * 2 + ("Ctrl-C",) * 2  # how a life ends
CUT_OFF = (-signal.SIGKILL, INTERRUPTED)


@dataclass
class Outcome:
    """What happened to one scenario; ``said`` is empty when every attempt ended as the uninterrupted run did."""

    name: str
    save_every: int
    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("moment", "save", "rename"), 0))
    interrupts: int = 0
    again: list[int] = field(default_factory=list)  # steps begun once more, by life
    said: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def killed(self) -> int:
        return sum(self.kills.values())


class Chaos:
    """Runs scenarios in ``root``; ``seed`` decides how and when they are killed, up to the machine's own timing."""

    def __init__(self, root: Path, seed: int = 0) -> None:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        self.root, self.seed = root, seed
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["__main__", "tests.chaos.warm"])
        self.seconds: dict[str, float] = {}

    def start(self, scenario: Scenario, folder: Path, **how: Any) -> BaseProcess:
        child = self.context.Process(target=live, args=(scenario.told, str(folder), scenario.save_every), kwargs=how)
        child.start()
        return child

    def finish(self, scenario: Scenario, folder: Path, **how: Any) -> int | None:
        """One life without a kill from outside; its exit code."""
        child = self.start(scenario, folder, **how)
        child.join()
        return child.exitcode

    def born(self, scenario: Scenario, name: str, fork_off: bool = True) -> Path:
        """A folder for an attempt: none yet, or a fork of the scenario's half-way run (unforked: that run's copy)."""
        folder = self.root / f"{scenario.name} {name}".replace(" ", "-")
        if scenario.fork_at is None:
            return folder
        parent = self.root / f"{scenario.name} parent".replace(" ", "-")
        if not parent.exists() and self.finish(scenario, parent, stop_at=scenario.fork_at) != 0:
            raise RuntimeError(f"{scenario.name}: the parent of the fork did not get to step {scenario.fork_at}")
        if fork_off or scenario.changes:
            return fork(parent, folder, **scenario.changes)
        return Path(shutil.copytree(parent, folder))

    def reference(self, scenario: Scenario) -> Path:
        """The uninterrupted run; of an unchanged fork it is the parent itself, gone on."""
        folder = self.root / f"{scenario.name} reference".replace(" ", "-")
        if folder.exists():
            return folder
        folder = self.born(scenario, "reference", fork_off=False)
        started = time.perf_counter()
        if self.finish(scenario, folder) != 0:
            raise RuntimeError(f"{scenario.name}: the uninterrupted run failed")
        self.seconds[scenario.name] = time.perf_counter() - started
        return folder

    def torment(self, scenario: Scenario, kills: int) -> Outcome:
        """Kill attempts of a scenario ``kills`` times in all, let each go on to its end and compare it."""
        chance, outcome = Random(f"{self.seed}/{scenario.name}"), Outcome(scenario.name, scenario.save_every)
        reference, started = self.reference(scenario), time.perf_counter()
        attempt = 0
        while outcome.killed < kills:
            folder, code = self.born(scenario, f"attempt {attempt}"), -signal.SIGKILL
            while code in CUT_OFF and outcome.killed < kills:
                code = self.one_life(scenario, folder, chance, outcome)
                tear(folder, chance)
            if code in CUT_OFF:
                code = self.finish(scenario, folder)
            outcome.said += [f"attempt {attempt}: exit code {code}"] if code else []
            outcome.said += [f"attempt {attempt}: {said}" for said in differences(reference, folder)]
            again = redone(folder)
            outcome.again += again
            if max(again, default=0) > scenario.save_every:
                outcome.said.append(f"attempt {attempt}: {max(again)} steps redone, over {scenario.save_every}")
            attempt += 1
        outcome.seconds = time.perf_counter() - started
        return outcome

    def one_life(self, scenario: Scenario, folder: Path, chance: Random, outcome: Outcome) -> int | None:
        """Start a life and take it; a life that ended by itself first is not counted as a kill."""
        way = chance.choice(WAYS)
        die = (chance.choice(("before", "after")), chance.randrange(1, 9)) if way == "rename" else None
        child = self.start(scenario, folder, die=die)
        if way in ("moment", "Ctrl-C"):
            child.join(chance.uniform(0, 0.05 + 0.4 * self.seconds[scenario.name]))
        elif way == "save":
            wait_for_part(child, folder / "checkpoints", chance.randrange(1, 4))
        if way != "rename" and child.pid is not None and child.exitcode is None:
            os.kill(child.pid, signal.SIGINT if way == "Ctrl-C" else signal.SIGKILL)
        child.join()
        outcome.interrupts += child.exitcode == INTERRUPTED
        if child.exitcode == -signal.SIGKILL:
            outcome.kills[way] += 1
        return child.exitcode

    def control(self, scenario: Scenario, forget: str) -> list[str]:
        """A run killed in mid-act whose restore forgets one thing: the differences found (there must be some)."""
        reference, folder = self.reference(scenario), self.root / f"{scenario.name} without {forget}".replace(" ", "-")
        self.finish(scenario, folder, die=("step", 3 * scenario.save_every + 7))
        code = self.finish(scenario, folder, forget=forget)
        return ([f"exit code {code}"] if code else []) + differences(reference, folder)


def wait_for_part(child: BaseProcess, folder: Path, count: int) -> None:
    """Return while the ``count``-th file is being written into ``folder``, or when the child is gone."""
    seen: set[str] = set()
    while len(seen) < count and child.exitcode is None:
        if folder.exists():
            seen |= {f"{entry.name} {entry.inode()}" for entry in os.scandir(folder) if entry.name.endswith(".part")}


def tear(folder: Path, chance: Random) -> None:
    """Now and then leave what a crash of the machine may leave: a torn last line of the events."""
    log = folder / "events.jsonl"
    if log.exists() and chance.random() < 0.3 and (folder / BEGUN).exists():
        with open(log, "ab") as file:
            file.write(b'{"kind": "step", "ti')
