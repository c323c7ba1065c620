"""DMD2 written by hand for one set of nets: no run, no record, no solver.

Each is a generator that yields loss and gradient norm of each gradient step, and draws through the same counted keys as
the engine, so that they can be compared. As in the engine a step with a non-finite gradient changes no weight.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from torch.nn.functional import softplus

from tests.perf.bare import Seen, Task, cosine, denoise, descend, frozen, ramp, wide
from workbench.nets.heads import judge_like
from workbench.noise import Edm


def dmd2(task: Task, turns: int = 5) -> Seen:
    """One-step DMD2, 2405.14867: ``turns`` steps of critic and judge to one of the student."""
    student, critic, sd, example = task.student, copy.deepcopy(task.student), task.sd, task.data.at(0).x
    judge = judge_like(student, example, Edm(task.sigma_min, task.sigma_max, sd))
    sampled, weights = frozen(student), list(student.parameters())
    sampleds, fitted = list(sampled.parameters()), [*critic.parameters(), *judge.parameters()]
    adam, critic_adam = torch.optim.Adam(weights, lr=1.0, fused=True), torch.optim.Adam(fitted, lr=1.0, fused=True)
    least, most = max(task.sigma_min, 0.02 * sd) ** (1 / 7), min(task.sigma_max, 80.0) ** (1 / 7)
    top = torch.full((len(example),), task.sigma_max)

    def generate(step: int, x: Tensor, y: Tensor | None, update: int) -> Tensor:
        return denoise(student, sd, task.sigma_max * task.randn(x, step, "start", update), top, y)

    def noised(x: Tensor, step: int, update: int, name: str = "level") -> tuple[Tensor, Tensor]:
        share = 0.02 + 0.96 * torch.rand(len(x), generator=task.rng(step, f"{name} time", update))
        sigma = (least + share * (most - least)) ** 7
        return x + wide(sigma, x) * task.randn(x, step, f"{name} noise", update), sigma

    def judged(x: Tensor, sigma: Tensor, y: Tensor | None) -> Tensor:
        if not hasattr(critic, "taps"):
            return judge(None, x, sigma, y)
        cos = sd * (sigma.square() + sd * sd).rsqrt()
        return judge(critic, wide(cos, x) * x, torch.atan2(sigma, torch.full_like(sigma, sd)), y)

    for step in range(task.steps):
        x, y = task.data.at(step)
        with torch.no_grad():
            fake = generate(step, x, y, 0)
        x_t, sigma = noised(fake, step, 0)
        miss = (denoise(critic, sd, x_t, sigma, y) - fake).flatten(1).square().sum(1)
        fit = ((sigma.square() + sd * sd) / (sigma * sd).square() * miss).mean() / x[0].numel()
        real, real_sigma = noised(x, step, 0, "real")
        told = (softplus(-judged(real, real_sigma, y)) + softplus(judged(x_t, sigma, y))).mean()
        seen = [descend(fit + 1e-2 * told, critic_adam, cosine(5e-4, step, task.steps), clip=10.0)]
        if step % turns == 0:
            fake = generate(step, x, y, 1)
            x_t, sigma = noised(fake, step, 1)
            with torch.no_grad():
                truth, guess = task.teacher(x_t, sigma, None, y), denoise(critic, sd, x_t, sigma, y)
                scale = (fake - truth).flatten(1).abs().mean(1).clamp(min=1e-5)
                target = fake - (guess - truth) / wide(scale, x)
            loss = 0.5 * (fake - target).square().mean() + 3e-3 * softplus(-judged(x_t, sigma, y)).mean()
            seen.append(descend(loss, adam, cosine(5e-4, step, task.steps), clip=10.0))
            with torch.no_grad():
                torch._foreach_lerp_(sampleds, weights, 1 - ramp(step))
        yield tuple(seen)
