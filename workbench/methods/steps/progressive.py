"""Progressive distillation: a student learns two of its guide's steps as one, then becomes the guide.

Progressive Distillation for Fast Sampling of Diffusion Models, arXiv 2202.00512, algorithm 2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from workbench.methods.parts.distances import square
from workbench.methods.parts.draws import noise_like
from workbench.methods.parts.halving import halving_acts, take_over, truncated_snr, two_step_target, two_step_times
from workbench.methods.parts.schedules import cosine, ramped
from workbench.nets.clone import clone
from workbench.noise import Process, VpCosine
from workbench.solvers import Euler, Sampler
from workbench.types import Average, Count, Loss, Positive, Update


@dataclass(frozen=True)
class ProgressiveDistillation:
    """Acts of ``start_steps``, half of it, ..., ``end_steps`` DDIM steps; weight max(1, SNR) on the x0 prediction.

    Departs: each act takes over the student's average, where the paper takes the last weights.
    """

    process: Process = VpCosine()
    start_steps: Count = 32
    end_steps: Count = 1
    ema: Average = 0.999
    lr: Positive = 1e-3
    steps: int = 0  # N of this act; 0: the whole programme
    guide: str = "teacher"
    form = "x0"

    def extras(self, teacher, student, example):
        return {"previous": clone(student)}

    def acts(self, steps):
        rule = lambda n, guide: replace(self, steps=n, guide=guide)  # noqa: E731
        return halving_acts(rule, self.start_steps, self.end_steps, steps, take_over)

    def updates(self):
        return (Update(("student",), self.loss, cosine(self.lr), average=ramped(self.ema)),)

    def sampler(self):
        return Sampler(Euler(), "uniform", self.steps or self.end_steps, only=True)

    def loss(self, nets, batch, now):
        t, m, s = two_step_times(self.process, self.steps or self.start_steps, len(batch.x), now)  # [B] each, t > m > s
        x_t = self.process.add_noise(batch.x, t, noise_like(batch.x, now))  # [B, ...]
        with torch.no_grad():
            guide = lambda x, level: nets[self.guide](x, level, cond=batch.y)  # noqa: E731
            target = two_step_target(guide, self.process, x_t, t, m, s)
        guess = nets["student"](x_t, t, cond=batch.y)
        total = (truncated_snr(self.process, t) * square(guess, target)).mean()
        return Loss(total, dict(halving=total), dict(x_t=x_t, t=t, target=target, guess=guess))
