"""What a child process does: train a run in its folder until it is finished or killed."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from workbench.benches.assemble import from_recipe
from workbench.record import session as recorded

INTERRUPTED = 130  # exit code after Ctrl-C
BEGUN = "steps.begun"  # beside the run's files: one line per life, then one per step that was begun


def live(*arguments: Any, **how: Any) -> None:
    """``train`` that answers Ctrl-C with the exit code INTERRUPTED."""
    try:
        train(*arguments, **how)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def train(told: dict[str, Any], folder: str, save_every: int, stop_at: int | None = None,
         die: tuple[str, int] | None = None, forget: str | None = None) -> None:
    """Be born from a recipe and train, every step recorded, to the end or to ``stop_at``.

    ``die`` kills the process from within: ("step", n) when step n begins, ("before", n) or ("after", n) the n-th file
    is renamed into place. ``forget`` names what a restore leaves out (see ``FORGET``): the negative control.
    """
    torch.set_num_threads(1)
    if forget:
        forgetful(forget)
    if die and die[0] != "step":
        mortal_replace(*die)
    run = from_recipe(told, folder)
    run.data = Tally(run.data, Path(folder) / BEGUN, die[1] if die and die[0] == "step" else None)
    for _ in recorded.session(run, told, every=1, save_every=save_every, stop=lambda: run.step == stop_at):
        pass


def end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Tally:
    """The run's data, noting on disk each step that asks for its first micro-batch."""

    def __init__(self, data: Any, path: Path, last: int | None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.data, self.last, self.file = data, last, os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.write(self.file, b"life\n")

    def at(self, step: int, block: int = 0) -> Any:
        if block == 0:
            os.write(self.file, f"{step}\n".encode())
        if step == self.last:
            end()
        return self.data.at(step, block)


def mortal_replace(when: str, count: int) -> None:
    """Make the ``count``-th ``os.replace`` of this process the last thing it (almost) does."""
    replace, seen = os.replace, iter(range(1, 10**9))

    def counted(source: Any, target: Any) -> None:
        now = next(seen) == count
        if now and when == "before":
            end()
        replace(source, target)
        if now:
            end()

    os.replace = counted


def lost_act_step(run: Any, state: dict) -> None:
    run.act_step = 0


def lost_moments(run: Any, state: dict) -> None:
    for optimizer in filter(None, run.optimizers):
        for moments in optimizer.state.values():
            moments["exp_avg"].zero_()


def lost_adam_step(run: Any, state: dict) -> None:
    for optimizer in filter(None, run.optimizers):
        for moments in optimizer.state.values():
            moments["step"].zero_()


def lost_average(run: Any, state: dict) -> None:
    for name, average in run.averages.items():
        average.load_state_dict(run.nets[name.split(".average")[0]].state_dict())


def lost_offset(run: Any, state: dict) -> None:
    state["extra"]["offset"] = (run.folder / "events.jsonl").stat().st_size


def lost_calls(run: Any, state: dict) -> None:
    run.counter.calls = 0


FORGET = {"act_step": lost_act_step, "moments": lost_moments, "Adam's step": lost_adam_step, "averages": lost_average,
          "offset of the events": lost_offset, "teacher calls": lost_calls}


def forgetful(what: str) -> None:
    """Have the session restore all but ``what``."""
    restore = recorded.restore

    def partial(run: Any, *arguments: Any) -> dict:
        state = restore(run, *arguments)
        FORGET[what](run, state)
        return state

    recorded.restore = partial
