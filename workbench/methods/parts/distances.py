"""Distances per sample: (B, ...) and (B, ...) to (B,). The names are what a method's ``distance`` field takes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Distance = Literal["square", "pseudo_huber", "absolute"]


def square(a: Tensor, b: Tensor) -> Tensor:
    """Squared L2 norm of a - b."""
    return (a - b).flatten(1).square().sum(1)


def pseudo_huber(a: Tensor, b: Tensor) -> Tensor:
    """sqrt(|a - b|^2 + c^2) - c with c = 0.00054 sqrt(dim) (iCT, 2310.14189, sec. 3.3)."""
    c = 0.00054 * a[0].numel() ** 0.5
    return torch.sqrt(square(a, b) + c * c) - c


def absolute(a: Tensor, b: Tensor) -> Tensor:
    """L1 norm of a - b."""
    return (a - b).flatten(1).abs().sum(1)


DISTANCES = {"square": square, "pseudo_huber": pseudo_huber, "absolute": absolute}


def mean_square(a: Tensor, b: Tensor) -> Tensor:
    """Mean of squared differences over all entries: []."""
    return (a - b).square().mean()
