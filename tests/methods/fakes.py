"""Nets whose answer is a formula of one number, so that losses can be worked by hand; and where a loss stands."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from workbench.noise import Edm, Process
from workbench.randomness import Key
from workbench.types import Now, Samples


class Times(nn.Module):
    """x0 = a x_t, whatever t; ``asked`` keeps every call's arguments and whether it kept a gradient."""

    form = "x0"

    def __init__(self, a: float, process: Process | None = None) -> None:
        super().__init__()
        self.a, self.process = nn.Parameter(torch.tensor(a, dtype=torch.float64)), process or Edm()
        self.asked: list[dict] = []

    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, cond=None, guidance=None) -> Tensor:
        grad = torch.is_grad_enabled()
        self.asked.append(dict(x_t=x_t.detach(), t=t, s=s, cond=cond, guidance=guidance, grad=grad))
        return self.a * x_t


class Gaussian(nn.Module):
    """E[x0 | x_t] of data N(mean, deviation^2) in any process; labels shift the mean by ``shift`` each."""

    form = "x0"

    def __init__(self, deviation: float = 1.0, mean: float = 0.0, process: Process | None = None, shift: float = 0.0):
        super().__init__()
        self.deviation, self.mean, self.process, self.shift = deviation, mean, process or Edm(), shift
        self.asked: list[dict] = []

    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, cond=None, guidance=None) -> Tensor:
        self.asked.append(dict(x_t=x_t, t=t, s=s, cond=cond, guidance=guidance))
        if guidance is not None and cond is not None:
            free, bound = self.told(x_t, t, None), self.told(x_t, t, cond)
            return free + guidance[:, None] * (bound - free)
        return self.told(x_t, t, cond)

    def told(self, x_t: Tensor, t: Tensor, cond) -> Tensor:
        alpha, sigma = (value[:, None] for value in self.process.signal_noise(t))
        mean = self.mean + (0.0 if cond is None else self.shift * cond[:, None])
        gain = alpha * self.deviation**2 / (alpha**2 * self.deviation**2 + sigma**2)
        return mean + gain * (x_t - alpha * mean)


class Flat(nn.Module):
    """The same number at every t: a log-variance, or a logit that asks a net for nothing."""

    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value, dtype=torch.float64))

    def forward(self, t: Tensor) -> Tensor:
        return self.value.expand(len(t))


def points(count: int = 64, labelled: bool = False) -> Samples:
    """fp64 points (B, 2) of seed 0, labels 0 and 1 in turn when asked for."""
    x = torch.randn(count, 2, generator=Key(0).generator("points"), dtype=torch.float64)
    return Samples(x, torch.arange(count) % 2 if labelled else None)


def at(step: int = 0, steps: int = 100, seed: int = 0) -> Now:
    return Now(step, steps, Key(seed, step=step))


def drawn(name: str, now: Now, like: Tensor) -> Tensor:
    """The unit noise that a loss draws under ``name``."""
    return torch.randn(like.shape, generator=now.rng(name), dtype=like.dtype)


def mean_square(a: Tensor, b: Tensor) -> float:
    """Mean over samples of |a - b|^2."""
    return float((a - b).detach().square().sum(1).mean())
