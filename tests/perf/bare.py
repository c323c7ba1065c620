"""What the loops written by hand share: the task, EDM's preconditioning, schedules, a solver step and a sampler.

sd is sigma_data; sigma is EDM's noise level.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from workbench.randomness import Key

Seen = Iterator[tuple[tuple[Tensor, Tensor], ...]]  # (loss, gradient norm) of each gradient step of a step


@dataclass(frozen=True)
class Task:
    """What a loop trains on: a frozen teacher speaking x0 of (x, sigma, cond), a raw student, counted data, a seed."""

    teacher: Callable[..., Tensor]
    student: nn.Module
    data: Any
    sd: float
    sigma_min: float
    sigma_max: float
    steps: int
    seed: int = 0

    def rng(self, step: int, name: str, update: int = 0) -> torch.Generator:
        return Key(self.seed, 0, update, step, 0).generator(name)

    def randn(self, x: Tensor, step: int, name: str, update: int = 0) -> Tensor:
        return torch.randn(x.shape, generator=self.rng(step, name, update))


def wide(t: Tensor, x: Tensor) -> Tensor:
    return t.view(-1, *(1,) * (x.ndim - 1))


def denoise(net: nn.Module, sd: float, x: Tensor, sigma: Tensor, cond: Tensor | None = None) -> Tensor:
    """x0 by EDM's preconditioning of a net that takes an angle and unit variance times sd."""
    sigma_wide = wide(sigma, x)
    cos = sd * (sigma_wide.square() + sd * sd).rsqrt()
    output = net(cos * x, torch.atan2(sigma, torch.full_like(sigma, sd)), None, cond)
    return cos * (cos * x - sigma_wide * output)


def jump(net: nn.Module, sd: float, x: Tensor, sigma: Tensor, to: Tensor, cond: Tensor | None = None) -> Tensor:
    """The two-time map's pointer, as ``denoise`` with the second time."""
    sigma_wide, full = wide(sigma, x), torch.full_like(sigma, sd)
    cos = sd * (sigma_wide.square() + sd * sd).rsqrt()
    output = net(cos * x, torch.atan2(sigma, full), torch.atan2(to, full), cond)
    return cos * (cos * x - sigma_wide * output)


def cosine(lr: float, step: int, steps: int) -> float:
    p = step / steps
    if p < 0.01:
        return lr * (step + 1) / (0.01 * steps + 1)
    return lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (p - 0.01) / 0.99)))


def ramp(step: int) -> float:
    return min(0.999, (1 + step) / (10 + step))


def descend(loss: Tensor, optimizer: torch.optim.Adam, lr: float, clip: float = math.inf) -> tuple[Tensor, Tensor]:
    """One step of the optimiser's own weights, left out when the gradient is not finite; (loss, gradient norm)."""
    weights = optimizer.param_groups[0]["params"]
    optimizer.zero_grad()
    loss.backward(inputs=weights)
    if clip < math.inf:
        norm = torch.nn.utils.clip_grad_norm_(weights, clip)
    else:
        norm = torch.nn.utils.get_total_norm([weight.grad for weight in weights])
    if math.isfinite(norm):
        optimizer.param_groups[0]["lr"] = lr
        optimizer.step()
    return loss.detach(), norm


def frozen(net: nn.Module) -> nn.Module:
    return copy.deepcopy(net).requires_grad_(False).eval()


def heun(teacher: Callable, x: Tensor, sigma: Tensor, to: Tensor, cond: Tensor | None = None) -> Tensor:
    """EDM's step down to ``to``; onto the denoised point where that is 0."""
    wide_sigma, wide_to = wide(sigma, x), wide(to, x)
    slope = (x - teacher(x, sigma, None, cond)) / wide_sigma
    trial = x + (wide_to - wide_sigma) * slope
    inside = wide_to > 0
    end = torch.where(to > 0, to, sigma)
    second = (trial - teacher(trial, end, None, cond)) / wide(end, x)
    return torch.where(inside, x + (wide_to - wide_sigma) * 0.5 * (slope + second), trial)


@torch.no_grad()
def sample(net: nn.Module, sd: float, sigmas: Tensor, x: Tensor, cond: Tensor | None = None) -> Tensor:
    """EDM's Heun sampler (2206.00364, algorithm 1) down ``sigmas``, whose last is 0."""
    for sigma, to in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        here = x.new_full((len(x),), sigma)
        slope = (x - denoise(net, sd, x, here, cond)) / sigma
        trial = x + (to - sigma) * slope
        if to:
            slope = 0.5 * (slope + (trial - denoise(net, sd, trial, x.new_full((len(x),), to), cond)) / to)
            trial = x + (to - sigma) * slope
        x = trial
    return x
