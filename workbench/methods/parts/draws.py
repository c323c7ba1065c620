"""The draws that most losses begin with, each under its own name."""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.types import Now


def noise_like(x: Tensor, now: Now, name: str = "noise") -> Tensor:
    """Unit Gaussian (B, ...) shaped like x."""
    return torch.randn(x.shape, generator=now.rng(name), device=x.device, dtype=x.dtype)


def uniform(count: int, now: Now, name: str = "time") -> Tensor:
    """(B,) uniform in [0, 1)."""
    return torch.rand(count, generator=now.rng(name), device=now.device)


def integers(low: int, high: int, count: int, now: Now, name: str = "index") -> Tensor:
    """(B,) integers in [low, high)."""
    return torch.randint(low, high, (count,), generator=now.rng(name), device=now.device)


def one_integer(low: int, high: int, now: Now, name: str) -> int:
    """One integer in [low, high) for the whole batch, drawn on the host."""
    return low + now.key.number(name) % (high - low)
