"""The tangent of continuous-time consistency (2410.11081): its formula, forward mode, and zero on an exact map."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from workbench.methods.parts.tangent import along
from workbench.methods.steps.continuous_consistency import ContinuousConsistency
from workbench.nets.mlp import Mlp
from workbench.noise import speak
from workbench.papers.identities.conversions import worst
from workbench.papers.identities.exact import ExactMap, asked, on_the_ring, residual, ring
from workbench.randomness import Key
from workbench.teachers.flow import transport
from workbench.types import Now

BARE = ContinuousConsistency(tangent_norm=0.0, tangent_warmup=0.0)  # r = 1 from the first step, g as it is


class CoarseMap(ExactMap):
    """The endpoint of the ring's flow to 1e-7, in few enough Runge-Kutta steps for forward mode to walk them all."""

    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, cond=None, guidance=None) -> Tensor:
        scale = float(self.mixture.stds.min())
        return transport(self.mixture.velocity, x_t, t, torch.zeros_like(t), scale, step=0.1)


class Flat(nn.Module):
    """Log-variance 0 at every t."""

    def forward(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t)


def zero_tangent() -> float:
    """|g| (root mean square) where the student is the ring's exact endpoint map; floor: the times are fp32."""
    nets = {"teacher": ring(), "student": CoarseMap(ring()), "uncertainty": Flat()}
    return residual(asked(on_the_ring(BARE), nets, 64, Now(500, 1000, Key(0))))


def jvp_is_the_difference() -> float:
    """Forward mode against a central difference (step 1e-5, fp64) through a small net."""
    net = Mlp(2, width=32, depth=3, seed=0).double()
    generator = torch.Generator().manual_seed(0)
    x, dx = torch.randn(2, 64, 2, generator=generator, dtype=torch.float64)
    t, dt = torch.linspace(0.05, 1.5, 64, dtype=torch.float64), torch.linspace(1.0, -1.0, 64, dtype=torch.float64)
    exact, near = along(net, x, t, dx, dt), along(net, x, t, dx, dt, "difference", step=1e-5)
    return max(worst(exact[0] - net(x, t), exact[0]), worst(exact[1] - near[1], exact[1]))


def small_student() -> Mlp:
    process = on_the_ring(BARE).process
    return Mlp(2, 32, 2, sigma_max=process.sigma_max, sigma_data=process.sigma_data, seed=0).double()


def tangent_formula() -> float:
    """g of the loss against cos t df/dt, f = cos t x - sin t sigma_data F, along the teacher's field (r = 1).

    df/dt by a central difference of f itself, which knows nothing of the rearrangement.
    """
    method, student, teacher = on_the_ring(BARE), small_student(), ring()
    seen = asked(method, {"teacher": teacher, "student": student, "uncertainty": Flat()}, 64).seen
    x, t = seen["x_t"], seen["t"].double()
    f, step = speak(student, method.process), 1e-5
    dx = method.process.sigma_data * speak(teacher, method.process, "F")(x, t)
    with torch.no_grad():
        slope = (f(x + step * dx, t + step) - f(x - step * dx, t - step)) / (2 * step)
    return worst(seen["target"] - seen["guess"] - torch.cos(t)[:, None] * slope, slope)


def warm_up() -> float:
    """At r = 0 the tangent is -cos^2 t (sigma_data F - dx/dt) alone: the student's own F minus the teacher's."""
    method, student = on_the_ring(replace(BARE, tangent_warmup=1.0)), small_student()
    seen = asked(method, {"teacher": ring(), "student": student, "uncertainty": Flat()}, 64).seen
    t, sd = seen["t"].double()[:, None], method.process.sigma_data
    gap = speak(ring(), method.process, "F")(seen["x_t"], seen["t"]) - seen["guess"]
    return worst(seen["target"] - seen["guess"] - torch.cos(t) ** 2 * sd * gap, gap)
