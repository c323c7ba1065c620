"""Consistency models, sCM and CTM written by hand for one set of nets: no run, no record, no solver.

Each is a generator that yields loss and gradient norm of each gradient step, and draws through the same counted keys as
the engine, so that they can be compared. As in the engine a step with a non-finite gradient changes no weight.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.perf.bare import Seen, Task, cosine, denoise, descend, frozen, heun, jump, ramp, wide
from workbench.nets.heads import Uncertainty
from workbench.noise import Edm
from workbench.noise.times import karras
from workbench.randomness import Key


def consistency(task: Task, levels: int = 18) -> Seen:
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
        seen = descend(loss, adam, cosine(1e-3, step, task.steps))
        with torch.no_grad():
            torch._foreach_lerp_(slows, weights, 1 - 0.95)
            torch._foreach_lerp_(sampleds, weights, 1 - ramp(step))
        yield (seen,)


def scm(task: Task) -> Seen:
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
        loss = (torch.exp(-weight) * gap + weight).mean()
        seen = descend(loss, adam, cosine(1e-3, step, task.steps))
        with torch.no_grad():
            torch._foreach_lerp_(sampleds, own, 1 - ramp(step))
        yield (seen,)


def ctm(task: Task, levels: int = 18, most: int = 4) -> Seen:
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
        seen = descend(loss, adam, cosine(1e-3, step, task.steps))
        with torch.no_grad():
            torch._foreach_lerp_(slows, weights, 1 - 0.95)
            torch._foreach_lerp_(sampleds, weights, 1 - ramp(step))
        yield (seen,)
