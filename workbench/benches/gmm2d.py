"""The ring: eight modes in the plane, the smallest bench with a known truth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from workbench.benches.bench import Budget
from workbench.benches.mixture import MixtureBench
from workbench.teachers.analytic import Mixture


@dataclass(frozen=True)
class Gmm2d(MixtureBench):
    """Eight equal modes on a circle of ``radius``, mode k at angle 2 pi k / 8, each of standard deviation ``std``.

    Four classes of two OPPOSITE modes, label k mod 4: a class is bimodal with its mean at the centre, so guidance has
    something to sharpen and an average of a class is a visible failure. sigma_data is sqrt(radius^2/2 + std^2).
    """

    radius: float = 1.0
    std: float = 0.08
    budget: Budget = Budget(teacher_calls=1.024e7, batch_size=512)
    name: ClassVar[str] = "gmm2d"

    def mixture(self) -> Mixture:
        angle = torch.arange(8, dtype=torch.float64) * (2 * math.pi / 8)
        means = self.radius * torch.stack([angle.cos(), angle.sin()], dim=1)
        return Mixture(means, self.std, None, torch.arange(8) % 4, self.sigma_min, self.sigma_max)
