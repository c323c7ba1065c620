"""A small multilayer perceptron for points, natively TrigFlow with form "F" (2410.11081)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from workbench.noise import TrigFlow
from workbench.randomness import Key

OCTAVES = (1.0, 2.0, 4.0, 8.0, 16.0)  # of the angle t: periods from 4 of its ranges down to a quarter of one
GUIDANCE_OCTAVES = (0.125, 0.25, 0.5, 1.0)  # of g - 1


class Mlp(nn.Module):
    """F (B, ...) of unit variance from x_t (B, ...), t (B,) in [0, pi/2]; ``depth`` hidden layers of ``width``.

    With ``second_time`` it also takes s (B,), as the difference of the features of s and t, so s = None says s = t;
    with ``guided`` a guidance scale (B,), so None says 1 (off); with ``num_classes`` = K labels cond (B,) in [0, K],
    where K is the null label and None is null for all. The two extra inputs are born as zeros. Weights are a pure
    function of ``seed`` and of their names: a net with extra inputs shares all others with the net without.
    """

    def __init__(
        self,
        dim: int,
        width: int = 128,
        depth: int = 3,
        num_classes: int | None = None,
        second_time: bool = False,
        guided: bool = False,
        sigma_min: float = 0.002,
        sigma_max: float = 80.0,
        sigma_data: float = 0.5,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if min(dim, width, depth) < 1:
            raise ValueError(f"dim, width and depth must be at least 1, got {dim}, {width} and {depth}")
        self.settings = dict(
            dim=dim, width=width, depth=depth, num_classes=num_classes, second_time=second_time, guided=guided,
            sigma_min=sigma_min, sigma_max=sigma_max, sigma_data=sigma_data, seed=seed,
        )  # fmt: skip
        self.process, self.form = TrigFlow(sigma_min, sigma_max, sigma_data), "F"
        self.dim, self.num_classes, self.second_time, self.guided = dim, num_classes, second_time, guided
        phases = torch.tensor([0.0, math.pi / 2]).repeat_interleave(len(OCTAVES))  # a sine and a cosine of each
        self.register_buffer("octaves", torch.tensor(OCTAVES).repeat(2), persistent=False)
        self.register_buffer("phases", phases, persistent=False)
        self.register_buffer("guidance_octaves", torch.tensor(GUIDANCE_OCTAVES), persistent=False)
        self.x_in = _blank(dim, width)
        self.t_in = _blank(2 * len(OCTAVES), width, bias=False)
        self.s_in = _blank(2 * len(OCTAVES), width, bias=False) if second_time else None
        self.guidance_in = _blank(2 * len(GUIDANCE_OCTAVES), width, bias=False) if guided else None
        self.class_in = nn.Parameter(torch.empty(num_classes + 1, width)) if num_classes is not None else None
        self.hidden = nn.ModuleList(_blank(width, width) for _ in range(depth - 1))
        self.out = _blank(width, dim)
        self._draw(Key(seed or 0))

    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, cond=None, guidance=None) -> Tensor:
        if t.ndim != 1:
            raise ValueError(f"t must be (B,), one time per sample, got shape {tuple(t.shape)}; expand it to the batch")
        features = self.features(t)
        hidden = self.x_in(x_t.reshape(len(x_t), -1) / self.process.sigma_data) + self.t_in(features)
        if s is not None:
            hidden = hidden + self._given("second_time", self.s_in)(self.features(s) - features)
        if guidance is not None:
            angle = (guidance - 1).unsqueeze(-1) * self.guidance_octaves
            angle = torch.cat([torch.sin(angle), 1 - torch.cos(angle)], dim=-1)
            hidden = hidden + self._given("guided", self.guidance_in)(angle)
        if self.class_in is not None:
            hidden = hidden + (self.class_in[-1] if cond is None else self.class_in[cond])
        elif cond is not None:
            raise ValueError("this net takes no labels: pass cond=None, or build it with num_classes=K")
        hidden = silu(hidden)
        for layer in self.hidden:
            hidden = silu(layer(hidden))
        return self.out(hidden).view_as(x_t)

    def features(self, t: Tensor) -> Tensor:
        """(B, 10) sines and cosines of octaves of t (B,): smooth, bounded, no slope above 16."""
        return torch.sin(torch.addcmul(self.phases, t.unsqueeze(-1), self.octaves))

    def _given(self, flag: str, layer: nn.Module | None) -> nn.Module:
        if layer is None:
            raise ValueError(f"this net lacks the input: add it with nets.clone.clone(net, {flag}=True)")
        return layer

    @torch.no_grad()
    def _draw(self, key: Key) -> None:
        """Uniform weights within 1/sqrt(inputs), as torch draws linear layers; zeros for the extra inputs.

        Wider at the entry: points of few dimensions have modes far finer than their spread. On gmm2d (seed 0, 300
        steps of fitting the teacher) the sampled endpoints are 0.04 off this way, and 0.13 with 1/sqrt(inputs).
        """
        inputs = {name: layer.in_features for name, layer in self.named_modules() if isinstance(layer, nn.Linear)}
        wider = {"x_in.weight": max(1.0, 8 / self.dim**0.5), "t_in.weight": 2.0}
        for name, weight in self.named_parameters():
            if name.startswith(("s_in", "guidance_in")):
                weight.zero_()
            else:
                bound = wider.get(name, 1.0) * inputs.get(name.rpartition(".")[0], 4) ** -0.5
                weight.uniform_(-bound, bound, generator=key.generator(name))


def _blank(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    """A linear layer whose weights are not drawn yet, so that the global generator is not touched."""
    return nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias)
