"""Consistency trajectory models: one network jumps from any time t to any earlier s, and denoises at s = t.

arXiv 2310.02279, algorithm 1 and eqs. 7-10.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from workbench.methods.parts.denoising import denoising
from workbench.methods.parts.distances import DISTANCES, Distance
from workbench.methods.parts.draws import integers, noise_like, one_integer, uniform
from workbench.methods.parts.gan import fool, tell_apart
from workbench.methods.parts.grids import levels
from workbench.methods.parts.schedules import cosine, ramped
from workbench.nets.heads import judge_like
from workbench.noise import Edm, Process
from workbench.noise.times import log_normal
from workbench.solvers import Gamma, Heun, Sampler, Solver
from workbench.types import Average, Count, Loss, NonNegative, Positive, Update


@dataclass(frozen=True)
class ConsistencyTrajectory:
    """G(x, t, s) = (s/t) x + (1 - s/t) g(x, t, s), here ``process.jump``; compared at time 0 through the slow copy.

    ``hops`` bounds the teacher steps from t to u ("soft consistency"; 1 takes the neighbour). ``anchor`` weighs
    denoising, ``gan`` a judge on the jump to 0. Departs: fixed weights where the paper balances gradient norms.
    """

    process: Process = Edm()
    solver: Solver = Heun()
    grid: Count = 18
    hops: Count = 4
    anchor: NonNegative = 1.0  # lambda_DSM
    gan: NonNegative = 0.0  # lambda_GAN
    gamma: NonNegative = 0.0  # of the sampler
    distance: Distance = "square"
    average: Average = 0.95
    ema: Average = 0.999
    lr: Positive = 1e-3
    form = "x0"
    second_time = True

    def extras(self, teacher, student, example):
        return {"judge": judge_like(teacher, example.x, self.process)} if self.gan else {}

    def updates(self):
        student = Update(("student",), self.loss, cosine(self.lr), average=(self.average, ramped(self.ema)))
        return (Update(("judge",), self.judge_loss, self.lr), student) if self.gan else (student,)

    def sampler(self):
        return Sampler(Gamma(self.gamma), "trig", 1)

    def hop(self, net, x, t, s, y):
        return self.process.jump(x, t, s, net(x, t, s, cond=y))

    def loss(self, nets, batch, now):
        student, slow = nets["student"], nets["student.average"]
        grid, y, b = levels(self.process, self.grid, device=now.device), batch.y, len(batch.x)
        hops = one_integer(1, min(self.hops, self.grid) + 1, now, "hops")
        i = integers(0, self.grid - hops + 1, b, now)  # t = grid[i], u = grid[i + hops], s at or below u
        j = i + hops + (uniform(b, now, "landing") * (self.grid - i - hops + 1)).long()  # [B], up to the grid's 0
        t, s = grid[i], grid[j.clamp(max=self.grid)]
        x_t, zero = self.process.add_noise(batch.x, t, noise_like(batch.x, now)), torch.zeros_like(t)
        with torch.no_grad():
            x_u, u, memory = x_t, t, None
            for k in range(1, hops + 1):
                teacher = lambda x, level, to=None: nets["teacher"](x, level, cond=y)  # noqa: E731
                moved = self.solver.step(teacher, self.process, x_u, u, grid[i + k], memory)
                x_u, u, memory = moved.x_s, grid[i + k], moved.memory
            x_s = torch.where(self.wide(s < u, x_u), self.safe_hop(slow, x_u, u, s, y), x_u)
            target = self.to_zero(slow, x_s, s, zero, y)
        guess = self.to_zero(slow, self.hop(student, x_t, t, s, y), s, zero, y)
        level = log_normal(self.process, b, now.rng("anchor_time"))
        x_a = self.process.add_noise(batch.x, level, noise_like(batch.x, now, "anchor_noise"))
        total = DISTANCES[self.distance](guess, target).mean() / guess[0].numel()
        parts = dict(consistency=total)
        if self.anchor:
            parts["anchor"] = denoising(student(x_a, level, level, cond=y), batch.x, self.process, level)
            total = torch.add(total, parts["anchor"], alpha=self.anchor)
        if self.gan:
            parts["gan"] = fool(self.judged(nets, self.hop(student, x_t, t, zero, y), now, y))
            total = torch.add(total, parts["gan"], alpha=self.gan)
        return Loss(total, parts, dict(x_t=x_t, t=t, target=target, guess=guess))

    def safe_hop(self, net, x, t, s, y):
        """The jump t -> s, finite also where t is already 0 (its value is then not used)."""
        return self.hop(net, x, torch.where(t > 0, t, 1.0), s, y)

    def to_zero(self, net, x, s, zero, y):
        """Where a point at s lands at time 0, which is what the net points at; points that are there already stay."""
        noisy = s > 0
        return torch.where(self.wide(noisy, x), net(x, torch.where(noisy, s, 1.0), zero, cond=y), x)

    def wide(self, mask, x):
        return mask.reshape(-1, *[1] * (x.ndim - 1))

    def judged(self, nets, x, now, y):
        """Logits (B,) of samples x at a low, random noise level."""
        share = uniform(len(x), now, "judge_time")
        t = self.process.time(torch.ones_like(share), self.process.sigma_data * (0.05 + 0.45 * share))
        return nets["judge"](nets["teacher"], self.process.add_noise(x, t, noise_like(x, now, "judge_noise")), t, y)

    def judge_loss(self, nets, batch, now):
        grid, b = levels(self.process, self.grid, device=now.device), len(batch.x)
        t = grid[integers(0, self.grid, b, now)]
        x_t = self.process.add_noise(batch.x, t, noise_like(batch.x, now))
        with torch.no_grad():
            fake = self.hop(nets["student"], x_t, t, torch.zeros_like(t), batch.y)
        total = tell_apart(self.judged(nets, batch.x, now, batch.y), self.judged(nets, fake, now, batch.y))
        return Loss(total, dict(judge=total))
