"""Make the README's pictures: ``python -m tests.pictures``. Seed 0; some minutes on two cores.

A moving player of the ring, the inspector on digits, and the dashboard of a training with two clocks, each drawn by the
very view that the notebooks show, in Chromium, and kept small in ``widgets/pictures/``.
"""

from __future__ import annotations

import importlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from tests.chromium import running
from widgets.dashboard import Dashboard
from widgets.view import standalone
from workbench import cells as w
from workbench.cells.model import Model
from workbench.cells.readings import rows_of
from workbench.cells.show import page as html
from workbench.cells.trajectories import player_data
from workbench.record.store import read_events

HERE = Path(__file__).resolve().parents[2] / "widgets" / "pictures"
STEPS, BATCH, SEED = 4000, 256, 0


@contextmanager
def browser(width: int, height: int) -> Iterator[Callable[[str], Any]]:
    """``show(html)`` opens a page of its own in Chromium and returns it."""
    with running() as found, tempfile.TemporaryDirectory() as folder:

        def show(content: str) -> Any:
            path = Path(folder) / "view.html"
            path.write_text(content, encoding="utf-8")
            page = found.new_page(viewport={"width": width, "height": height})
            page.goto(path.as_uri())
            page.wait_for_selector(".wb canvas")
            page.wait_for_timeout(500)
            return page

        yield show


def shot(page: Any, height: int) -> Image.Image:
    width = page.viewport_size["width"]
    content = page.screenshot(clip={"x": 0, "y": 0, "width": width, "height": height})
    return Image.open(io.BytesIO(content)).convert("RGB")


def player(folder: Path) -> None:
    """The ring: teacher in 40 steps, a student in one and in two, the same noise; scrubbed from noise to data."""
    ring = w.bench("gmm2d")
    teacher = w.teacher(ring, num_inference_steps=40)
    student = w.distil("consistency-distillation", ring, steps=STEPS, batch_size=BATCH, seed=SEED, folder=folder / "cd")
    models = [teacher, student]
    noise, cond = ring.start(1200, SEED)
    walks = {model.name: model.frames(noise, cond, seed=SEED) for model in models}
    with browser(900, 700) as show:
        page = show(html("player", player_data(walks, models), "player"))
        page.locator(".wb-paths").click()
        frames = []
        for step in [*range(0, 41, 2), 40, 40, 40]:
            page.locator(".wb-slider").evaluate(
                "(slider, step) => { slider.value = step; slider.dispatchEvent(new Event('input')); }", step)
            page.wait_for_timeout(120)
            frames.append(shot(page, 640).resize((675, 480)).quantize(48))
    frames[0].save(HERE / "player.gif", save_all=True, append_images=frames[1:], duration=180, loop=0, optimize=True)


def inspector(model: Callable[..., Model]) -> None:
    """Digits: what the teacher and a student take for the clean sample, along the teacher's path."""
    cell = importlib.import_module("workbench.cells.targets")
    kept: dict[str, Any] = {}
    before, cell.panel = cell.panel, lambda figure, name, numbers=None, view=None: kept.update(view=view)
    try:
        digits = w.bench("digits")
        w.targets(w.teacher(digits), model(digits), num_inference_steps=9, seed=SEED)
    finally:
        cell.panel = before
    module, data = kept["view"]
    with browser(1000, 900) as show:
        page = show(html(module, {**data, "can_branch": False}, "inspector"))
        page.locator(".wb-sample").fill("4")
        page.locator(".wb-sample").press("Enter")
        page.locator(".wb-cell").nth(16).click()
        page.wait_for_timeout(300)
        shot(page, 900).save(HERE / "inspector.png", optimize=True)


def dashboard(folder: Path) -> None:
    """The readings of the student that the inspector shows: critic beside student."""
    events = list(read_events(folder / "dmd2"))
    steps = max(event["step"] for event in events if event["kind"] == "step")
    board = Dashboard(runs=[{"name": "dmd2", "steps": steps, "status": "finished"}], rows=rows_of(events, 0)[0])
    with browser(1000, 700) as show:
        page = show(standalone("dashboard", board.whole(), "dashboard"))
        shot(page, 640).save(HERE / "dashboard.png", optimize=True)


def main() -> None:
    os.environ["WORKBENCH_HEADLESS"] = "1"
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        player(folder)
        inspector(lambda digits: w.distil("dmd2", digits, steps=200, batch_size=64, seed=SEED, folder=folder / "dmd2"))
        dashboard(folder)
    for path in sorted(HERE.iterdir()):
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
