"""``distil``: train a student by a method of the catalogue, recorded, with progress."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from workbench.benches.assemble import born, recipe
from workbench.cells.losses import losses
from workbench.cells.model import Model
from workbench.cells.show import run_folder
from workbench.papers.chosen import method as named
from workbench.record.session import session
from workbench.types import Stepped

SAY_EVERY = 10.0  # seconds between two lines of progress


def distil(
    method: str,
    bench: Any,
    *,
    steps: int,
    seed: int = 0,
    batch_size: int | None = None,
    name: str | None = None,
    folder: Path | str | None = None,
    **settings: Any,
) -> Model:
    """Train a student of the bench by a method (its name and fields), show its losses, return it ready to sample.

    A paper's name brings its record's settings for this bench. The run is kept in ``folder``, by default one of its
    own; a folder with a checkpoint is gone on from.
    """
    chosen = named(method, settings, bench.name)
    name = name or method
    batch_size = batch_size or bench.budget.batch_size
    where = Path(folder) if folder else place(name)
    run = born(bench, chosen, seed=seed, steps=steps, batch_size=batch_size, folder=where)
    said = recipe(bench, run.method, seed=seed, steps=steps, batch_size=batch_size)
    for _ in said_aloud(session(run, said, every=max(1, run.steps // 200)), name, run.steps):
        pass
    scale = chosen.guidance_scale if getattr(chosen, "guided", False) else None
    model = Model(name, bench, run.student(), run.method.sampler(), run, scale)
    losses(model)
    return model


def place(name: str) -> Path:
    """The student's folder inside the job's, else one of its own under ``runs/``."""
    inside = run_folder()
    return inside / name if inside else Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{name}"


def said_aloud(events: Iterator[Stepped], name: str, steps: int) -> Iterator[Stepped]:
    """Pass the events on and say now and then how far they are and how long they will take."""
    started = spoke = time.perf_counter()
    first = None
    for stepped in events:
        first = stepped.step - 1 if first is None else first
        now = time.perf_counter()
        if now - spoke > SAY_EVERY or stepped.step == steps:
            speed = (stepped.step - first) / (now - started)
            left = f", {(steps - stepped.step) / speed:.0f} s left" if stepped.step < steps else ""
            print(f"{name}: step {stepped.step} of {steps}, {speed:.0f} a second{left}", flush=True)
            spoke = now
        yield stepped
