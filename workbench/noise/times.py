"""Grids and laws of noise levels, given in any process's own t.

A grid is (N+1,) falling from t_max to 0 (N steps). Laws return t (B,) drawn through a generator.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from workbench.noise.process import Process


def from_sigma(process: Process, sigma: Tensor) -> Tensor:
    """t at noise levels sigma (noise over signal), shaped like sigma."""
    return process.time(torch.ones_like(sigma), sigma)


def karras_sigmas(process: Process, steps: int, rho: float = 7.0) -> Tensor:
    """(steps,) noise levels falling from sigma_max to sigma_min, EDM eq. 5; needs finite bounds."""
    low, high = _bounds(process)
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64) if steps > 1 else torch.zeros(1, dtype=torch.float64)
    return (high ** (1 / rho) + ramp * (low ** (1 / rho) - high ** (1 / rho))) ** rho


def karras(process: Process, steps: int, rho: float = 7.0) -> Tensor:
    """(steps + 1,) times: the EDM levels, then 0."""
    return _closed(from_sigma(process, karras_sigmas(process, steps, rho)), process)


def uniform(process: Process, steps: int) -> Tensor:
    """(steps + 1,) times evenly spaced from t_max to 0 (DDIM's and flow matching's grid)."""
    return torch.linspace(process.t_max, 0, steps + 1, dtype=torch.float64).float()


def log_snr(process: Process, steps: int) -> Tensor:
    """(steps + 1,) times evenly spaced in log(alpha/sigma) down to sigma_min, then 0 (DPM-Solver's grid)."""
    low, high = _bounds(process)
    sigma = torch.linspace(math.log(high), math.log(low), steps, dtype=torch.float64).exp()
    return _closed(from_sigma(process, sigma), process)


def trig(process: Process, steps: int) -> Tensor:
    """(steps + 1,) times evenly spaced in TrigFlow's angle (sCM's and rCM's few-step grids are near it)."""
    top = math.atan2(1, 0) if math.isinf(process.sigma_max) else math.atan(process.sigma_max / process.sigma_data)
    angle = torch.linspace(top, 0, steps + 1, dtype=torch.float64)
    return _closed(process.time(torch.cos(angle[:-1]), process.sigma_data * torch.sin(angle[:-1])), process)


SPACINGS = {"karras": karras, "uniform": uniform, "log_snr": log_snr, "trig": trig}


def log_normal(process: Process, batch: int, rng: torch.Generator, mean: float = -1.2, std: float = 1.2) -> Tensor:
    """t (B,) with log sigma ~ N(mean, std^2), clipped to the process's bounds (EDM table 1)."""
    sigma = torch.exp(mean + std * torch.randn(batch, generator=rng, device=rng.device))
    return from_sigma(process, sigma.clamp(max(process.sigma_min, 1e-6), min(process.sigma_max, 1e6)))


def uniform_time(process: Process, batch: int, rng: torch.Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    """t (B,) uniform between the shares low and high of [0, t_max]."""
    return process.t_max * (low + (high - low) * torch.rand(batch, generator=rng, device=rng.device))


def _bounds(process: Process) -> tuple[float, float]:
    return max(process.sigma_min, 1e-3 * process.sigma_data), min(process.sigma_max, 1e3 * process.sigma_data)


def _closed(times: Tensor, process: Process) -> Tensor:
    times = torch.cat([times, torch.zeros(1, dtype=torch.float64)]).float()
    times[0] = process.t_max
    return times
