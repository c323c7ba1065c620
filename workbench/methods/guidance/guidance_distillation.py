"""Guidance distillation: one network with the guidance scale as an input, then fewer and fewer steps.

On Distillation of Guided Diffusion Models, arXiv 2210.03142: stage 1 is eq. 4, stage 2 section 3.2.
The paper's w is ours minus one: guided = uncond + guidance_scale (cond - uncond), 1 is off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from workbench.methods.parts.distances import square
from workbench.methods.parts.draws import noise_like, uniform
from workbench.methods.parts.halving import halving_acts, take_over, truncated_snr, two_step_target, two_step_times
from workbench.methods.parts.schedules import cosine, ramped
from workbench.nets.clone import clone
from workbench.noise import Process, VpCosine
from workbench.solvers import Euler, Sampler
from workbench.types import Act, Average, Count, Loss, Positive, Unit, Update


@dataclass(frozen=True)
class GuidanceDistillation:
    """Stage 1 regresses the guided teacher at any scale; stage 2 halves its steps, ``start_steps`` to ``end_steps``.

    ``first_stage`` is the share of steps for stage 1; with ``start_steps`` = 0 it is all there is. ``embed`` = False
    is the ablation that knows one scale only, ``guidance_max``.
    """

    process: Process = VpCosine()
    guidance_min: Positive = 1.0
    guidance_max: Positive = 5.0
    guidance_scale: Positive = 3.0  # sampled at by default
    start_steps: int = 16
    end_steps: Count = 1
    first_stage: Unit = 0.4
    embed: bool = True
    ema: Average = 0.999
    lr: Positive = 1e-3
    steps: int = 0  # N of this act, 0 in stage 1
    guide: str = "teacher"
    form = "x0"
    guided = True
    conditional = True

    def extras(self, teacher, student, example):
        return {"previous": clone(student)}

    def acts(self, steps):
        if not self.start_steps:
            return (Act("guidance", self, steps),)
        first = max(int(self.first_stage * steps), 1)
        rule = lambda n, guide: replace(self, steps=n, guide="previous")  # noqa: E731
        later = halving_acts(rule, self.start_steps, self.end_steps, steps - first, take_over)
        alone = replace(self, start_steps=0, steps=0)
        return (Act("guidance", alone, first), replace(later[0], enter=take_over), *later[1:])

    def updates(self):
        return (Update(("student",), self.loss, cosine(self.lr), average=ramped(self.ema)),)

    def sampler(self):
        if not self.start_steps:
            return Sampler(Euler(), "uniform", 64)
        return Sampler(Euler(), "uniform", self.steps or self.end_steps, only=True)

    def loss(self, nets, batch, now):
        share = uniform(len(batch.x), now, "scale") * self.embed
        scale = self.guidance_max - (self.guidance_max - self.guidance_min) * share  # [B]
        if self.steps:
            t, m, s = two_step_times(self.process, self.steps, len(batch.x), now)  # [B] each
        else:
            t = (1 - uniform(len(batch.x), now)) * self.process.t_max  # [B] in (0, t_max]
        x_t = self.process.add_noise(batch.x, t, noise_like(batch.x, now))  # [B, ...]
        with torch.no_grad():
            if self.steps:
                guide = lambda x, level: nets["previous"](x, level, cond=batch.y, guidance=scale)  # noqa: E731
                target = two_step_target(guide, self.process, x_t, t, m, s)
            else:
                target = nets["teacher"](x_t, t, cond=batch.y, guidance=scale)
        guess = nets["student"](x_t, t, cond=batch.y, guidance=scale)
        total = (truncated_snr(self.process, t) * square(guess, target)).mean()
        return Loss(total, {"halving" if self.steps else "guidance": total},
                    dict(x_t=x_t, t=t, target=target, guess=guess))
