"""CTM's gamma sampler: jump below the next level, then noise up to it (2310.02279 alg. 3).

In Edm: land at sqrt(1 - gamma^2) s, add gamma s of noise. Elsewhere the same noise levels nu = sigma/alpha are meant:
land at u with nu(u) = sqrt(1 - gamma^2) nu(s), scale by alpha(s)/alpha(u), add gamma sigma(s) of noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from workbench.noise.process import Process, spread
from workbench.solvers.solver import Moved, Net, Rng, fresh, land
from workbench.types import Unit


@dataclass(frozen=True)
class Gamma:
    """For two-time nets, asked as net(x_t, t, u). gamma = 0 is ``FlowMap`` and draws nothing; 1 is CM's sampling."""

    gamma: Unit = 0.0
    order: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma must lie in [0, 1] (0 deterministic, 1 noise afresh), got {self.gamma}")

    def step(self, net: Net, process: Process, x_t: Tensor, t: Tensor, s: Tensor, memory: Any = None,
             rng: Rng | None = None, *, last: bool = False) -> Moved:
        below = s
        if self.gamma > 0:
            alpha_s, sigma_s = process.signal_noise(s)
            below = torch.where(s < t, process.time(alpha_s, math.sqrt(1 - self.gamma**2) * sigma_s), s)
        x0 = net(x_t, t, below)
        x_s = land(process, x_t, t, below, x0)
        if self.gamma > 0 and not last:
            there, here = spread(s, x_t), spread(below, x_t)
            scale = process.signal_noise(there)[0] / process.signal_noise(here)[0]
            raised = scale * x_s + self.gamma * process.signal_noise(there)[1] * fresh(x_t, rng)
            x_s = torch.where(spread(s < t, x_t), raised, x_s)
        return Moved(x_s, x0, kind="jump")
