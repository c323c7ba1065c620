"""The exact flow map of the ring bench as a student, and what a loss needs to be asked about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from workbench import benches
from workbench.noise import speak
from workbench.randomness import Key
from workbench.teachers.analytic import Mixture
from workbench.types import Loss, Now, Samples


class ExactMap(nn.Module):
    """The pointer of a mixture's flow map from t to s; without s, to 0: a perfect consistency function."""

    form, second_time = "x0", True

    def __init__(self, mixture: Mixture) -> None:
        super().__init__()
        self.mixture, self.process = mixture, mixture.process

    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, cond=None, guidance=None) -> Tensor:
        return self.mixture.pointer(x_t, t, torch.zeros_like(t) if s is None else s, cond, guidance)


def ring() -> Mixture:
    return benches.load("gmm2d").teacher()


def on_the_ring(method: Any) -> Any:
    """The method with its process in the ring's bounds."""
    return replace(method, process=benches.load("gmm2d").process(type(method.process)))


def asked(method: Any, nets: dict[str, nn.Module], count: int = 512, now: Now | None = None) -> Loss:
    """The method's loss on ``count`` fp64 samples of the ring (seed 0), its nets translated as a run does."""
    x, y = ring().sample(count, Key(0).generator("data"))
    form = getattr(method, "form", "x0")
    views = {name: speak(net, method.process, form) if hasattr(net, "form") else net for name, net in nets.items()}
    return method.loss(views, Samples(x.double(), None), now or Now(0, 1000, Key(0)))


def residual(loss: Loss) -> float:
    """Root mean square (over samples) of |guess - target|."""
    gap = (loss.seen["guess"] - loss.seen["target"]).detach().flatten(1)
    return float(gap.square().sum(1).mean().sqrt())
