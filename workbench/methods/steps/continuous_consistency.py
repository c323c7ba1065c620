"""Continuous-time consistency in TrigFlow: the student regresses its own value plus the tangent of its trajectory.

Simplifying, Stabilizing and Scaling Continuous-Time Consistency Models (sCM), arXiv 2410.11081, algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from workbench.methods.parts.distances import square
from workbench.methods.parts.draws import noise_like
from workbench.methods.parts.schedules import cosine, ramped
from workbench.methods.parts.tangent import Tangent, along
from workbench.nets.heads import Uncertainty
from workbench.noise import Process, TrigFlow, spread
from workbench.noise.times import log_normal
from workbench.solvers import Consistency, Sampler
from workbench.types import Average, Loss, NonNegative, Positive, Unit, Update


@dataclass(frozen=True)
class ContinuousConsistency:
    """f(x, t) = cos t x - sin t sigma_data F(x, t); the tangent of F comes from forward mode or a difference.

    ``distil`` = False trains without a teacher (sCT: the data pair's velocity). ``tangent_warmup`` is the share of
    steps over which the unstable part of the tangent comes in (r), ``tangent_norm`` the c of g / (|g| + c), 0 = off.
    ``mean`` and ``std`` shape log(sigma) of the noise level, sigma = sigma_data tan t.
    """

    process: Process = TrigFlow()
    tangent: Tangent = "jvp"
    tangent_norm: NonNegative = 0.1
    tangent_warmup: Unit = 0.1
    distil: bool = True
    mean: float = -1.0
    std: Positive = 1.4
    ema: Average = 0.999
    lr: Positive = 1e-3
    form = "F"

    def extras(self, teacher, student, example):
        return {"uncertainty": Uncertainty()}

    def updates(self):
        return (Update(("student", "uncertainty"), self.loss, cosine(self.lr), average=ramped(self.ema)),)

    def sampler(self):
        return Sampler(Consistency(), "trig", 1)

    def loss(self, nets, batch, now):
        sd, y = self.process.sigma_data, batch.y
        t = log_normal(self.process, len(batch.x), now.rng("time"), self.mean, self.std)  # [B]
        noise = noise_like(batch.x, now)
        x_t = self.process.add_noise(batch.x, t, noise)  # [B, ...]
        cos, sin = torch.cos(spread(t, x_t)), torch.sin(spread(t, x_t))
        with torch.no_grad():
            dx = sd * nets["teacher"](x_t, t, cond=y) if self.distil else cos * sd * noise - sin * batch.x  # dx_t/dt
        student = lambda x, level: nets["student"](x, level, None, y)  # noqa: E731
        # d F / dt times cos t sin t, which tames the time derivative at both ends
        old, slope = along(student, x_t, t, cos * sin * dx, torch.cos(t) * torch.sin(t), self.tangent)
        warm = min(1.0, now.step / (self.tangent_warmup * now.steps)) if self.tangent_warmup else 1.0
        g = -cos * cos * (sd * old - dx) - warm * (cos * sin * x_t + sd * slope)
        if self.tangent_norm:
            size = g.flatten(1).norm(dim=1).div(g[0].numel() ** 0.5)
            g = g / (spread(size, g) + self.tangent_norm)
        guess = nets["student"](x_t, t, cond=y)
        gap, weight = square(guess, old + g) / g[0].numel(), nets["uncertainty"](t)
        total = (torch.exp(-weight) * gap + weight).mean()
        parts = dict(tangent=gap.mean(), tangent_norm=g.detach().flatten(1).norm(dim=1).mean())
        return Loss(total, parts, dict(x_t=x_t, t=t, target=old + g, guess=guess))
