"""Readings of a step for the dashboard: parts, gradient norm, learning rate, error by time bin."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from workbench.train.run import Run
from workbench.types import Loss, Stepped, Taken

BINS = 8


def reading(stepped: Stepped, run: Run) -> dict[str, Any]:
    """What an event line says of a step; reads the tensors, so it is made at recording steps only."""
    return {"step": stepped.step, "act": stepped.act, "act_step": stepped.act_step,
            "updates": [one_update(taken) for taken in stepped.taken], "gaps": gaps(run)}


@torch.no_grad()
def gaps(run: Run) -> dict[str, float | None]:
    """How far each average is from the weights it follows, over their norm, by the average's name."""
    found = {}
    for update, followers in zip(run.updates, run.followers, strict=True):
        size = norm(followers[0][1]) if followers else 0.0  # all averages of an update follow one learner
        for number_of, (averages, weights) in enumerate(followers):
            apart = norm(torch._foreach_sub(averages, weights))
            found[f"{update.trains[0]}.average{number_of or ''}"] = number(apart / size) if size else None
    return found


def norm(tensors: list[Tensor]) -> float:
    """Of all their entries together; many small tensors cost the host more than the sum itself."""
    return math.sqrt(sum(one * one for one in torch.stack(torch._foreach_norm(tensors)).tolist()))


def one_update(taken: Taken) -> dict[str, Any]:
    parts = {name: number(value) for name, value in taken.loss.parts.items()}
    said = {"trains": list(taken.trains), "total": number(taken.loss.total), "parts": parts,
            "grad_norm": number(taken.grad_norm), "lr": taken.lr}
    bins = time_bins(taken.loss)
    return said | ({"time_bins": bins} if bins else {})


def number(value: Tensor | float) -> float | None:
    """A finite float, or None: JSON knows no NaN."""
    value = float(value)
    return value if value == value and abs(value) != float("inf") else None


def time_bins(loss: Loss) -> dict[str, list[float]] | None:
    """Mean squared error of guess to target in BINS equal shares of the batch by t: {"t": mean t, "error": ...}."""
    if not {"t", "guess", "target"} <= loss.seen.keys() or len(loss.seen["t"]) < BINS:
        return None
    t, guess, target = (loss.seen[name] for name in ("t", "guess", "target"))
    t, order = torch.sort(t)
    whole = len(t) // BINS * BINS
    error = (guess - target).flatten(1).square().mean(1)[order[:whole]].reshape(BINS, -1).mean(1)
    return {"t": t[:whole].reshape(BINS, -1).mean(1).tolist(), "error": [number(one) for one in error.tolist()]}
