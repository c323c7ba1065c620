"""Distances between two sets of pictures in a feature space, real against generated.

Frechet distance (1706.08500 eq. 6, the "FID" formula), precision and recall (1904.06991 eq. 1-2), density and coverage
(2002.09797 eq. 3-4). All in float64; sets are (N, D) and (M, D).
"""

from __future__ import annotations

import torch
from torch import Tensor


def frechet_gaussians(mean_a: Tensor, covariance_a: Tensor, mean_b: Tensor, covariance_b: Tensor) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) for means (D,) and covariances (D, D), squared units."""
    root = matrix_root(covariance_a.double())
    inner = torch.linalg.eigvalsh(root @ covariance_b.double() @ root).clamp(min=0).sqrt().sum()
    shift = (mean_a.double() - mean_b.double()).square().sum()
    return max(0.0, float(shift + covariance_a.double().trace() + covariance_b.double().trace() - 2 * inner))


def matrix_root(matrix: Tensor) -> Tensor:
    """Symmetric square root (D, D) of a positive semi-definite matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def frechet(a: Tensor, b: Tensor) -> float:
    """Frechet distance between Gaussians fitted to a (N, D) and b (M, D). Biased upwards: compare equal N only."""
    check(a, b, 2)
    return frechet_gaussians(a.double().mean(0), a.double().T.cov(), b.double().mean(0), b.double().T.cov())


def precision_recall(real: Tensor, generated: Tensor, neighbours: int = 3) -> tuple[float, float]:
    """Share of generated points inside the real manifold, and of real points inside the generated one.

    A manifold is the union of balls about its points, each reaching the ``neighbours``-th nearest other point.
    """
    check(real, generated, neighbours + 1)
    between = distances(real, generated)  # (N, M)
    precision = (between <= reach(real, neighbours)[:, None]).any(0).double().mean()
    recall = (between <= reach(generated, neighbours)[None, :]).any(1).double().mean()
    return float(precision), float(recall)


def density_coverage(real: Tensor, generated: Tensor, neighbours: int = 5) -> tuple[float, float]:
    """Real balls per generated point over ``neighbours`` (may exceed 1), and share of real balls that hold one."""
    check(real, generated, neighbours + 1, 1)
    inside = distances(real, generated) <= reach(real, neighbours)[:, None]  # (N, M)
    return float(inside.double().sum(0).mean() / neighbours), float(inside.any(1).double().mean())


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances (N, M), computed without the cancellation of the product formula."""
    return torch.cdist(a.double().flatten(1), b.double().flatten(1), compute_mode="donot_use_mm_for_euclid_dist")


def reach(points: Tensor, neighbours: int) -> Tensor:
    """Distance (N,) from each point to its ``neighbours``-th nearest other point."""
    return distances(points, points).kthvalue(neighbours + 1, dim=1).values


def check(a: Tensor, b: Tensor, least: int, least_b: int | None = None) -> None:
    """Raise ValueError unless both are finite sets of at least ``least`` points (b: ``least_b``) in one space."""
    for name, points, fewest in (("first", a, least), ("second", b, least if least_b is None else least_b)):
        if points.ndim != 2 or len(points) < fewest:
            raise ValueError(f"the {name} set is {tuple(points.shape)}; need (N, D) with N >= {fewest}")
        if not bool(torch.isfinite(points).all()):
            raise ValueError(f"the {name} set of features holds NaN or infinity: the net that made them diverged")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"features of {a.shape[1]} and of {b.shape[1]} dimensions cannot be compared")
