"""Consistency training without a teacher: two noise levels of one data point with one noise must have the same end.

Improved Techniques for Training Consistency Models, arXiv 2310.14189, sections 3.1-3.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from workbench.methods.parts.distances import DISTANCES, Distance
from workbench.methods.parts.draws import noise_like, uniform
from workbench.methods.parts.grids import log_normal_grid
from workbench.methods.parts.schedules import cosine, ramped
from workbench.noise import Edm, Process
from workbench.solvers import Consistency, Sampler
from workbench.types import Average, Count, Loss, Positive, Update


@dataclass(frozen=True)
class ConsistencyTraining:
    """f(x0 + sigma' z) regresses f(x0 + sigma z) at the next lower level of a grid that doubles during training.

    ``average`` is the target's decay: 0 takes the current weights (the paper's correction), 0.95 the older practice.
    ``start_grid`` = ``end_grid`` keeps the grid fixed. ``mean`` and ``std`` shape the log-normal law of the levels.
    """

    process: Process = Edm()
    start_grid: Count = 10  # s0
    end_grid: Count = 1280  # s1
    mean: float = -1.1
    std: Positive = 2.0
    distance: Distance = "pseudo_huber"
    average: Average = 0.0
    ema: Average = 0.999
    lr: Positive = 1e-3
    form = "x0"

    def updates(self):
        return (Update(("student",), self.loss, cosine(self.lr), average=(self.average, ramped(self.ema))),)

    def sampler(self):
        return Sampler(Consistency(), "trig", 1)

    def grid(self, now):
        """N(k) = min(s0 2^floor(k / K'), s1) + 1 levels, K' = floor(K / (log2 floor(s1 / s0) + 1)) (eq. 14)."""
        doublings = math.log2(max(self.end_grid // self.start_grid, 1))
        each = max(math.floor(now.steps / (doublings + 1)), 1)
        return min(self.start_grid * 2 ** (now.step // each), self.end_grid) + 1

    def loss(self, nets, batch, now):
        times, sigmas, cumulated = log_normal_grid(self.process, self.grid(now), self.mean, self.std)
        i = torch.searchsorted(cumulated, uniform(len(batch.x), now)).clamp(max=len(cumulated) - 1)  # [B]
        s, t = times[i], times[i + 1]  # [B] each, s < t
        noise = noise_like(batch.x, now)  # [B, ...], shared by both levels
        x_t = self.process.add_noise(batch.x, t, noise)
        with torch.no_grad():
            target = nets["student.average"](self.process.add_noise(batch.x, s, noise), s, cond=batch.y)
        guess = nets["student"](x_t, t, cond=batch.y)
        gap = DISTANCES[self.distance](guess, target)  # [B]
        total = (gap / (sigmas[i + 1] - sigmas[i])).mean()
        return Loss(total, dict(consistency=total, gap=gap.mean()), dict(x_t=x_t, t=t, target=target, guess=guess))
