"""Progressive and guidance distillation: the x-target of two DDIM steps, on the ring and for any guide."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from workbench import benches
from workbench.methods.guidance.guidance_distillation import GuidanceDistillation
from workbench.methods.parts.halving import two_step_target
from workbench.methods.steps.progressive import ProgressiveDistillation
from workbench.noise import Edm, LinearFlow, TrigFlow, VpCosine, VpLinear, move, speak
from workbench.papers.identities.conversions import states, worst
from workbench.papers.identities.exact import asked, on_the_ring, ring
from workbench.randomness import Key
from workbench.types import Now, Samples


def two_ddim_steps() -> float:
    """One step t -> s with the target lands where the guide's two, t -> m -> s, do; s = 0 included (2202.00512)."""

    def guide(x: Tensor, t: Tensor) -> Tensor:
        return torch.sin(2 * x) * torch.cos(t)[:, None]

    errors = []
    for process in (Edm(), LinearFlow(), TrigFlow(), VpCosine(), VpLinear()):
        x, t = move(*states()[:2], Edm(), process)
        for middle, end in ((0.5, 0.0), (0.75, 0.5), (0.9, 0.1)):
            m, s = middle * t, end * t
            target = two_step_target(guide, process, x, t, m, s)
            x_m = process.jump(x, t, m, guide(x, t))
            errors.append(worst(process.jump(x, t, s, target) - process.jump(x_m, m, s, guide(x_m, m)), x))
    return max(errors)


class Follows(nn.Module):
    """A student that makes two DDIM steps of a guide in one, on a grid of ``steps`` strides: nothing left to learn."""

    form = "x0"

    def __init__(self, guide: nn.Module, process, steps: int) -> None:
        super().__init__()
        self.guide, self.process, self.stride = guide, process, process.t_max / steps

    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, cond=None, guidance=None) -> Tensor:
        t = t.double()
        end = ((t - self.stride) / self.stride).round() * self.stride  # the grid is fp32: find its exact level

        def ask(x: Tensor, level: Tensor) -> Tensor:
            return self.guide(x, level, None, cond, guidance)

        return two_step_target(ask, self.process, x_t, t, (end + self.stride / 2), end)


def progressive_zero_residual() -> float:
    """The progressive loss of a student that makes two of the teacher's steps in one, of 8; floor: the grid is fp32."""
    method = on_the_ring(ProgressiveDistillation(steps=8))
    student = Follows(speak(ring(), method.process), method.process, 8)
    return float(asked(method, {"teacher": ring(), "student": student}).total)


def guided_zero_residual() -> float:
    """Both stages of guidance distillation with the guided teacher itself as the student (and as its previous self)."""
    bench = benches.load("gmm2d", conditional=True)
    method = replace(GuidanceDistillation(), process=bench.process(VpCosine))
    x, y = bench.truth.sample(256, Key(0).generator("data"))
    guide = speak(bench.truth, method.process)
    totals = []
    for steps in (0, 4):
        student = guide if not steps else Follows(guide, method.process, steps)
        nets = {"teacher": guide, "previous": guide, "student": student}
        loss = replace(method, steps=steps).loss(nets, Samples(x.double(), y), Now(0, 100, Key(0)))
        totals.append(float(loss.total))
    return max(totals)
