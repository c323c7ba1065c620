"""How a sweep stands, while it runs: a table that is redrawn on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from workbench.jobs.sweep import Sweep
from workbench.record.sweep import Row, content, row

EVERY = 0.5  # seconds between two drawings
STYLES = {"succeeded": "green", "running": "blue", "failed": "red", "killed": "yellow"}
MOST = 30  # rows of the table: what runs and what failed first


class Board:
    """Told of the sweep again and again; draws at most every EVERY seconds."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep, self.began, self.drawn = sweep, time.monotonic(), 0.0
        self.console = Console(stderr=True)
        self.live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal else None
        self.said: dict[Path, str] = dict(sweep.state)

    def __enter__(self) -> Board:
        if self.live:
            self.live.start()
        self.line(f"sweep folder: {self.sweep.folder}")
        return self

    def __exit__(self, *_: Any) -> None:
        if self.live:
            self.live.update(self.table(), refresh=True)
            self.live.stop()

    def told(self, sweep: Sweep) -> None:
        for folder, status in sweep.state.items():
            if self.said[folder] != status:
                self.said[folder] = status
                if status != "queued" and not self.live:
                    self.line(f"{self.counts()}: {self.sentence(folder, status)}")
        if self.live and time.monotonic() - self.drawn > EVERY:
            self.drawn = time.monotonic()
            self.live.update(self.table(), refresh=True)

    def line(self, text: str) -> None:
        if self.live:
            self.console.print(text, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def sentence(self, folder: Path, status: str) -> str:
        found = self.row(folder)
        took = f" after {found.seconds:.1f} s" if status not in ("running", "queued") else ""
        return f"{named(found.varied)} {status}{took}" + (f": {found.error}" if found.error else "")

    def counts(self) -> str:
        count = Counter(self.sweep.state.values())
        done = count["succeeded"] + count["failed"] + count["killed"]
        left = ""
        fresh = done - len(self.sweep.before)
        if fresh > 0 and done < len(self.sweep.state):
            seconds = (time.monotonic() - self.began) / fresh * (len(self.sweep.state) - done)
            left = f", about {span(seconds)} left"
        return f"{done} of {len(self.sweep.state)} done, {count['running']} running{left}"

    def row(self, folder: Path) -> Row:
        return row(folder, self.sweep.jobs[folder][1])

    def table(self) -> Table:
        order = ("running", "failed", "killed", "queued", "succeeded")
        shown = sorted(self.sweep.state, key=lambda folder: order.index(self.sweep.state[folder]) if
                       self.sweep.state[folder] in order else 0)
        table = Table("settings", "status", "where", "seconds", title=self.counts(), title_justify="left")
        for folder in shown[:MOST]:
            found, status = self.row(folder), self.sweep.state[folder]
            table.add_row(escape(named(found.varied)), f"[{STYLES.get(status, 'default')}]{status}",
                          escape(where(folder, found)), f"{found.seconds:.1f}" if found.seconds else "")
        if len(shown) > MOST:
            table.add_row(f"... and {len(shown) - MOST} more", "", "", "")
        return table


def named(varied: dict[str, Any]) -> str:
    return " ".join(f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
                    for name, value in varied.items()) or "the job"


def where(folder: Path, found: Row) -> str:
    """The cell that runs, with the step of a training in it; the error of what failed."""
    if found.error:
        return found.error[:60]
    progress = found.record.get("progress")
    if found.status != "running" or not progress:
        return ""
    inner = [content(path) for path in folder.glob("*/run.json")]
    steps = next((f", step {one['step']}" for one in inner if one.get("status") == "running" and "step" in one), "")
    return f"cell {progress['cell']} of {progress['of']}{steps}"


def span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min" if seconds < 6000 else (
        f"{seconds / 3600:.1f} h")
