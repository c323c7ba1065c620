"""Ancestral sampling: the posterior step of DDPM, DDIM's family between it and the ODE (2010.02502 eq. 16).

In any process the fresh noise has deviation eta sigma(s) sqrt(1 - (nu(s)/nu(t))^2), nu = sigma/alpha; what is left of
sigma(s) is old noise. eta = 1 is q(x_s | x_t, x0): DDPM (2006.11239 eq. 7), k-diffusion's ancestral Euler in Edm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from workbench.noise.process import Process, spread
from workbench.solvers.solver import Moved, Net, Rng, fresh, slope
from workbench.types import Unit


@dataclass(frozen=True)
class Ancestral:
    """First (weak) order, one evaluation a step; eta = 0 is ``Euler`` and draws nothing."""

    eta: Unit = 1.0
    order: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta must lie in [0, 1] (0 the ODE, 1 ancestral), got {self.eta}")

    def step(self, net: Net, process: Process, x_t: Tensor, t: Tensor, s: Tensor, memory: Any = None,
             rng: Rng | None = None, *, last: bool = False) -> Moved:
        x0, stays = net(x_t, t), spread(s >= t, x_t)
        start = torch.where(s >= t, torch.ones_like(t), t)
        (alpha, sigma), (alpha_s, sigma_s) = map(process.signal_noise, (spread(start, x_t), spread(s, x_t)))
        ratio = torch.where(stays, torch.ones_like(sigma), sigma_s * alpha / (alpha_s * sigma))  # nu(s)/nu(t)
        up = self.eta * torch.sqrt((1 - ratio * ratio).clamp(min=0))  # shares of sigma(s): fresh and old noise
        down = sigma_s * torch.sqrt(1 - up * up)
        x_s = down / sigma * x_t + (alpha_s - down / sigma * alpha) * x0
        if self.eta > 0 and not last:
            x_s = x_s + up * sigma_s * fresh(x_t, rng)
        return Moved(torch.where(stays, x_t, x_s), x0, slope(process, x_t, t, x0))
