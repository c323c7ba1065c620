"""Four trainings and a sampler as one would write them by hand, for one set of nets: no run, no record, no solver.

Each training is a generator that yields the losses of a step, one per gradient step. They draw through the same counted
keys as the engine, so that losses can be compared. sd is sigma_data; sigma is EDM's noise level.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from workbench.nets.heads import Uncertainty, judge_like
from workbench.noise import Edm
from workbench.noise.times import karras
from workbench.randomness import Key

Losses = Iterator[tuple[Tensor, ...]]


@dataclass(frozen=True)
class Task:
    """What a loop trains on: a frozen teacher speaking x0 of (x, sigma, cond), a raw student, counted data, a seed."""

    teacher: Callable[..., Tensor]
    student: nn.Module
    data: Any
    sd: float
    sigma_min: float
    sigma_max: float
    steps: int
    seed: int = 0

    def rng(self, step: int, name: str, update: int = 0) -> torch.Generator:
        return Key(self.seed, 0, update, step, 0).generator(name)

    def randn(self, x: Tensor, step: int, name: str, update: int = 0) -> Tensor:
        return torch.randn(x.shape, generator=self.rng(step, name, update))


def wide(t: Tensor, x: Tensor) -> Tensor:
    return t.view(-1, *(1,) * (x.ndim - 1))


def denoise(net: nn.Module, sd: float, x: Tensor, sigma: Tensor, cond: Tensor | None = None) -> Tensor:
    """x0 by EDM's preconditioning of a net that takes an angle and unit variance times sd."""
    sigma_wide = wide(sigma, x)
    cos = sd * (sigma_wide.square() + sd * sd).rsqrt()
    output = net(cos * x, torch.atan2(sigma, torch.full_like(sigma, sd)), None, cond)
    return cos * (cos * x - sigma_wide * output)


def jump(net: nn.Module, sd: float, x: Tensor, sigma: Tensor, to: Tensor, cond: Tensor | None = None) -> Tensor:
    """The two-time map's pointer, as ``denoise`` with the second time."""
    sigma_wide, full = wide(sigma, x), torch.full_like(sigma, sd)
    cos = sd * (sigma_wide.square() + sd * sd).rsqrt()
    output = net(cos * x, torch.atan2(sigma, full), torch.atan2(to, full), cond)
    return cos * (cos * x - sigma_wide * output)


def cosine(lr: float, step: int, steps: int) -> float:
    p = step / steps
    if p < 0.01:
        return lr * (step + 1) / (0.01 * steps + 1)
    return lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (p - 0.01) / 0.99)))


def ramp(step: int) -> float:
    return min(0.999, (1 + step) / (10 + step))


def frozen(net: nn.Module) -> nn.Module:
    return copy.deepcopy(net).requires_grad_(False).eval()


def heun(teacher: Callable, x: Tensor, sigma: Tensor, to: Tensor, cond: Tensor | None = None) -> Tensor:
    """EDM's step down to ``to``; onto the denoised point where that is 0."""
    wide_sigma, wide_to = wide(sigma, x), wide(to, x)
    slope = (x - teacher(x, sigma, None, cond)) / wide_sigma
    trial = x + (wide_to - wide_sigma) * slope
    inside = wide_to > 0
    end = torch.where(to > 0, to, sigma)
    second = (trial - teacher(trial, end, None, cond)) / wide(end, x)
    return torch.where(inside, x + (wide_to - wide_sigma) * 0.5 * (slope + second), trial)


def consistency(task: Task, levels: int = 18) -> Losses:
    """Consistency distillation, 2303.01469, algorithm 2."""
    grid, student, sd = karras(Edm(task.sigma_min, task.sigma_max, task.sd), levels), task.student, task.sd
    slow, sampled, weights = frozen(student), frozen(student), list(student.parameters())
    slows, sampleds = list(slow.parameters()), list(sampled.parameters())
    adam = torch.optim.Adam(weights, lr=1.0, fused=True)
    for step in range(task.steps):
        x, y = task.data.at(step)
        i = torch.randint(0, levels, (len(x),), generator=task.rng(step, "index"))
        sigma, to = grid[i], grid[i + 1]
        x_t = x + wide(sigma, x) * task.randn(x, step, "noise")
        with torch.no_grad():
            target = denoise(slow, sd, heun(task.teacher, x_t, sigma, to, y), to, y)
        loss = (denoise(student, sd, x_t, sigma, y) - target).flatten(1).square().sum(1).mean()
        adam.zero_grad()
        loss.backward()
        adam.param_groups[0]["lr"] = cosine(1e-3, step, task.steps)
        adam.step()
        with torch.no_grad():
            torch._foreach_lerp_(slows, weights, 1 - 0.95)
            torch._foreach_lerp_(sampleds, weights, 1 - ramp(step))
        yield (loss.detach(),)


def scm(task: Task) -> Losses:
    """sCM, 2410.11081, algorithm 1, with the tangent by forward mode; the teacher here speaks F of the angle."""
    student, sd, trust = task.student, task.sd, Uncertainty()
    sampled, own = frozen(student), list(student.parameters())
    sampleds, weights = list(sampled.parameters()), [*own, *trust.parameters()]
    adam = torch.optim.Adam(weights, lr=1.0, fused=True)
    for step in range(task.steps):
        x, y = task.data.at(step)
        sigma = torch.exp(-1.0 + 1.4 * torch.randn(len(x), generator=task.rng(step, "time")))
        t = torch.atan2(sigma.clamp(task.sigma_min, task.sigma_max), torch.full_like(sigma, sd))
        cos, sin = torch.cos(t), torch.sin(t)
        wide_cos, wide_sin = wide(cos, x), wide(sin, x)
        x_t = wide_cos * x + wide_sin * (sd * task.randn(x, step, "noise"))
        with torch.no_grad():
            dx, both = sd * task.teacher(x_t, t, None, y), wide_cos * wide_sin
            old, slope = torch.func.jvp(lambda x, t, y=y: student(x, t, None, y), (x_t, t), (both * dx, cos * sin))
            warm = min(1.0, step / (0.1 * task.steps))
            g = -wide_cos * wide_cos * (sd * old - dx) - warm * (both * x_t + sd * slope)
            g = g / (wide(g.flatten(1).norm(dim=1) / x[0].numel() ** 0.5, g) + 0.1)
            target = old + g
        gap = (student(x_t, t, None, y) - target).flatten(1).square().sum(1) / x[0].numel()
        weight = trust(t)
        loss = (torch.exp(-weight) / (sd * torch.tan(t)) * gap + weight).mean()
        adam.zero_grad()
        loss.backward()
        adam.param_groups[0]["lr"] = cosine(1e-3, step, task.steps)
        adam.step()
        with torch.no_grad():
            torch._foreach_lerp_(sampleds, own, 1 - ramp(step))
        yield (loss.detach(),)


def ctm(task: Task, levels: int = 18, most: int = 4) -> Losses:
    """Consistency trajectory models, 2310.02279, algorithm 1, without the judge."""
    grid, student, sd = karras(Edm(task.sigma_min, task.sigma_max, task.sd), levels), task.student, task.sd
    slow, sampled, weights = frozen(student), frozen(student), list(student.parameters())
    slows, sampleds = list(slow.parameters()), list(sampled.parameters())
    adam = torch.optim.Adam(weights, lr=1.0, fused=True)

    def hop(net: nn.Module, x: Tensor, t: Tensor, s: Tensor, y: Tensor | None) -> Tensor:
        ratio = wide(s, x) / wide(t, x)
        return ratio * x + (1 - ratio) * jump(net, sd, x, t, s, y)

    def land(net: nn.Module, x: Tensor, s: Tensor, zero: Tensor, y: Tensor | None) -> Tensor:
        noisy = s > 0
        return torch.where(wide(noisy, x), jump(net, sd, x, torch.where(noisy, s, 1.0), zero, y), x)

    for step in range(task.steps):
        x, y = task.data.at(step)
        hops = 1 + Key(task.seed, 0, 0, step, 0).number("hops") % most
        i = torch.randint(0, levels - hops + 1, (len(x),), generator=task.rng(step, "index"))
        u = torch.rand(len(x), generator=task.rng(step, "landing"))
        t, end, s = grid[i], grid[i + hops], grid[i + hops + (u * (levels - i - hops + 1)).long()]
        x_t, zero = x + wide(t, x) * task.randn(x, step, "noise"), torch.zeros_like(t)
        with torch.no_grad():
            x_u = x_t
            for k in range(hops):
                x_u = heun(task.teacher, x_u, grid[i + k], grid[i + k + 1], y)
            x_s = torch.where(wide(s < end, x), hop(slow, x_u, torch.where(end > 0, end, 1.0), s, y), x_u)
            target = land(slow, x_s, s, zero, y)
        guess = land(slow, hop(student, x_t, t, s, y), s, zero, y)
        sigma = torch.exp(-1.2 + 1.2 * torch.randn(len(x), generator=task.rng(step, "anchor_time")))
        sigma = sigma.clamp(task.sigma_min, task.sigma_max)
        x_a = x + wide(sigma, x) * task.randn(x, step, "anchor_noise")
        miss = (jump(student, sd, x_a, sigma, sigma, y) - x).flatten(1).square().sum(1)
        anchor = ((sigma.square() + sd * sd) / (sigma * sd).square() * miss).mean() / x[0].numel()
        loss = (guess - target).square().mean() + anchor
        adam.zero_grad()
        loss.backward()
        adam.param_groups[0]["lr"] = cosine(1e-3, step, task.steps)
        adam.step()
        with torch.no_grad():
            torch._foreach_lerp_(slows, weights, 1 - 0.95)
            torch._foreach_lerp_(sampleds, weights, 1 - ramp(step))
        yield (loss.detach(),)


def dmd2(task: Task, turns: int = 5) -> Losses:
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

    def descend(loss: Tensor, optimizer: torch.optim.Adam, own: list, step: int) -> Tensor:
        optimizer.zero_grad()
        loss.backward(inputs=own)
        torch.nn.utils.clip_grad_norm_(own, 10.0)
        optimizer.param_groups[0]["lr"] = cosine(5e-4, step, task.steps)
        optimizer.step()
        return loss.detach()

    for step in range(task.steps):
        x, y = task.data.at(step)
        with torch.no_grad():
            fake = generate(step, x, y, 0)
        x_t, sigma = noised(fake, step, 0)
        miss = (denoise(critic, sd, x_t, sigma, y) - fake).flatten(1).square().sum(1)
        fit = ((sigma.square() + sd * sd) / (sigma * sd).square() * miss).mean() / x[0].numel()
        real, real_sigma = noised(x, step, 0, "real")
        told = (softplus(-judged(real, real_sigma, y)) + softplus(judged(x_t, sigma, y))).mean()
        losses = [descend(fit + 1e-2 * told, critic_adam, fitted, step)]
        if step % turns == 0:
            fake = generate(step, x, y, 1)
            x_t, sigma = noised(fake, step, 1)
            with torch.no_grad():
                truth, guess = task.teacher(x_t, sigma, None, y), denoise(critic, sd, x_t, sigma, y)
                scale = (fake - truth).flatten(1).abs().mean(1).clamp(min=1e-5)
                target = fake - (guess - truth) / wide(scale, x)
            loss = 0.5 * (fake - target).square().mean() + 3e-3 * softplus(-judged(x_t, sigma, y)).mean()
            losses.append(descend(loss, adam, weights, step))
            with torch.no_grad():
                torch._foreach_lerp_(sampleds, weights, 1 - ramp(step))
        yield tuple(losses)


@torch.no_grad()
def sample(net: nn.Module, sd: float, sigmas: Tensor, x: Tensor, cond: Tensor | None = None) -> Tensor:
    """EDM's Heun sampler (2206.00364, algorithm 1) down ``sigmas``, whose last is 0."""
    for sigma, to in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        here = x.new_full((len(x),), sigma)
        slope = (x - denoise(net, sd, x, here, cond)) / sigma
        trial = x + (to - sigma) * slope
        if to:
            slope = 0.5 * (slope + (trial - denoise(net, sd, trial, x.new_full((len(x),), to), cond)) / to)
            trial = x + (to - sigma) * slope
        x = trial
    return x
