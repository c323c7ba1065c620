"""Measures against a law that is known exactly: a ``teachers.analytic.Mixture`` or two Gaussians."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from workbench.randomness import Key


class Coverage(NamedTuple):
    """How samples sit on the modes: ``outside`` the share beyond every mode's radius, ``hit`` the number of modes with
    at least a tenth of their mass, ``masses`` (M,) shares of all samples by nearest mode, ``p_value`` of chi-square."""

    outside: float
    hit: int
    masses: Tensor
    p_value: float


class Estimate(NamedTuple):
    """A Monte-Carlo mean and its standard error."""

    mean: float
    error: float


def mode_radius(dim: int) -> float:
    """Radius in stds that a Gaussian in ``dim`` dimensions leaves with probability exp(-8): 4 in the plane."""
    from scipy.stats import chi2

    return math.sqrt(chi2.isf(math.exp(-8), dim))


def mode_coverage(x: Tensor, mixture, cond: Tensor | None = None) -> Coverage:
    """Coverage of the mixture's modes (of the classes cond (N,)) by samples x (N, D); a non-finite sample is outside.

    A sample counts for the mode whose centre is nearest in that mode's stds. Expected masses are the weights, so the
    p-value supposes modes that do not overlap.
    """
    from scipy.stats import chisquare

    table = mixture.tables(torch.float64)
    distance = torch.cdist(x.double(), table.means) / table.std.T  # (N, M)
    nearest, mode = distance.nan_to_num(nan=math.inf, posinf=math.inf).min(dim=1)
    inside = nearest <= mode_radius(mixture.dim)
    counts = torch.bincount(mode[nearest.isfinite()], minlength=len(table.means)).double()
    kept = torch.bincount(mode[inside], minlength=len(table.means)).double()
    weights = table.log_weights[:, -1:] if cond is None else table.log_weights[:, cond]
    expected = weights.exp().mean(1) * len(x)
    hit = int(((kept >= 0.1 * expected) & (expected > 0)).sum())
    possible = expected > 0
    total = counts[possible].sum()
    if total == 0 or possible.sum() < 2:
        p_value = 0.0 if total == 0 else 1.0
    else:
        p_value = float(chisquare(counts[possible].numpy(), (expected * total / len(x))[possible].numpy()).pvalue)
    return Coverage(1 - float(inside.double().mean()), hit, counts / len(x), p_value)


def negative_log_likelihood(x: Tensor, law, cond: Tensor | None = None) -> float:
    """Mean of -log p(x | cond) in nats per sample, x (N, D), under a law with ``log_likelihood``."""
    return -float(law.log_likelihood(x.double(), 0.0, cond).mean())


def kl(p, q, count: int = 20_000, seed: int = 0) -> Estimate:
    """KL(p || q) in nats between two laws with ``sample`` and ``log_likelihood``: Monte Carlo at a fixed seed."""
    x, _ = p.sample(count, Key(seed).generator("kl"))
    ratio = p.log_likelihood(x.double()) - q.log_likelihood(x.double())
    return Estimate(float(ratio.mean()), float(ratio.std() / math.sqrt(count)))


def kl_gaussians(mean_p: Tensor, covariance_p: Tensor, mean_q: Tensor, covariance_q: Tensor) -> float:
    """KL(N(mean_p, covariance_p) || N(mean_q, covariance_q)) in nats, exact; means (D,), covariances (D, D)."""
    factor_p, factor_q = (torch.linalg.cholesky(c.double()) for c in (covariance_p, covariance_q))
    shift = torch.linalg.solve_triangular(factor_q, (mean_q - mean_p).double()[:, None], upper=False)
    ratio = torch.linalg.solve_triangular(factor_q, factor_p, upper=False)
    log_ratio = factor_q.diagonal().log().sum() - factor_p.diagonal().log().sum()
    return float(0.5 * (ratio.square().sum() + shift.square().sum() - len(mean_p)) + log_ratio)


def endpoint_error(x: Tensor, endpoint: Tensor) -> float:
    """Mean distance |x - endpoint| of samples (N, ...) to where the exact flow map carries their noise."""
    return float((x - endpoint).flatten(1).double().norm(dim=1).mean())
