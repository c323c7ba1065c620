"""Following a run's record while somebody else writes it: new events, and how the run stands."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, NamedTuple

from workbench.record.store import alive, read_state, understood

STALE = 10.0  # seconds without a heartbeat after which a run that should be alive is called lost


class News(NamedTuple):
    """Events that came since the last look; ``anew`` says that everything before them is to be forgotten."""

    events: list[dict[str, Any]]
    anew: bool


class Tail:
    """Reads each whole line of ``events.jsonl`` once, and all of it anew where the writer cut it or began again."""

    def __init__(self, folder: Path | str) -> None:
        self.path = Path(folder) / "events.jsonl"
        self.offset, self.last = 0, b""

    def poll(self) -> News:
        """What is new; nothing where the file is missing or a line is still being written."""
        try:
            size = os.stat(self.path).st_size
            if size == self.offset:
                return News([], False)
            with open(self.path, "rb") as file:
                anew = size < self.offset or not self.goes_on(file)
                if anew:
                    self.offset, self.last = 0, b""
                file.seek(self.offset)
                text = file.read()
        except OSError:
            return News([], False)
        text = text[: text.rfind(b"\n") + 1]
        lines = text.splitlines()
        if lines:
            self.offset, self.last = self.offset + len(text), lines[-1] + b"\n"
        return News([event for line in lines if (event := understood(line))], anew)

    def goes_on(self, file: Any) -> bool:
        """Whether the last line that was read still stands where it stood."""
        file.seek(self.offset - len(self.last))
        return file.read(len(self.last)) == self.last


class Standing(NamedTuple):
    """How a run stands: run.json, or None with a sentence on why it cannot be read; seconds since the last sign."""

    state: dict[str, Any] | None
    beat: float
    problem: str = ""


def standing(folder: Path | str) -> Standing:
    """Read run.json and its time stamp. A run whose process is gone, or silent for long, has the status "lost"."""
    try:
        state = read_state(folder)
        beat = os.stat(Path(folder) / "run.json").st_mtime
    except (ValueError, OSError) as error:
        return Standing(None, 0.0, str(error))
    if state.get("status") in ("running", "paused") and gone(state, beat):
        state = state | {"status": "lost"}
    return Standing(state, beat)


def gone(state: dict[str, Any], beat: float) -> bool:
    """Whether the process that writes this folder is dead (known on its own machine) or has long been silent."""
    import platform

    if state.get("host") == platform.node() and state.get("pid"):
        return not alive(state["pid"])
    return time.time() - beat > STALE
