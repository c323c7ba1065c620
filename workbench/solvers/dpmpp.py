"""DPM-Solver++ (2M): second order from one evaluation a step (2211.01095 alg. 2, data prediction).

The step is Euler's with x0 extrapolated to the middle of the step in half log-SNR lambda = log(alpha/sigma):
D = x0 + h/(2 h_before) (x0 - x0_before), h = lambda(s) - lambda(t).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from workbench.noise.process import Process, spread
from workbench.solvers.solver import Moved, Net, Rng, land, slope


class Before(NamedTuple):
    """The previous step: its prediction x0 (B, ...) and the level t (B,) or (B, F) it was made at."""

    x0: Tensor
    t: Tensor


@dataclass(frozen=True)
class DpmPlusPlus:
    """Second order, deterministic, multistep: first order at the start, from pure noise and where s = 0."""

    order: ClassVar[int] = 2

    def step(self, net: Net, process: Process, x_t: Tensor, t: Tensor, s: Tensor, memory: Before | None = None,
             rng: Rng | None = None, *, last: bool = False) -> Moved:
        x0 = net(x_t, t)
        pointer = x0
        if memory is not None and not last:
            share = spread(_share(process, memory.t, t, s), x_t)
            pointer = x0 + share * (x0 - memory.x0)
        return Moved(land(process, x_t, t, s, pointer), x0, slope(process, x_t, t, x0), memory=Before(x0, t))


def _share(process: Process, before: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """h / (2 h_before), shaped like t; 0 where it is not finite: s = 0 or t = 0, no step before, or from pure noise."""
    lambdas = [torch.log(alpha) - torch.log(sigma) for alpha, sigma in map(process.signal_noise, (before, t, s))]
    step, step_before = lambdas[2] - lambdas[1], lambdas[1] - lambdas[0]
    share = step / (2 * step_before)
    return torch.where(torch.isfinite(share), share, torch.zeros_like(share))
