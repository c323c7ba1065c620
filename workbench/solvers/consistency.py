"""Few-step sampling of a consistency model: jump to clean, noise again (2303.01469 alg. 1; LCM 2310.04378 alg. 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from workbench.noise.process import Process, spread
from workbench.solvers.solver import Moved, Net, Rng, fresh


@dataclass(frozen=True)
class Consistency:
    """x_s = alpha(s) x0 + sigma(s) fresh noise, with x0 = net(x_t, t) the jump to clean; no noise where s = 0.

    The net is asked with one time. A two-time map is sampled so by ``Gamma(gamma=1.0)``.
    """

    order: ClassVar[int] = 1

    def step(self, net: Net, process: Process, x_t: Tensor, t: Tensor, s: Tensor, memory: Any = None,
             rng: Rng | None = None, *, last: bool = False) -> Moved:
        x0 = net(x_t, t)
        x_s = x0 if last else process.add_noise(x0, s, fresh(x_t, rng))
        return Moved(torch.where(spread(s >= t, x_t), x_t, x_s), x0, kind="jump")
