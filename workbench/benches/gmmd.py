"""A mixture in many dimensions: the ring's questions where volume matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from workbench.benches.bench import Budget
from workbench.benches.mixture import MixtureBench
from workbench.randomness import Key
from workbench.teachers.analytic import Mixture


@dataclass(frozen=True)
class Gmmd(MixtureBench):
    """``modes`` equal Gaussians of standard deviation ``std`` in ``dim`` dimensions, centres drawn from N(0, I).

    The centres are a function of ``means_seed`` and ``dim`` alone; label k mod 4, so each class has two modes.
    """

    dim: int = 32
    modes: int = 8
    std: float = 0.3
    means_seed: int = 0
    sigma_max: float = 20.0
    width: int = 256
    budget: Budget = Budget(teacher_calls=2e6, batch_size=512)
    name: ClassVar[str] = "gmmd"

    def mixture(self) -> Mixture:
        if self.modes < 4:
            raise ValueError(f"modes must be at least 4, one per class, got {self.modes}")
        generator = Key(self.means_seed).generator("means")
        means = torch.randn(self.modes, self.dim, generator=generator, dtype=torch.float64)
        return Mixture(means, self.std, None, torch.arange(self.modes) % 4, self.sigma_min, self.sigma_max)
