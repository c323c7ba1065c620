"""``workbench doctor --fit``: whether a training fits, from what was typed."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import fields
from typing import Any


def told(method: str, bench: str, batch_size: int | None, typed: Sequence[str]) -> tuple[str, bool]:
    """(what to print, whether it fits). Typed names are fields of the bench where it has them, else the method's.

    ValueError for an unknown bench, method or field.
    """
    from workbench.benches import BENCHES, load
    from workbench.benches.fit import estimate
    from workbench.jobs.parameters import typed_pairs
    from workbench.papers.chosen import method as named

    given = {name: plain(value) for name, value in typed_pairs("-p", typed).items()}
    if bench == "pipeline":
        raise ValueError("name the pipeline's folder: workbench doctor --fit METHOD FOLDER")
    name, own = (bench, {}) if bench in BENCHES else ("pipeline", {"folder": bench, "prompts": ("a prompt",)})
    known = {field.name for field in fields(load(name, **own))}
    place = load(name, **own | {key: value for key, value in given.items() if key in known})
    rule = named(method, {key: value for key, value in given.items() if key not in known}, place.name)
    size = batch_size or place.budget.batch_size
    found = estimate(place, rule, size)
    return f"{method} on {bench}, batches of {size}\n{found}", found.fits


def plain(value: str) -> Any:
    """A typed value as Python means it: 16, 1e-3, None, (64, 64); a text where it is nothing else."""
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value
