"""The discrete schedules that pipelines were trained with, made continuous between their timesteps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from workbench.noise.process import Process

SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")


@dataclass(frozen=True)
class VpTable(Process):
    """Variance preserving, given by betas at timesteps 0 ... T-1: t = k + 1 is timestep k, t = 0 is clean, t_max = T.

    alpha = cos(a), sigma = sin(a), where the angle a(t) is linear between timesteps: finite at both ends, also where
    the last timestep is pure noise (``zero_terminal_snr``, 2305.08891 alg. 1). ``betas``, if given, are used as they
    are. The bounds on sigma are the table's own. Source of the schedules: 2006.11239, 2102.09672, 2112.10752.
    """

    beta_schedule: str = "scaled_linear"
    beta_start: float = 0.00085
    beta_end: float = 0.012
    num_train_timesteps: int = 1000
    zero_terminal_snr: bool = False
    betas: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.betas is None and self.beta_schedule not in SCHEDULES:
            raise ValueError(f"unknown beta_schedule {self.beta_schedule!r}; known: {', '.join(SCHEDULES)}; "
                             "or give the betas themselves")
        first, last = (float(angle) for angle in self.angles[[1, -1]])
        object.__setattr__(self, "sigma_min", math.tan(first))
        object.__setattr__(self, "sigma_max", math.inf if self.zero_terminal_snr else math.tan(last))
        super().__post_init__()

    @property
    def schedule(self) -> tuple:
        return (type(self).__name__, self.beta_schedule, self.beta_start, self.beta_end, self.num_train_timesteps,
                self.zero_terminal_snr, self.betas)

    @property
    def angles(self) -> Tensor:
        """(T + 1,) angles at t = 0 ... T, rising from 0."""
        return table(*self.schedule[1:])

    @property
    def t_max(self) -> float:
        return float(len(self.angles) - 1)

    def angle(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The angle at t and its rate, in fp64: in fp32 the cosine near pure noise would lose half its digits."""
        knots, t = self.angles.to(t.device), t.double()
        before = t.detach().floor().long().clamp(0, len(knots) - 2)
        rate = knots[before + 1] - knots[before]
        return knots[before] + (t - before) * rate, rate

    def signal_noise(self, t: Tensor) -> tuple[Tensor, Tensor]:
        angle, _ = self.angle(t)
        return torch.cos(angle).to(t.dtype), torch.sin(angle).to(t.dtype)

    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        angle, rate = self.angle(t)
        return (-rate * torch.sin(angle)).to(t.dtype), (rate * torch.cos(angle)).to(t.dtype)

    def time(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        knots, angle = self.angles.to(alpha.device), torch.atan2(sigma.double(), alpha.double())
        before = (torch.searchsorted(knots, angle.detach().contiguous(), right=True) - 1).clamp(0, len(knots) - 2)
        return (before + (angle - knots[before]) / (knots[before + 1] - knots[before])).to(alpha.dtype)


@lru_cache(maxsize=16)
def table(schedule: str, start: float, end: float, count: int, zero_terminal_snr: bool,
          betas: tuple[float, ...] | None) -> Tensor:
    """(T + 1,) angles of a schedule, 0 first."""
    if betas is not None:
        beta = torch.tensor(betas, dtype=torch.float64)
    elif schedule == "linear":
        beta = torch.linspace(start, end, count, dtype=torch.float64)
    elif schedule == "scaled_linear":
        beta = torch.linspace(start**0.5, end**0.5, count, dtype=torch.float64) ** 2
    else:
        bar = torch.cos((torch.arange(count + 1, dtype=torch.float64) / count + 0.008) / 1.008 * math.pi / 2) ** 2
        beta = (1 - bar[1:] / bar[:-1]).clamp(max=0.999)
    alpha = (1 - beta).cumprod(0).sqrt()
    if zero_terminal_snr:
        alpha = (alpha - alpha[-1]) * (alpha[0] / (alpha[0] - alpha[-1]))
    return torch.cat([torch.zeros(1, dtype=torch.float64), torch.acos(alpha)])
