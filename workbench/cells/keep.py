"""``keep``: numbers of a job that outlive it, for tables of many jobs."""

from __future__ import annotations

import json
import math
from numbers import Real
from typing import Any

from workbench.cells.show import run_folder
from workbench.files import write_json


def keep(**numbers: float) -> dict[str, float]:
    """Keep named numbers; under a job they join its ``metrics.json``. Returns all that are kept by now.

    ``keep(**{"ctm: recall": 0.9})``. A number that is not finite is kept as None. ValueError for what is no number.
    """
    for name, value in numbers.items():
        if not isinstance(value, Real):
            raise ValueError(f"{name} is a {type(value).__name__}: keep takes numbers, such as float({name})")
    told: dict[str, Any] = {name: float(value) if math.isfinite(value) else None for name, value in numbers.items()}
    folder = run_folder()
    if folder is None:
        return told
    path = folder / "metrics.json"
    told = (json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}) | told
    write_json(path, told)
    return told
