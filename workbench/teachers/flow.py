"""Exact transport along a probability-flow ODE whose denoiser is known, to fp64 accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def transport(
    rate: Callable[[Tensor, Tensor], Tensor], x_t: Tensor, t: Tensor, s: Tensor, scale: float, step: float = 0.02
) -> Tensor:
    """x_s (B, ...) where dx/dsigma = rate(x, sigma) (B, ...) carries x_t from noise level t to s (B,), in fp64.

    Classical RK4 in u = asinh(sigma / scale), where ``scale`` is the finest length of the data: a Gaussian of that
    width moves as cosh u, so steps of equal length in u are equally hard. ``step`` bounds them, whichever way s lies.
    """
    x, t, s = x_t.double(), t.double(), s.double()
    u = torch.asinh(t / scale)
    span = torch.asinh(s / scale) - u
    count = max(1, math.ceil(float(span.detach().abs().max()) / step))
    h = span / count
    wide = h.reshape(h.shape + (1,) * (x.ndim - 1))

    def slope(state: Tensor, u: Tensor) -> Tensor:
        stretch = (scale * torch.cosh(u)).reshape(wide.shape)
        return stretch * rate(state, scale * torch.sinh(u))

    for _ in range(count):
        k1 = slope(x, u)
        k2 = slope(x + 0.5 * wide * k1, u + 0.5 * h)
        k3 = slope(x + 0.5 * wide * k2, u + 0.5 * h)
        k4 = slope(x + wide * k3, u + h)
        x, u = x + wide / 6 * (k1 + 2 * k2 + 2 * k3 + k4), u + h
    return x
