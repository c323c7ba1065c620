"""A recorded training: consumes the loop's events, writes readings and checkpoints, passes every event on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from workbench.record.control import Orders
from workbench.record.losses import reading
from workbench.record.store import Store
from workbench.train.checkpoint import checkpoints, restore, save_run, sum_of
from workbench.train.divergence import Diverged
from workbench.train.loop import train
from workbench.train.run import Run
from workbench.types import Stepped


def session(run: Run, recipe: dict[str, Any], *, every: int = 10, save_every: int = 500,
            stop: Callable[[], bool] = lambda: False, milestone: int | None = None,
            loop: Callable[[Run], Iterator[Stepped]] = train) -> Iterator[Stepped]:
    """Train ``run`` into its folder, going on from the newest whole checkpoint there if one exists.

    Writes a reading each ``every`` steps and a checkpoint each ``save_every`` and at the end; those at multiples of
    ``milestone`` steps are made too, and kept for good. Between two steps it does what ``control`` was told in the
    folder, and calls ``stop()``. The status in run.json becomes "finished", "stopped" (by ``stop()`` or a command, the
    consumer went away, or Ctrl-C), "diverged" or "failed"; every one of these but "failed" leaves a checkpoint to go on
    from. ``loop`` steps the run. Raises what the loop raises, and ValueError for a folder that holds a run of another
    recipe.
    """
    if run.folder is None:
        raise ValueError("a recorded run needs a folder: give born(..., folder=...)")
    store = Store(run.folder)
    store.alone()
    state = None
    if checkpoints(run.folder):  # a folder that is refused stays as it was
        store.expect(recipe)
        state = restore(run)
    store.begin(recipe)
    for torn in run.folder.rglob(".*.part"):  # of a writer that was killed
        torn.unlink(missing_ok=True)
    if state:
        store.resume(state["extra"]["offset"])
        store.describe(skipped_checkpoints=state["skipped"])
    else:
        store.resume(0)
        store.describe(data_sha256=sum_of(known(run.data.at(0, 0)._asdict())))
        save_run(run, offset=0)
    saves = Saves(run, store, save_every, milestone)
    yield from watched(loop(run), run, store, every, saves, Orders(run, store, stop, saves.save))


def known(batch: dict[str, Any]) -> dict[str, Any]:
    """What a batch has: by the sum of the first one, runs tell whether they learned from the same data."""
    return {name: tensor for name, tensor in batch.items() if tensor is not None}


class Saves:
    """When a session saves: each ``every`` steps, at milestones, and when told to; each save is an event."""

    def __init__(self, run: Run, store: Store, every: int, milestone: int | None) -> None:
        self.run, self.store, self.every, self.milestone, self.last = run, store, every, milestone, -1

    def due(self) -> bool:
        step = self.run.step
        return step % self.every == 0 or (self.milestone is not None and step % self.milestone == 0)

    def save(self) -> None:
        self.last = self.run.step
        self.store.event("checkpoint", step=self.run.step)
        save_run(self.run, milestone=self.milestone, offset=self.store.offset)


def watched(steps: Iterator[Stepped], run: Run, store: Store, every: int, saves: Saves,
            orders: Orders) -> Iterator[Stepped]:
    started, first, whole = time.perf_counter(), run.step, False
    try:
        for stepped in steps:
            if stepped.step % every == 0 or stepped.step == 1 or run.finished:
                store.event("step", **reading(stepped, run))
            whole = True
            if saves.due():
                saves.save()
            yield stepped
            if not orders.obey():
                break
            whole = False  # Ctrl-C may fall inside the next step, or before its event: neither is saved half
    except Diverged as error:
        store.event("diverged", step=run.step, message=str(error))
        store.end("diverged", step=run.step, error=str(error))
        raise
    except (GeneratorExit, KeyboardInterrupt):
        if whole and saves.last != run.step:
            saves.save()
        store.end("stopped", step=run.step)
        raise
    except BaseException as error:
        store.end("failed", step=run.step, error=f"{type(error).__name__}: {error}")
        raise
    if saves.last != run.step:
        saves.save()
    seconds = time.perf_counter() - started
    store.end("finished" if run.finished else "stopped", step=run.step, teacher_calls=run.teacher_calls,
              seconds=seconds, steps_per_second=(run.step - first) / seconds if seconds else None)
