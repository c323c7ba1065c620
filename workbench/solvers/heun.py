"""Heun's step: EDM's deterministic sampler (2206.00364 alg. 1), for any process through its velocity.

Departs: outside Edm and LinearFlow the trial point is DDIM's (exact for a constant x0), the mean of slopes stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from workbench.noise.convert import from_x0
from workbench.noise.process import Process, spread
from workbench.solvers.solver import Moved, Net, Rng, leave


@dataclass(frozen=True)
class Heun:
    """Second order, two evaluations a step (one when ``last``), deterministic; lands on x0 where s = 0."""

    order: ClassVar[int] = 2

    def step(self, net: Net, process: Process, x_t: Tensor, t: Tensor, s: Tensor, memory: Any = None,
             rng: Rng | None = None, *, last: bool = False) -> Moved:
        x0, here, there = net(x_t, t), spread(t, x_t), spread(s, x_t)
        trial, first = leave(process, x_t, here, there, x0)
        if last:
            return Moved(trial, x0, first)
        noisy = there > 0
        end = torch.where(noisy, there, 1.0)  # any level where the slope is finite; unused where s = 0
        second = from_x0(net(trial, end.reshape(s.shape)), "velocity", process, trial, end)
        x_s = x_t + (there - here) * (first + second) / 2
        return Moved(torch.where(noisy, x_s, trial), x0, first, evaluations=2)
