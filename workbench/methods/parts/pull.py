"""A gradient handed to a tensor as a loss: how every score-difference method trains its generator."""

from __future__ import annotations

from torch import Tensor


def pull(x: Tensor, gradient: Tensor) -> Tensor:
    """0.5 mean (x - sg(x - g))^2 []: a loss whose gradient at x (B, ...) is g / (number of entries)."""
    return 0.5 * (x - (x - gradient).detach()).square().mean()


def score_difference(x: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """DMD's direction (B, ...) at x: (fake x0 - real x0) / mean |x - real x0| per sample (2311.18828, eq. 8)."""
    scale = (x - real).flatten(1).abs().mean(1).clamp(min=1e-5)
    return (fake - real) / scale.reshape(-1, *[1] * (x.ndim - 1))
