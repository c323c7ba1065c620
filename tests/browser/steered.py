"""A training in Lab: its parameters, what its folder says, and the panel and dashboard that show it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.browser.lab import Book, until

LONG = {"steps": 100_000, "batch_size": 64, "teacher_steps": 16, "samples": 256}
PARAMETERS, IMPORT, TEACHER, CONTROLS, TRAIN, WALK, TARGETS, GROWTH = 1, 3, 4, 6, 8, 10, 12, 14  # explore's cells
SHOTS = os.environ.get("WORKBENCH_SHOTS")


def trained(book: Book, controls: bool = False, **given: Any) -> Training:
    """Run explore down to its training, with these parameters, and wait until the dashboard stands."""
    values = LONG | given
    book.write(PARAMETERS, "\n".join(f"{name} = {value!r}" for name, value in {
        "bench": "gmm2d", "method": "consistency-distillation", "milestones": 8, "seed": 0, **values}.items()))
    for cell in (PARAMETERS, IMPORT, TEACHER, *((CONTROLS,) if controls else ())):
        book.run(cell)
    if not controls:
        book.say("settings = {}")
    book.run(TRAIN)
    book.go(TRAIN)
    first = until(lambda: next(iter(sorted((book.folder / "runs").glob("*/run.json"))), None), 10, "the run's folder")
    return Training(book, first.parent)


class Training:
    """A run seen from both sides: its folder, and its panel (by its place among the panels)."""

    def __init__(self, book: Book, folder: Path, place: int = 0) -> None:
        self.book, self.folder = book, folder
        self.panel = book.page.locator(".wb-panel:not(.wb-stage *)").nth(place)
        self.board = book.page.locator(".wb-dashboard")

    def events(self, kind: str) -> list[dict[str, Any]]:
        lines = (self.folder / "events.jsonl").read_bytes().split(b"\n")[:-1]
        return [event for event in map(json.loads, lines) if event["kind"] == kind]

    @property
    def state(self) -> dict[str, Any]:
        return json.loads((self.folder / "run.json").read_text())

    @property
    def newest(self) -> int:
        """The last step that was recorded."""
        return max((event["step"] for event in self.events("step")), default=0)

    def rows(self) -> int:
        return int(self.board.get_attribute("data-rows", timeout=20_000) or 0)

    def grows(self, what: str = "the curve", seconds: float = 20.0) -> int:
        """Wait for one more row on the dashboard; how many there are."""
        before = self.rows()
        until(lambda: self.rows() > before, seconds, f"{what}'s next row")
        return self.rows()

    def press(self, command: str) -> None:
        self.panel.locator(f".wb-{command}").click(timeout=10_000)

    def becomes(self, status: str, seconds: float = 20.0) -> dict[str, Any]:
        """Wait until both the folder and the panel say so; what the folder says."""
        until(lambda: self.state["status"] == status, seconds, f"status {status}")
        badge = self.panel.locator(".wb-badge")
        until(lambda: status in (badge.inner_text() or ""), 10, f"the panel's {status}")
        return self.state

    def said(self) -> str:
        return self.panel.inner_text()


def shot(book: Book, name: str, what: Any = None) -> None:
    """A picture of the page (or of ``what``) for people, where WORKBENCH_SHOTS is set."""
    if SHOTS:
        Path("/tmp/shots").mkdir(exist_ok=True)
        (what or book.page).screenshot(path=f"/tmp/shots/lab-{name}.png")
