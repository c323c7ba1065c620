"""Commands to a running session, from a button, a script or another machine: lines of ``control.jsonl`` in its folder.

The session reads them between two steps, at most every ``EVERY`` seconds, and carries them out in order: stop, pause,
resume, step (one step, then pause), save, change (a field of the method), fork (into a new folder). What it did is an
event of the record; what it could not do is an event "refused" with the reason, and training goes on.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.naming import unknown
from workbench.record.fork import fork
from workbench.record.store import Store
from workbench.train.checkpoint import BrokenCheckpoint
from workbench.train.run import Run

COMMANDS = ("stop", "pause", "resume", "step", "save", "change", "fork")
EVERY = 0.02  # seconds between two looks at the file
BEAT = 1.0  # seconds between two heartbeats: the time stamp of run.json


def command(folder: Path | str, command: str, /, **values: Any) -> None:
    """Ask the session that writes ``folder`` for something; returns at once. ValueError for an unknown command."""
    if command not in COMMANDS:
        raise ValueError(unknown("command", command, COMMANDS))
    line = json.dumps({"command": command, "time": time.time(), **values}).encode() + b"\n"
    file = os.open(Path(folder) / "control.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(file, line)
    finally:
        os.close(file)


class Inbox:
    """The commands that came after this reader was made, each once; torn and foreign lines are left out."""

    def __init__(self, folder: Path) -> None:
        self.path, self.looked = folder / "control.jsonl", 0.0
        self.offset = self.size()

    def size(self) -> int:
        try:
            return os.stat(self.path).st_size
        except OSError:
            return 0

    def poll(self) -> list[dict[str, Any]]:
        if time.monotonic() - self.looked < EVERY:
            return []
        self.looked = time.monotonic()
        if self.size() <= self.offset:
            return []
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            lines = file.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        self.offset += len(whole)
        return [found for line in whole.splitlines() if (found := understood(line))]


def understood(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("command") in COMMANDS else None


class Orders:
    """What a session does between two steps: the heartbeat, and what the inbox asks for."""

    def __init__(self, run: Run, store: Store, stop: Callable[[], bool], save: Callable[[], Any]) -> None:
        self.run, self.store, self.stop, self.save = run, store, stop, save
        self.inbox = Inbox(store.folder)
        self.paused, self.ended, self.beaten = False, False, time.monotonic()

    def obey(self) -> bool:
        """Carry out what was asked for, waiting while paused; False once the run shall end. ``stop`` is asked too."""
        if self.paused:  # a single step was made
            self.store.describe(status="paused", step=self.run.step)
        allowed = self.once()
        while self.paused and not allowed and not self.ended:
            time.sleep(EVERY)
            allowed = self.once()
        return not self.ended

    def once(self) -> bool:
        """One look at everything; whether a single step was asked for."""
        allowed = False
        for order in self.inbox.poll():
            allowed |= order["command"] == "step"
            try:
                getattr(self, f"do_{order['command']}")(**order)
            except (ValueError, OSError, TypeError, BrokenCheckpoint) as error:
                self.store.event("refused", step=self.run.step, command=order["command"], message=str(error))
        self.ended |= bool(self.stop())
        if time.monotonic() - self.beaten > BEAT:
            self.beaten = time.monotonic()
            self.store.beat()
        return allowed

    def do_stop(self, **_: Any) -> None:
        self.ended = True

    def do_pause(self, **_: Any) -> None:
        if not self.paused:
            self.paused = True
            self.store.event("paused", step=self.run.step)
            self.store.describe(status="paused", step=self.run.step)

    def do_resume(self, **_: Any) -> None:
        if self.paused:
            self.paused = False
            self.store.event("resumed", step=self.run.step)
            self.store.describe(status="running")

    def do_step(self, **_: Any) -> None:
        self.do_pause()

    def do_save(self, **_: Any) -> None:
        self.save()

    def do_change(self, name: str = "", value: Any = None, **_: Any) -> None:
        """Set a field of the method; saved at once, so that no kill forgets it."""
        before = getattr(self.run.current, name, None)
        self.run.change(name, value)
        self.store.event("change", step=self.run.step, name=name, value=value, before=before)
        self.do_save()

    def do_fork(self, folder: str = "", checkpoint: int | None = None, **_: Any) -> None:
        """A new folder beside this one, from here (saved now) or from a checkpoint."""
        if checkpoint is None:
            self.do_save()
        target = Path(folder) if folder else free(self.store.folder)
        fork(self.store.folder, target, checkpoint=checkpoint)
        where = os.path.relpath(target, self.store.folder)
        self.store.event("fork", step=self.run.step, folder=where, checkpoint=checkpoint)


def free(folder: Path) -> Path:
    """``<folder>-fork-<n>`` with the first n that is not there."""
    number = 1
    while (found := folder.with_name(f"{folder.name}-fork-{number}")).exists():
        number += 1
    return found
