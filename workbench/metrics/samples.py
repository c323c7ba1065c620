"""Distances between two sets of samples (N, ...) and (M, ...), each small or 0 on average for equal laws."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

CHUNK = 1 << 20  # entries of a block of pairwise distances: 4 MB in fp32
Kernel = Callable[[Tensor], Tensor]  # of squared distances


def pair_mean(x: Tensor, y: Tensor, kernel: Kernel | None = None, *, same: bool = False) -> float:
    """Mean of |x_i - y_j|, or of ``kernel(|x_i - y_j|^2)``, over all pairs, by blocks of rows, summed in fp64.

    ``same``: x is y, and the pairs of a sample with itself are left out (by symmetry half the rest is computed).
    """
    x, y = x.flatten(1), y.flatten(1)
    centre = y.mean(0)  # large offsets would cost digits where distances go through products
    x, y = x - centre, y - centre
    rows, total = max(1, CHUNK // len(y)), torch.zeros((), dtype=torch.float64, device=x.device)
    for i in range(0, len(x), rows):
        block = _distances(x[i : i + rows], y[i:] if same else y)
        block = block if kernel is None else kernel(block.square_())
        if same:  # the rows' own triangle once, all that lies right of it once
            square = block[:, : len(block)]
            total += torch.triu(square, diagonal=1).sum(dtype=torch.float64)
            block = block[:, len(block) :]
        total += block.sum(dtype=torch.float64)
    return float(total) / (len(x) * (len(x) - 1) / 2 if same else len(x) * len(y))


def _distances(x: Tensor, y: Tensor) -> Tensor:
    """(N, M) distances; through a matrix product from 16 dimensions on, exact differences below."""
    way = "use_mm_for_euclid_dist" if x.shape[1] >= 16 else "donot_use_mm_for_euclid_dist"
    return torch.cdist(x, y, compute_mode=way)


def energy_distance(x: Tensor, y: Tensor, within_y: float | None = None) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| (Szekely and Rizzo 2013, eq. 1), unbiased: may be slightly negative.

    ``within_y``: a known E|Y - Y'| of this very y, which saves a third of the work.
    """
    check_pair(x, y)
    within_y = pair_mean(y, y, same=True) if within_y is None else within_y
    return 2 * pair_mean(x, y) - pair_mean(x, x, same=True) - within_y


def mmd(x: Tensor, y: Tensor, bandwidths: tuple[float, ...] | None = None) -> float:
    """Squared maximum mean discrepancy, unbiased (Gretton et al. 2012, eq. 3), mean over Gaussian kernels.

    exp(-|x - y|^2 / (2 b^2)) for each bandwidth b; None: half, one and two times the median distance within y (of its
    first 1000 samples).
    """
    check_pair(x, y)
    if bandwidths is None:
        median = float(torch.pdist(y[:1000].flatten(1).float()).median())
        bandwidths = tuple(median * factor for factor in (0.5, 1.0, 2.0))

    def kernel(square: Tensor) -> Tensor:
        return sum(torch.exp(square * (-0.5 / b**2)) for b in bandwidths) / len(bandwidths)

    within = pair_mean(x, x, kernel, same=True) + pair_mean(y, y, kernel, same=True)
    return within - 2 * pair_mean(x, y, kernel)


def sliced_wasserstein(x: Tensor, y: Tensor, projections: int = 128, seed: int = 0) -> float:
    """Sliced 2-Wasserstein distance (Bonneel et al. 2015): root mean of W2^2 over seeded directions; biased upwards."""
    import ot

    check_pair(x, y)
    x, y = (z.flatten(1).double().numpy(force=True) for z in (x, y))
    return float(ot.sliced_wasserstein_distance(x, y, n_projections=projections, seed=seed))


def check_pair(x: Tensor, y: Tensor) -> None:
    """Raise ValueError unless both sets have at least two samples of one shape."""
    if x.shape[1:] != y.shape[1:] or min(len(x), len(y)) < 2:
        raise ValueError(f"need two sets of at least 2 samples of one shape, got {tuple(x.shape)} and {tuple(y.shape)}")
