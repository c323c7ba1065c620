"""Discretisations of the noise range, cached as float32 times on the device."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from workbench.noise import Process
from workbench.noise.times import SPACINGS, from_sigma, karras_sigmas


@lru_cache(maxsize=256)
def levels(process: Process, steps: int, spacing: str = "karras", device: torch.device | str = "cpu") -> Tensor:
    """(steps + 1,) times falling from t_max to 0."""
    return SPACINGS[spacing](process, steps).float().to(device)


@lru_cache(maxsize=256)
def log_normal_grid(process: Process, steps: int, mean: float, std: float) -> tuple[Tensor, Tensor, Tensor]:
    """iCT's levels (2310.14189, eq. 13): times rising from sigma_min (steps,), sigmas (steps,) and, for each of the
    steps - 1 neighbours, the cumulated probability prop. to the log-normal's mass between them."""
    sigma = karras_sigmas(process, steps).flip(0)
    edges = torch.erf((sigma.log() - mean) / (std * 2**0.5))
    mass = (edges[1:] - edges[:-1]).clamp(min=1e-12)
    return from_sigma(process, sigma).float(), sigma.float(), (mass.cumsum(0) / mass.sum()).float()
