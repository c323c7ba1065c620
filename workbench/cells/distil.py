"""``distil``: train a student by a method of the catalogue, recorded, with progress."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from workbench.benches.assemble import bench_of, born, from_recipe, recipe
from workbench.cells.live import Live
from workbench.cells.losses import losses
from workbench.cells.model import Model
from workbench.cells.processes import share, shared, wanted
from workbench.cells.show import live_page, run_folder
from workbench.cells.watch import watch
from workbench.papers.chosen import method as named
from workbench.record.control import command
from workbench.record.session import session
from workbench.record.store import read_state
from workbench.train.run import Run
from workbench.types import Stepped

SAY_EVERY = 10.0  # seconds between two lines of progress
OFTEN = 50  # steps between two readings of a long training that a person watches, at most


def distil(
    method: str,
    bench: Any,
    *,
    steps: int,
    seed: int = 0,
    batch_size: int | None = None,
    name: str | None = None,
    folder: Path | str | None = None,
    live: bool = False,
    milestones: int = 0,
    **settings: Any,
) -> Model:
    """Train a student of the bench by a method (its name and fields), show its losses, return it ready to sample.

    A paper's name brings its record's settings for this bench. The run is kept in ``folder``, by default one of its
    own; a folder with a checkpoint is gone on from. ``milestones``: how many checkpoints, evenly spread, are kept for
    good (for ``w.growth``). ``live``, on a live page: the cell returns at once, training goes on in a thread, and the
    panel steers it; elsewhere the cell waits. Other verbs take the student as it stands. A job over several processes
    shares each batch among them; its numbers are those of one process with as many micro-batches.
    """
    chosen = named(method, settings, bench.name)
    name = name or method
    batch_size = batch_size or bench.budget.batch_size
    where = Path(folder) if folder else place(name)
    born_with = {"seed": seed, "steps": steps, "batch_size": batch_size}
    if (processes := wanted()) > 1:
        born_with |= {"batch_size": share(batch_size, processes), "blocks": processes}
    run = born(bench, chosen, **born_with, folder=where)
    said = recipe(bench, run.method, **born_with)
    return trained(model_of(name, bench, run), said, live, milestones)


def resume(folder: Path | str, *, live: bool = False) -> Model:
    """Go on with a run from its last checkpoint, in its own folder, and return its student. Also for forks.

    ValueError for a folder that is no run's.
    """
    model, said = from_folder(folder)
    return trained(model, said, live, 0)


def wait(student: Model) -> Model:
    """Wait until a live training ends and return the student; at once where it has. Interrupting stops the training.

    Raises what ended the training, if it was an error.
    """
    if student.live is not None:
        try:
            while not student.live.wait(0.2):
                pass
        except KeyboardInterrupt:
            command(student.trained.folder, "stop")
            student.live.wait(60)
    return student


def resumed(folder: Path) -> Live:
    """``resume`` without a word or a panel, in a thread."""
    model, said = from_folder(folder)
    return Live(model.trained, said, every=min(OFTEN, rhythm(model.trained))).start()


def rhythm(run: Run) -> int:
    """Steps between two readings: some 200 over a whole training."""
    return max(1, run.steps // 200)


def from_folder(folder: Path | str) -> tuple[Model, dict[str, Any]]:
    """The student of a run's folder, newly born, and the recipe it was born from."""
    said = read_state(folder).get("recipe")
    if not said or "bench" not in said:
        raise ValueError(f"{folder} does not say how its run was born: it was not made by w.distil")
    bench = bench_of(said)
    return model_of(Path(folder).name, bench, from_recipe(said, folder, bench=bench)), said


def model_of(name: str, bench: Any, run: Run) -> Model:
    scale = run.method.guidance_scale if getattr(run.method, "guided", False) else None
    return Model(name, bench, run.student(), run.method.sampler(), run, scale)


def trained(model: Model, said: dict[str, Any], live: bool, milestones: int) -> Model:
    """Train to the end, in a thread where it is ``live``, and show how it goes."""
    run = model.trained
    kept = max(1, run.steps // milestones) if milestones else None
    options = {"every": rhythm(run), "milestone": kept}
    if live and live_page():
        options["every"] = min(options["every"], OFTEN)
        model = replace(model, live=Live(run, said, **options).start().begun())
        watch(model)
        return model
    events = shared(run, said, wanted(), **options) if wanted() > 1 else session(run, said, **options)
    for _ in said_aloud(events, model.name, run.steps):
        pass
    losses(model)
    return model


def place(name: str) -> Path:
    """The student's folder inside the job's, else one of its own under ``runs/``."""
    inside = run_folder()
    return inside / name if inside else Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{name}"


def said_aloud(events: Iterator[Stepped], name: str, steps: int) -> Iterator[Stepped]:
    """Pass the events on and say now and then how far they are and how long they will take."""
    spoke = time.perf_counter()
    first = started = None
    for stepped in events:
        now = time.perf_counter()
        if first is None:  # several processes take seconds to begin
            first, started = stepped.step, now
        if now - spoke > SAY_EVERY or stepped.step == steps:
            speed = (stepped.step - first) / (now - started) if stepped.step > first else 0.0
            pace = f", {speed:.0f} a second" if speed else ""
            left = f", {(steps - stepped.step) / speed:.0f} s left" if speed and stepped.step < steps else ""
            print(f"{name}: step {stepped.step} of {steps}{pace}{left}", flush=True)
            spoke = now
        yield stepped
