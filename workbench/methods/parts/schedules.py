"""Learning rates and averaging decays as functions of now, for ``Update.lr`` and ``Update.average``."""

from __future__ import annotations

import math
from collections.abc import Callable

from workbench.types import Now


def cosine(lr: float, warmup: float = 0.01, floor: float = 0.01) -> Callable[[Now], float]:
    """Linear warm-up over the share ``warmup`` of the act, then a cosine down to ``floor`` times lr at its end."""

    def rate(now: Now) -> float:
        p = now.progress
        if p < warmup:
            return lr * (now.step + 1) / (warmup * now.steps + 1)
        return lr * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * (p - warmup) / (1 - warmup))))

    return rate


def ramped(decay: float) -> Callable[[Now], float]:
    """Averaging decay min(decay, (1 + n) / (10 + n)) after n steps: a young average forgets its start."""
    return lambda now: min(decay, (1 + now.step) / (10 + now.step))
