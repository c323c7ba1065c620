"""Consistency trajectory models on the ring: the exact flow map to any time is the fixed point of eq. 8."""

from __future__ import annotations

import torch

from workbench.methods.steps.trajectory import ConsistencyTrajectory
from workbench.noise import Edm
from workbench.papers.identities.conversions import states, worst
from workbench.papers.identities.exact import ExactMap, asked, on_the_ring, residual, ring


def exact_map(grid: int, hops: int = 4) -> float:
    """Residual of the jumps t -> s and t -> u -> s, both carried to 0, with the exact map as student and target."""
    method = on_the_ring(ConsistencyTrajectory(grid=grid, hops=hops, anchor=0.0))
    student = ExactMap(ring())
    return residual(asked(method, {"teacher": ring(), "student": student, "student.average": student}, 256))


def zero_residual() -> float:
    """With 144 Heun intervals and up to four of them a hop."""
    return exact_map(144)


def jump() -> float:
    """``Edm.jump`` against G(x, t, s) = (s/t) x + (1 - s/t) g (2310.02279, eq. 5), s = t and s = 0 included."""
    x, t, g = states()
    errors = []
    for share in (0.0, 0.3, 1.0):
        s = share * t
        ratio = (s / t)[:, None]
        errors.append(worst(Edm().jump(x, t, s, g) - (ratio * x + (1 - ratio) * g), x))
    return max(errors)


def pointer() -> float:
    """The mixture's own pointer: its jump lands where the exact flow map does, at s = t it is the denoiser."""
    mixture = ring()
    x0, _ = mixture.sample(64, torch.Generator().manual_seed(0))
    t = torch.linspace(0.05, 9.0, 64, dtype=torch.float64)
    x = x0.double() + t[:, None] * torch.randn(64, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    landed = mixture.process.jump(x, t, 0.3 * t, mixture(x, t, 0.3 * t))
    errors = worst(landed - mixture.flow_map(x, t, 0.3 * t), x), worst(mixture(x, t, t) - mixture(x, t), x)
    return max(errors)
