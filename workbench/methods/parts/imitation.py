"""A first act for students that cannot be born as copies of their teacher: fit its answers at every noise level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from workbench.methods.parts.denoising import denoising
from workbench.methods.parts.draws import noise_like, uniform
from workbench.methods.parts.schedules import cosine, ramped
from workbench.noise import Process, to_x0
from workbench.types import Act, Loss, Now, Update


def spread_levels(process: Process, count: int, now: Now, name: str = "time", low: float = 0.02, high: float = 0.98):
    """t (B,) on EDM's levels (rho 7) between the shares low and high of the range, uniformly in the level's rank."""
    least, most = max(process.sigma_min, 0.02 * process.sigma_data), min(process.sigma_max, 80.0)
    share = low + (high - low) * uniform(count, now, name)
    sigma = (least ** (1 / 7) + share * (most ** (1 / 7) - least ** (1 / 7))) ** 7
    return process.time(torch.ones_like(sigma), sigma)


def imitation(method, decay: float) -> tuple[Update, ...]:
    """The update of the first act: the student's x0 regresses the teacher's, weighted as denoising is."""
    process, form = method.process, method.form

    def loss(nets, batch, now):
        t = spread_levels(process, len(batch.x), now, low=0.0, high=1.0)
        x_t = process.add_noise(batch.x, t, noise_like(batch.x, now))
        with torch.no_grad():
            target = to_x0(nets["teacher"](x_t, t, cond=batch.y), form, process, x_t, t)
        guess = to_x0(nets["student"](x_t, t, cond=batch.y), form, process, x_t, t)
        total = denoising(guess, target, process, t)
        return Loss(total, dict(imitate=total), dict(x_t=x_t, t=t, target=target, guess=guess))

    return (Update(("student",), loss, cosine(1e-3), average=ramped(decay)),)


def after_imitation(method, steps: int, name: str, enter: Callable) -> tuple[Act, ...]:
    """(imitation for the share ``method.imitate`` of the steps, then the method itself), or the method alone."""
    first = int(method.imitate * steps)
    last = Act(name, method, steps - first, enter if first else None)
    return (Act("imitate", replace(method, stage="imitate"), first), last) if first else (last,)


def go_on(*names: str) -> Callable:
    """Enter an act with these nets equal to the student's average."""

    def enter(nets) -> None:
        weights = nets["student.average"].state_dict()
        for name in names:
            nets[name].load_state_dict(weights)

    return enter
