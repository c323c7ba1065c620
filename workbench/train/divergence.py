"""A training that has gone to infinity: noticed, told with its part and time, and ended."""

from __future__ import annotations

import torch

from workbench.train.run import Run
from workbench.types import Loss, Taken


class Diverged(RuntimeError):
    """Three non-finite steps in a row; the message names the part of the loss and the times. No weight was changed."""


PATIENCE = 3  # non-finite steps in a row that end a run


def check(run: Run, taken: tuple[Taken, ...]) -> None:
    """Raise Diverged after PATIENCE non-finite steps in a row."""
    if float(max(run.bad_streak)) < PATIENCE:
        return
    worst = next((one for one in taken if float(run.bad_streak[one.update]) >= PATIENCE), taken[-1])
    parts = [name for name, value in worst.loss.parts.items() if not torch.isfinite(value)] or ["gradient"]
    raise Diverged(
        f"diverged at step {run.step}: non-finite {', '.join(parts)} of the update of {', '.join(worst.trains)} "
        f"{PATIENCE} times in a row{bad_times(worst.loss)}; no weight was changed by these steps. "
        f"Lower the learning rate (now {worst.lr:g}) or clip the gradient, and resume from the last checkpoint."
    )


def bad_times(loss: Loss) -> str:
    """ at t in [a, b]: the times of the samples whose recorded values are not finite, where the loss recorded them."""
    if "t" not in loss.seen:
        return ""
    t = loss.seen["t"]
    others = [value for name, value in loss.seen.items() if name != "t" and len(value) == len(t)]
    rows = [~torch.isfinite(value).reshape(len(t), -1).all(1) for value in others]
    bad = torch.stack(rows).any(0) if rows else torch.zeros_like(t, dtype=torch.bool)
    t = t[bad] if bool(bad.any()) else t
    return f" at t in [{float(t.min()):.4g}, {float(t.max()):.4g}]"
