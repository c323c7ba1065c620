"""Few-step sampling of a two-time map: each step is one jump from t to s (2505.18825; gamma = 0 of CTM, 2310.02279)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from workbench.noise.process import Process
from workbench.solvers.solver import Moved, Net, Rng, land


@dataclass(frozen=True)
class FlowMap:
    """Composes net(x_t, t, s), an x0-like pointer: exact at any number of steps for an exact map. Deterministic."""

    order: ClassVar[int] = 1

    def step(self, net: Net, process: Process, x_t: Tensor, t: Tensor, s: Tensor, memory: Any = None,
             rng: Rng | None = None, *, last: bool = False) -> Moved:
        x0 = net(x_t, t, s)
        return Moved(land(process, x_t, t, s, x0), x0, kind="jump")
