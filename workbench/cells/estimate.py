"""``estimate``: what a training will take, before it is begun."""

from __future__ import annotations

from typing import Any

from workbench.benches.fit import Estimate
from workbench.benches.fit import estimate as fit
from workbench.papers.chosen import method as named


def estimate(method: str, bench: Any, *, batch_size: int | None = None, **settings: Any) -> Estimate:
    """Parameters, bytes and seconds of a step of this training, by a short probe; says what to change if it is too big.

    ``method`` and ``settings`` as for ``distil``; ``batch_size`` None: the bench's.
    """
    found = fit(bench, named(method, settings, bench.name), batch_size or bench.budget.batch_size)
    print(f"{method} on {bench.name}, batches of {batch_size or bench.budget.batch_size}\n{found}", flush=True)
    return found
