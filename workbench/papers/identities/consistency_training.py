"""Improved consistency training: data at one point xi, a one-parameter student f = (m/sigma) x + (1 - m/sigma) theta.

With m = sigma_min, f is the exact consistency function at theta = xi. As the grid is refined, the gradient has a finite
limit when the target's theta is the student's, and grows with the grid when it lags behind (2310.14189, sec. 3.2).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from workbench.methods.steps.consistency_training import ConsistencyTraining
from workbench.noise import Edm
from workbench.randomness import Key
from workbench.types import Now, Samples

XI, THETA = 0.3, 1.1
COUNT = 4096
LAW = ConsistencyTraining(process=Edm(0.1, 20.0), distance="square", mean=-0.2, std=1.0)


class OneParameter(nn.Module):
    """f(x, sigma) = (m/sigma) x + (1 - m/sigma) theta in Edm, of points (B, 1)."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta, dtype=torch.float64))

    def forward(self, x_t: Tensor, t: Tensor, s=None, cond=None, guidance=None) -> Tensor:
        keep = (LAW.process.sigma_min / t.double())[:, None]
        return keep * x_t + (1 - keep) * self.theta


def gradient(grid: int, lag: float = 0.0) -> float:
    """d loss / d theta at a fixed grid of this many intervals, the target's theta behind by ``lag``."""
    method = LAW.__class__(**{**LAW.__dict__, "start_grid": grid, "end_grid": grid})
    nets = {"student": OneParameter(THETA), "student.average": OneParameter(THETA - lag)}
    data = Samples(torch.full((COUNT, 1), XI, dtype=torch.float64))
    total = method.loss(nets, data, Now(0, 100, Key(0))).total
    return float(torch.autograd.grad(total, nets["student"].theta)[0])


def limit(count: int = COUNT) -> float:
    """The gradient of the continuous limit, 2 (theta - xi) E[m / sigma^2 (1 - m / sigma)], over the same draws.

    The levels are the log-normal law's, cut to [sigma_min, sigma_max]: its quantiles at the uniforms the loss draws.
    """
    m, root = LAW.process.sigma_min, math.sqrt(2)
    low, high = (math.erf((math.log(v) - LAW.mean) / (LAW.std * root)) for v in (m, LAW.process.sigma_max))
    share = torch.rand(count, generator=Now(0, 100, Key(0)).rng("time")).double()
    sigma = torch.exp(LAW.mean + LAW.std * root * torch.erfinv(low + share * (high - low)))
    return float(2 * (THETA - XI) * (m / sigma**2 * (1 - m / sigma)).mean())


def delta_limit() -> float:
    """Relative distance of the gradient on 20,000 intervals to its limit."""
    return abs(gradient(20_000) / limit() - 1)


def first_order() -> float:
    """The distance to the limit halves as the grid doubles: |ratio - 2|, from 500 to 1000 intervals."""
    return abs((gradient(500) - limit()) / (gradient(1000) - limit()) - 2)


def lagging_target_diverges() -> float:
    """With a target behind by 0.1 the gradient doubles with the grid: |ratio - 2|, from 5,000 to 10,000 intervals."""
    return abs(gradient(10_000, lag=0.1) / gradient(5_000, lag=0.1) - 2)
