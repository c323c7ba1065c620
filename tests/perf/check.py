"""Before anything is timed: engine and hand-written loop give the same losses, and the recorder changes no bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tests.perf import bare_steps
from tests.perf.cases import LOOPS, engine, recorded, run_of, task_of
from workbench.methods.score import dmd2
from workbench.methods.steps import consistency, trajectory
from workbench.train.checkpoint import tensors_of
from workbench.train.loop import train

GRIDS = ((consistency, "levels"), (trajectory, "levels"), (dmd2, "levels"), (bare_steps, "karras"))


@contextmanager
def in_double() -> Iterator[None]:
    """All numbers in fp64, so that rounding, which a training amplifies, does not hide or feign a difference."""
    known = torch.get_default_dtype(), [getattr(module, name) for module, name in GRIDS]

    def doubled(grid: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        return lambda *arguments, **named: grid(*arguments, **named).double()

    try:
        torch.set_default_dtype(torch.float64)
        for (module, name), grid in zip(GRIDS, known[1], strict=True):
            setattr(module, name, doubled(grid))
        yield
    finally:
        torch.set_default_dtype(known[0])
        for (module, name), grid in zip(GRIDS, known[1], strict=True):
            setattr(module, name, grid)


def apart(net: str, method: str, steps: int = 20, batch_size: int = 64) -> float:
    """The largest relative difference between the losses and gradient norms of engine and bare loop, in fp64."""
    with in_double():
        ours, theirs = engine(run_of(net, method, batch_size)), LOOPS[method](task_of(net, method, batch_size))
        seen = [(torch.tensor(next(ours)), torch.tensor(next(theirs))) for _ in range(steps)]
    return max(float(((a - b) / b).abs().max()) for a, b in seen)


def unlike(net: str, method: str, folder: Path, steps: int = 30, batch_size: int = 64,
           by: Callable[[Any], Iterator[Any]] = recorded) -> list[str]:
    """Names of the tensors (weights, averages, moments) that ``steps`` steps under ``by`` leave unlike plain ones."""
    plain, watched = run_of(net, method, batch_size), run_of(net, method, batch_size, folder)
    for stepping in (train(plain), by(watched)):
        for _ in range(steps):
            next(stepping)
        stepping.close()
    known, found = tensors_of(plain), tensors_of(watched)
    return sorted(known.keys() ^ found.keys()) + [name for name in known if not torch.equal(known[name], found[name])]
