"""Does a generator copy its training set? Nearest training pictures, judged against what real unseen pictures do."""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.metrics.features import check, distances


def nearest(x: Tensor, training: Tensor, neighbours: int = 1) -> Tensor:
    """Distances (N, neighbours), nearest first, from each x (N, ...) to its nearest training points (M, ...)."""
    return distances(x, training).topk(neighbours, dim=1, largest=False).values


def copied(x: Tensor, training: Tensor, ratio: float = 1 / 3) -> float:
    """Share of x (N, ...) that are copies: nearer to one training point than ``ratio`` of the way to the next one.

    The criterion of 2310.02664, sec. 2 (ratio 1/3). A training picture itself always counts.
    """
    check(x.flatten(1), training.flatten(1), 2)
    first, second = nearest(x, training, 2).unbind(1)
    return float((first <= ratio * second).double().mean())


def closeness(x: Tensor, held_out: Tensor, training: Tensor, quantiles=(0.05, 0.25, 0.5)) -> Tensor:
    """Quantiles (Q,) of x's distance to its nearest training point, over the same quantiles of held-out points.

    1: x keeps the distance that real unseen points keep. Below 1: it leans towards copying. Above: it strays.
    """
    check(x.flatten(1), held_out.flatten(1), 2)
    at = torch.tensor(quantiles, dtype=torch.float64)
    mine, theirs = (nearest(points, training)[:, 0].quantile(at) for points in (x, held_out))
    return mine / theirs
