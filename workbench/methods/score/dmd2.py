"""Distribution matching: the generator follows the difference of two scores, the data's and its own samples'.

Improved Distribution Matching Distillation (DMD2), arXiv 2405.14867, section 4; score difference of DMD, 2311.18828.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from workbench.methods.parts.denoising import denoising
from workbench.methods.parts.draws import noise_like, one_integer
from workbench.methods.parts.gan import fool, tell_apart
from workbench.methods.parts.grids import levels
from workbench.methods.parts.imitation import after_imitation, go_on, imitation, spread_levels
from workbench.methods.parts.pull import pull, score_difference
from workbench.methods.parts.schedules import cosine, ramped
from workbench.nets.clone import clone
from workbench.nets.heads import judge_like
from workbench.noise import Edm, Process
from workbench.solvers import Consistency, Sampler
from workbench.types import Adam, Average, Count, Loss, NonNegative, Positive, Unit, Update


@dataclass(frozen=True)
class Dmd2:
    """A few-step student, a critic fitted to its samples, a judge on the critic's features; two time scales.

    ``critic_turns`` critic steps to one of the student. ``backward_simulation`` feeds the student its own chain's
    states, else noised data. ``imitate`` is the share of steps that first fit student and critic to the teacher's
    denoiser, where they could not be born as its copies.
    """

    process: Process = Edm()
    num_inference_steps: Count = 1
    critic_turns: Count = 5
    gan: NonNegative = 3e-3  # lambda_G
    judge: NonNegative = 1e-2  # lambda_D
    guidance_scale: Positive = 1.0  # of the teacher
    backward_simulation: bool = True
    imitate: Unit = 0.0
    ema: Average = 0.999
    lr: Positive = 5e-4
    critic_lr: Positive = 5e-4
    stage: str = "match"
    form = "x0"

    def extras(self, teacher, student, example):
        judge = {"judge": judge_like(student, example.x, self.process)} if self.gan else {}
        return {"critic": clone(student), **judge}

    def acts(self, steps):
        return after_imitation(self, steps, "match", go_on("student", "critic"))

    def updates(self):
        if self.stage == "imitate":
            return imitation(self, self.ema)
        adam, critic = Adam(clip=10.0), ("critic", "judge") if self.gan else ("critic",)
        return (Update(critic, self.critic_loss, cosine(self.critic_lr), optimizer=adam),
                Update(("student",), self.student_loss, cosine(self.lr), every=self.critic_turns,
                       average=ramped(self.ema), optimizer=adam))

    def sampler(self):
        return Sampler(Consistency(), "trig", self.num_inference_steps, only=True)

    def generate(self, nets, batch, now):
        """x (B, ...) from a random step of the student's own chain; only that step carries gradient."""
        student, b = nets["student"], len(batch.x)
        grid = levels(self.process, self.num_inference_steps, "trig", now.device)
        turn = one_integer(0, self.num_inference_steps, now, "turn")
        x = self.process.prior(noise_like(batch.x, now, "start"))
        if turn and not self.backward_simulation:
            x = self.process.add_noise(batch.x, grid[turn].expand(b), noise_like(batch.x, now, "turn"))
        elif turn:
            with torch.no_grad():
                for k in range(turn):
                    x0 = student(x, grid[k].expand(b), cond=batch.y)
                    x = self.process.add_noise(x0, grid[k + 1].expand(b), noise_like(x, now, f"turn {k}"))
        return student(x, grid[turn].expand(b), cond=batch.y)

    def noised(self, x, now, name="level"):
        """x_t and t (B,) between the shares 0.02 and 0.98 of the noise range."""
        t = spread_levels(self.process, len(x), now, f"{name} time")
        return self.process.add_noise(x, t, noise_like(x, now, f"{name} noise")), t

    def critic_loss(self, nets, batch, now):
        with torch.no_grad():
            fake = self.generate(nets, batch, now)
        x_t, t = self.noised(fake, now)
        fit = denoising(nets["critic"](x_t, t, cond=batch.y), fake, self.process, t)
        if not self.gan:
            return Loss(fit, dict(fit=fit))
        real, t_real = self.noised(batch.x, now, "real")
        judge, critic = nets["judge"], nets["critic"]
        told = tell_apart(judge(critic, real, t_real, batch.y), judge(critic, x_t, t, batch.y))
        return Loss(fit + self.judge * told, dict(fit=fit, judge=told))

    def student_loss(self, nets, batch, now):
        x = self.generate(nets, batch, now)
        x_t, t = self.noised(x, now)
        scale = {} if self.guidance_scale == 1 else {"guidance": torch.full_like(t, self.guidance_scale)}
        with torch.no_grad():
            real = nets["teacher"](x_t, t, cond=batch.y, **scale)
            fake = nets["critic"](x_t, t, cond=batch.y)
            direction = score_difference(x, real, fake)
        match = pull(x, direction)
        parts = dict(match=match, direction=direction.flatten(1).norm(dim=1).mean())
        if self.gan:
            parts["gan"] = fool(nets["judge"](nets["critic"], x_t, t, batch.y))
        total = match + self.gan * parts.get("gan", 0.0)
        return Loss(total, parts, dict(x_t=x_t, t=t, target=real, guess=fake))
