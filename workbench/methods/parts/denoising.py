"""Denoising: the fit of a network to a posterior mean, weighted as EDM does."""

from __future__ import annotations

from torch import Tensor

from workbench.methods.parts.distances import square
from workbench.noise import Process


def edm_weight(process: Process, t: Tensor) -> Tensor:
    """(sigma^2 + sigma_data^2) / (sigma sigma_data)^2 (B,), sigma the noise over signal at t (2206.00364, table 1)."""
    alpha, noise = process.signal_noise(t)
    sigma = noise / alpha
    return (sigma.square() + process.sigma_data**2) / (sigma * process.sigma_data).square()


def denoising(guess: Tensor, x0: Tensor, process: Process, t: Tensor) -> Tensor:
    """Weighted squared error [] per entry of a guess (B, ...) at x0."""
    return (edm_weight(process, t) * square(guess, x0)).mean() / x0[0].numel()
