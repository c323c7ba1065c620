"""A run's folder: ``run.json`` (what it is and how it stands), ``events.jsonl`` (what happened), checkpoints beside.

One writer. ``run.json`` is replaced whole; events are appended, one line per write, and a torn last line is ignored.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.files import sealed, sound, write_json

FORMAT = 1
ENDED = ("finished", "stopped", "diverged", "failed")


class Store:
    """Writer of one run's folder. ``resume`` cuts the events at a checkpoint's offset, so that none comes twice."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.log = open(self.folder / "events.jsonl", "ab", buffering=0)  # noqa: SIM115
        except OSError as error:
            said = f"cannot write to {self.folder} ({error.strerror}): choose another folder"
            raise OSError(error.errno, said) from error
        self.state: dict[str, Any] = read_state(self.folder) if (self.folder / "run.json").exists() else {}

    def describe(self, **facts: Any) -> None:
        """Set facts of run.json and write it."""
        self.state = {"format": FORMAT, **self.state, **facts, "updated": time.time()}
        write_json(self.folder / "run.json", sealed(self.state))

    def alone(self) -> None:
        """Raise RuntimeError where another living process writes this folder."""
        other = self.state.get("pid")
        if self.state.get("status") in ("running", "paused") and other not in (None, os.getpid()) and alive(other):
            raise RuntimeError(f"{self.folder} is being written by process {other}: stop it, or choose another folder")

    def expect(self, recipe: dict[str, Any]) -> None:
        """Raise ValueError, naming the first difference, where this folder's run was begun with another recipe."""
        other = difference(self.state.get("recipe") or recipe, json.loads(json.dumps(recipe)))
        if other:
            name, old, new = other
            raise ValueError(f"{self.folder} holds a run with {name} = {old!r}, not {new!r}: choose another folder, "
                             "or fork that run to change it")

    def begin(self, recipe: dict[str, Any]) -> None:
        """Say what this run is and that it runs; a second writer of a live folder is refused with RuntimeError."""
        self.alone()
        self.describe(status="running", pid=os.getpid(), recipe=recipe, versions=versions(), host=platform.node(),
                      started=self.state.get("started", time.time()), error=None)

    def event(self, kind: str, **values: Any) -> None:
        self.log.write(json.dumps({"kind": kind, "time": round(time.time(), 3), **values}).encode() + b"\n")

    @property
    def offset(self) -> int:
        """Bytes of events written so far; they are on the disk when this returns."""
        os.fsync(self.log.fileno())
        return self.log.tell()

    def beat(self) -> None:
        """Say that the session lives: run.json's time stamp."""
        with suppress(OSError):
            os.utime(self.folder / "run.json")

    def resume(self, offset: int) -> None:
        """Forget events written after ``offset`` bytes: the steps they tell of are taken again."""
        self.log.truncate(offset)
        self.log.seek(0, os.SEEK_END)

    def end(self, status: str, **facts: Any) -> None:
        """Close the run as one of ENDED."""
        os.fsync(self.log.fileno())
        self.describe(status=status, ended=time.time(), pid=None, **facts)
        self.log.close()


def read_state(folder: Path | str) -> dict[str, Any]:
    """run.json of a folder; ValueError with a sentence when it is missing, torn, foreign or of a newer format."""
    path = Path(folder) / "run.json"
    try:
        state = json.loads(path.read_text())
    except OSError as error:
        raise ValueError(f"{folder} is not a run folder: it has no run.json") from error
    except ValueError as error:
        raise ValueError(f"{path} is torn or not JSON ({error}): restore it, or start the run anew") from error
    if not isinstance(state, dict) or not isinstance(state.get("format"), int):
        raise ValueError(f"{path} was not written by this package")
    if state["format"] > FORMAT:
        raise ValueError(f"{path} has format {state['format']}, this version reads up to {FORMAT}: update the package")
    if not sound(state):
        raise ValueError(f"{path} was altered since it was written: restore it, or start the run anew")
    return state


def read_events(folder: Path | str, kind: str | None = None) -> Iterator[dict[str, Any]]:
    """Events of a run's folder in order, of one kind if given; torn and altered lines are left out."""
    path = Path(folder) / "events.jsonl"
    if not path.exists():
        return
    with open(path, "rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            event = understood(line)
            if event and kind in (None, event["kind"]):
                yield event


def understood(line: bytes) -> dict[str, Any] | None:
    """An event's line; None for one that was altered."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "kind" in event else None


def difference(old: Any, new: Any, name: str = "recipe") -> tuple[str, Any, Any] | None:
    """(dotted name, old value, new value) of the first difference of two JSON values; None for equal ones."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return None if old == new else (name, old, new)
    for key in [*old, *(key for key in new if key not in old)]:
        if found := difference(old.get(key), new.get(key), f"{name}.{key}".removeprefix("recipe.")):
            return found
    return None


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def versions() -> dict[str, str]:
    """Versions that decide a run's numbers."""
    import numpy
    import torch

    import workbench

    return {"python": platform.python_version(), "torch": torch.__version__, "numpy": numpy.__version__,
            "workbench": workbench.__version__, "threads": str(torch.get_num_threads())}
