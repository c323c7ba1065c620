"""What a solver is: one step from t to s; the loop that repeats it is ``walk``.

Inside a step there is one notion of a network: ``net(x_t, t, s=None)`` speaking x0 in the step's process, with labels
and guidance already bound. Times are (B,) or (B, F); s = t leaves a sample where it is, s = 0 lands on x0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from workbench.noise.convert import from_x0
from workbench.noise.process import Process, spread

Net = Callable[..., Tensor]  # net(x_t (B, ...), t (B,), s (B,) or None) -> x0 (B, ...)
Rng = Callable[[str], torch.Generator]  # rng(name): counted randomness of this step, see workbench.randomness


class Moved(NamedTuple):
    """What one step did: the new state and what it computed on the way.

    x_s (B, ...) at s; x0 (B, ...) the first prediction of the step, of sort ``kind`` ("x0" a denoiser's mean, "jump"
    the pointer of a map); velocity (B, ...) dx/dt at (x_t, t) or None; memory for the next step; calls of the network.
    """

    x_s: Tensor
    x0: Tensor
    velocity: Tensor | None = None
    kind: str = "x0"
    memory: Any = None
    evaluations: int = 1


@runtime_checkable
class Solver(Protocol):
    """A frozen dataclass whose ``step`` moves x_t from t to s; ``order`` is that of its error in the step size.

    ``memory`` is the previous step's, None at the start: a step is a function of its arguments. ``rng`` is needed by
    stochastic solvers alone. ``last`` says that every s is 0, known on the host, so that no tensor has to be read.
    """

    order: ClassVar[int]

    def step(self, net: Net, process: Process, x_t: Tensor, t: Tensor, s: Tensor, memory: Any = None,
             rng: Rng | None = None, *, last: bool = False) -> Moved: ...


def land(process: Process, x_t: Tensor, t: Tensor, s: Tensor, x0: Tensor) -> Tensor:
    """``process.jump``, and x_t itself wherever s = t, clean samples (t = 0) included; finite, gradients too."""
    noisy = t > 0  # where not, the jump goes from 1 to 1: one that stands still is exact at any level with noise
    return process.jump(x_t, torch.where(noisy, t, 1.0), torch.where(noisy, s, 1.0), x0)


def leave(process: Process, x_t: Tensor, t: Tensor, s: Tensor, x0: Tensor) -> tuple[Tensor, Tensor]:
    """``land`` and ``slope`` at once, which share their masks."""
    t, s = spread(t, x_t), spread(s, x_t)
    noisy = t > 0
    start = torch.where(noisy, t, 1.0)
    velocity = from_x0(x0, "velocity", process, x_t, start)
    return process.jump(x_t, start, torch.where(noisy, s, 1.0), x0), torch.where(noisy, velocity, 0.0)


def slope(process: Process, x_t: Tensor, t: Tensor, x0: Tensor) -> Tensor:
    """dx/dt (B, ...) of the probability-flow ODE at x_t, t, given x0; 0 where t = 0, where it has no limit."""
    clean = t <= 0
    there = torch.where(clean, 1.0, t)
    velocity = from_x0(x0, "velocity", process, x_t, there)
    return torch.where(spread(clean, x_t), 0.0, velocity)


def fresh(x: Tensor, rng: Rng | None, name: str = "noise") -> Tensor:
    """Unit noise shaped like x, drawn under ``name``; ValueError when the step was given no randomness."""
    if rng is None:
        raise ValueError("this solver draws noise: pass rng, a function name -> torch.Generator (e.g. key.generator)")
    return torch.randn(x.shape, generator=rng(name), device=x.device, dtype=x.dtype)
