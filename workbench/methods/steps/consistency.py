"""Consistency distillation: neighbouring points of one teacher trajectory must have the same end.

Consistency Models, arXiv 2303.01469, algorithm 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from workbench.methods.parts.distances import DISTANCES, Distance
from workbench.methods.parts.draws import integers, noise_like
from workbench.methods.parts.grids import levels
from workbench.methods.parts.schedules import cosine, ramped
from workbench.noise import Edm, Process
from workbench.solvers import Consistency, Heun, Sampler, Solver
from workbench.types import Average, Count, Loss, Positive, Update


@dataclass(frozen=True)
class ConsistencyDistillation:
    """The student f(x_t, t) regresses its slow copy one solver step further down the teacher's ODE.

    ``grid`` intervals of Karras levels (rho 7) end at 0, where f(x, 0) = x holds by construction.
    Departs: the boundary sits at 0 and not at sigma_min, so no skip coefficient has to be shifted.
    """

    process: Process = Edm()
    solver: Solver = Heun()
    grid: Count = 18  # N of the paper
    distance: Distance = "square"  # between the student's answer and the target's
    average: Average = 0.95  # mu: decay of the target network
    ema: Average = 0.999  # decay of the network that is sampled
    lr: Positive = 1e-3  # at its highest: a short rise, then a cosine
    form = "x0"

    def updates(self):
        return (Update(("student",), self.loss, cosine(self.lr), average=(self.average, ramped(self.ema))),)

    def sampler(self):
        return Sampler(Consistency(), "trig", 1)

    def loss(self, nets, batch, now):
        grid = levels(self.process, self.grid, device=now.device)
        i = integers(0, self.grid, len(batch.x), now)  # [B]
        t, s = grid[i], grid[i + 1]  # [B] each, s < t
        x_t = self.process.add_noise(batch.x, t, noise_like(batch.x, now))  # [B, ...]
        with torch.no_grad():
            teacher = lambda x, level, to=None: nets["teacher"](x, level, cond=batch.y)  # noqa: E731
            x_s = self.solver.step(teacher, self.process, x_t, t, s).x_s
            target = nets["student.average"](x_s, s, cond=batch.y)
        guess = nets["student"](x_t, t, cond=batch.y)
        total = DISTANCES[self.distance](guess, target).mean()
        return Loss(total, dict(consistency=total), dict(x_t=x_t, t=t, target=target, guess=guess))
