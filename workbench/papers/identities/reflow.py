"""Reflow on the ring: pairs of the exact flow, their straight lines, and the one-step student they leave nothing to."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from workbench.methods.steps.reflow import PairStore, Reflow
from workbench.noise import LinearFlow, speak
from workbench.noise.convert import move
from workbench.papers.identities.conversions import worst
from workbench.papers.identities.exact import ExactMap, on_the_ring, residual, ring
from workbench.randomness import Key
from workbench.types import Now, Samples

PAIRS = 256


def stored(pair_steps: int = 128) -> tuple[Reflow, PairStore]:
    """The method in the ring's bounds and its store, filled with pairs of the exact teacher."""
    method = on_the_ring(Reflow(pairs=PAIRS, fill=PAIRS, pair_steps=pair_steps))
    store, teacher = PairStore(PAIRS, (2,), False), speak(ring(), method.process, "velocity")
    with torch.no_grad():
        method.make_pairs({"pairs": store, "teacher": teacher}, Samples(torch.zeros(PAIRS, 2)), now())
    return method, store


def now() -> Now:
    return Now(0, 10, Key(0))


def starts(method: Reflow) -> Tensor:
    """The states at t_max that the pairs of ``stored`` began from."""
    return method.process.prior(torch.randn(PAIRS, 2, generator=now().rng("noise")))


def line_through_start() -> float:
    """A pair's line at t_max is the very state that the flow carried to its end, though t_max < 1."""
    method, store = stored(8)
    t = torch.full((PAIRS,), method.process.t_max)
    return worst(method.process.add_noise(store.end, t, store.noise) - starts(method), starts(method))


def ends(pair_steps: int) -> float:
    """Root mean square distance of the stored ends to the exact flow map's."""
    method, store = stored(pair_steps)
    t = torch.full((PAIRS,), method.process.t_max, dtype=torch.float64)
    x, sigma = move(starts(method).double(), t, method.process, ring().process)
    exact = ring().flow_map(x, sigma, torch.zeros_like(sigma))
    return float((store.end - exact).square().sum(1).mean().sqrt())


def zero_residual() -> float:
    """The one-step loss of the exact flow map on 128-step Heun pairs."""
    method, store = stored()
    student = speak(ExactMap(ring()), method.process, "velocity")
    return residual(method.loss({"pairs": store, "student": student}, Samples(torch.zeros(PAIRS, 2)), now()))


class Line(nn.Module):
    """The velocity of a Gaussian's straight lines: data N(0, d^2) carried by x0 = d eps has velocity (1 - d) eps."""

    process, form = LinearFlow(), "velocity"

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation

    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, cond=None, guidance=None) -> Tensor:
        return (1 - self.deviation) * x_t / ((1 - t) * self.deviation + t)[:, None]


def straight_lines() -> float:
    """The reflow loss on pairs that lie on straight lines, with the field of these lines as student."""
    store = PairStore(PAIRS, (2,), False)
    noise = torch.randn(PAIRS, 2, generator=Key(0).generator("noise"))
    store.put(slice(0, PAIRS), noise, 0.3 * noise, None)
    method = Reflow(pairs=PAIRS, stage="reflow")
    return residual(method.loss({"pairs": store, "student": Line(0.3)}, Samples(torch.zeros(PAIRS, 2)), now()))
