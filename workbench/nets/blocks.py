"""The parts of the U-Net: what it is told (noise level, label, second time, guidance), residual block, attention."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from workbench.randomness import Key

OCTAVES = (1.0, 2.0, 4.0, 8.0, 16.0)  # of TrigFlow's angle t: smooth under jvp, no slope above 16
GUIDANCE_OCTAVES = (0.125, 0.25, 0.5, 1.0)  # of g - 1


class Conditioner(nn.Module):
    """One vector (B, E) from t (B,) and whatever else is given: label, second time s, guidance scale.

    s enters as the difference of its features from those of t, and the scale as those of g - 1, both born as zeros:
    s = None says s = t, guidance = None says 1 (off), and a net with these inputs equals the one without at birth.
    """

    def __init__(self, width: int, num_classes: int | None, second_time: bool, guided: bool) -> None:
        super().__init__()
        self.time = nn.Linear(2 * len(OCTAVES), width)
        self.label = None if num_classes is None else nn.Embedding(num_classes + 1, width)  # the last: no label
        self.second_time = zeroed(nn.Linear(2 * len(OCTAVES), width, bias=False)) if second_time else None
        self.guidance = zeroed(nn.Linear(2 * len(GUIDANCE_OCTAVES), width, bias=False)) if guided else None
        self.mix = nn.Linear(width, width)

    def forward(self, t: Tensor, s: Tensor | None, cond: Tensor | None, guidance: Tensor | None) -> Tensor:
        if t.ndim != 1:
            raise ValueError(f"t must be (B,), one time per sample, got shape {tuple(t.shape)}; expand it to the batch")
        features = waves(t, OCTAVES)
        told = self.time(features)
        if s is not None:
            told = told + self._given("second_time", self.second_time)(waves(s, OCTAVES) - features)
        if guidance is not None:
            scale = waves(guidance - 1, GUIDANCE_OCTAVES) - waves(torch.zeros_like(guidance), GUIDANCE_OCTAVES)
            told = told + self._given("guided", self.guidance)(scale)
        if self.label is not None:
            told = told + (self.label.weight[-1] if cond is None else self.label(cond))
        elif cond is not None:
            raise ValueError("this net takes no labels: pass cond=None, or build it with num_classes=K")
        return silu(self.mix(silu(told)))

    def _given(self, flag: str, layer: nn.Module | None) -> nn.Module:
        if layer is None:
            raise ValueError(f"this net lacks the input: add it with nets.clone.clone(net, {flag}=True)")
        return layer


class Residual(nn.Module):
    """(B, C, H, W) -> (B, C', H, W): two 3x3 convolutions, scaled and shifted by the condition in between."""

    def __init__(self, channels: int, out: int, condition: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = group_norm(channels), nn.Conv2d(channels, out, 3, padding=1)
        self.norm2, self.conv2 = group_norm(out), zeroed(nn.Conv2d(out, out, 3, padding=1))
        self.modulate = zeroed(nn.Linear(condition, 2 * out))
        self.skip = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.conv1(silu(self.norm1(x)))
        scale, shift = self.modulate(condition)[:, :, None, None].chunk(2, dim=1)
        return self.skip(x) + self.conv2(silu(self.norm2(h) * (1 + scale) + shift))


class Attention(nn.Module):
    """(B, C, H, W) -> same: self-attention over the H W places, as plain products so that jvp runs everywhere."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"attention_heads={heads} does not divide the inmost width {channels}")
        self.heads = heads
        self.norm, self.qkv = group_norm(channels), nn.Conv2d(channels, 3 * channels, 1)
        self.out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, h * w).unbind(1)
        shares = torch.softmax(q.transpose(-1, -2) @ k / math.sqrt(c // self.heads), dim=-1)  # (B, heads, HW, HW)
        return x + self.out((v @ shares.transpose(-1, -2)).reshape(b, c, h, w))


def waves(values: Tensor, octaves: tuple[float, ...]) -> Tensor:
    """Sines and cosines (B, 2 N) of numbers (B,) at N octaves, in radians."""
    angle = values.unsqueeze(-1) * values.new_tensor(octaves)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm of 8 groups, or as many of them as divide the channels."""
    return nn.GroupNorm(math.gcd(8, channels), channels)


def zeroed(layer: nn.Module) -> nn.Module:
    """The layer marked to be born as zeros: what it feeds starts as an identity."""
    layer.born_zero = True
    return layer


@torch.no_grad()
def draw(net: nn.Module, key: Key) -> None:
    """Weights as a pure function of the key and of their names: nets that differ in an input share all the others.

    Linear layers and convolutions uniform within 1/sqrt(inputs), labels unit normal, norms 1 and 0, marked layers 0.
    """
    for name, layer in net.named_modules():
        for part, weight in layer.named_parameters(recurse=False):
            generator = key.generator(f"{name}.{part}")
            if getattr(layer, "born_zero", False):
                weight.zero_()
            elif isinstance(layer, nn.Embedding):
                weight.normal_(generator=generator)
            elif isinstance(layer, nn.Linear | nn.Conv2d):
                bound = layer.weight[0].numel() ** -0.5
                weight.uniform_(-bound, bound, generator=generator)
