"""Euler's step: follow the line that x0 points out. DDIM with eta = 0 (2010.02502 eq. 12); in Edm and LinearFlow the
plain Euler step of the probability-flow ODE, elsewhere the one that is exact for a constant x0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from workbench.noise.process import Process
from workbench.solvers.solver import Moved, Net, Rng, leave


@dataclass(frozen=True)
class Euler:
    """First order, one evaluation a step, deterministic."""

    order: ClassVar[int] = 1

    def step(self, net: Net, process: Process, x_t: Tensor, t: Tensor, s: Tensor, memory: Any = None,
             rng: Rng | None = None, *, last: bool = False) -> Moved:
        x0 = net(x_t, t)
        x_s, velocity = leave(process, x_t, t, s, x0)
        return Moved(x_s, x0, velocity)
