"""What came out of two runs, held against each other: numbers kept, trainings, weights, figures. Clocks are left out.

In this order: status, ``metrics.json``, each training's recorded steps, its frozen nets and its last checkpoint, the
numbers of each figure. What cells print is not compared: it tells of seconds.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from workbench.jobs.cost import uses
from workbench.record.store import read_events

TOLERANCE = 1e-5  # relative: what other versions and machines may change of a number in single precision
CLOCK = re.compile(r"(^|[ _:])(seconds|time|per_second|ms)$")
Parts = Mapping[str, Any]


class Found(NamedTuple):
    """A difference: where, what was and what is, and how large it is (infinite where the two cannot be compared)."""

    where: str
    old: Any
    new: Any
    relative: float = math.inf

    def __str__(self) -> str:
        size = "" if math.isinf(self.relative) else f" (relative difference {self.relative:.1e})"
        return f"{self.where}: was {self.old}, is {self.new}{size}"


class Verdict(NamedTuple):
    """``said``: "identical to the bit", "within tolerance", "different" or "nothing to compare"; the first difference
    that says so; how many things were compared."""

    said: str
    first: Found | None
    compared: int

    def __str__(self) -> str:
        if self.first is None:
            return f"{self.said} ({self.compared} compared)" if self.compared else (
                f"{self.said}: the runs kept no metrics.json, no training and no figure with numbers")
        limit = f" (relative {TOLERANCE:g})" if self.said == "within tolerance" else ""
        return f"{self.said}{limit}; first in {self.first}"


def verdict(old: Path, new: Path, records: tuple[Parts, Parts], weights: bool = True) -> Verdict:
    """Compare two runs' folders; ``weights`` False leaves checkpoints out."""
    found, compared = [], 0
    for one in differences(old, new, records, weights):
        compared += one is None
        found += [] if one is None else [one]
    beyond = next((one for one in found if not one.relative <= TOLERANCE), None)
    if beyond or found:
        return Verdict("different" if beyond else "within tolerance", beyond or found[0], compared)
    return Verdict("identical to the bit" if compared else "nothing to compare", None, compared)


def differences(old: Path, new: Path, records: tuple[Parts, Parts], weights: bool) -> Iterator[Found | None]:
    """Every difference in order, and None for each metric, training, checkpoint and figure that was compared."""
    if records[0].get("status") != records[1].get("status"):
        was, now = (" ".join(filter(None, (one.get("status"), one.get("error")))) for one in records)
        yield Found("status", was, now)
    yield from metrics(content(old / "metrics.json"), content(new / "metrics.json"))
    before, after = uses(old), uses(new)
    for name in [*before, *(name for name in after if name not in before)]:
        if name not in before or name not in after:
            yield Found(f"training {name}", *("there" if name in one else "missing" for one in (before, after)))
            continue
        yield from training(name, old / name, new / name)
        yield from pairs(f"{name}: frozen net", before[name].get("given"), after[name].get("given"))
        yield from pairs(f"{name}: first batch of data", *(one[name].get("data_sha256") for one in (before, after)))
        if weights:
            yield from checkpoint(name, old / name, new / name)
    yield from figures(old / "figures", new / "figures")


def content(path: Path) -> Any:
    """A JSON file; None where it is missing, a word where it is torn."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return "torn"


def metrics(old: Any, new: Any) -> Iterator[Found | None]:
    if old is None and new is None:
        return
    yield from pairs("metrics.json", old or {}, new or {})
    yield from [None] * (len(old) if isinstance(old, dict) else 0)


def metrics_differ(old: Path, new: Path) -> list[str]:
    """A sentence for each number of ``metrics.json`` that differs."""
    return [str(one) for one in metrics(*(content(folder / "metrics.json") for folder in (old, new))) if one]


def training(name: str, old: Path, new: Path) -> Iterator[Found | None]:
    """Its recorded steps, one by one."""
    try:
        before, after = list(read_events(old, "step")), list(read_events(new, "step"))
    except (OSError, ValueError, KeyError, TypeError):
        yield Found(f"{name}: events.jsonl", "whole", "torn, here or there")
        return
    for one, two in zip(before, after, strict=False):
        yield from pairs(f"{name}, step {one.get('step')}", one, two)
    if len(before) != len(after):
        yield Found(f"{name}: steps recorded", len(before), len(after))
    yield None


def pairs(where: str, old: Any, new: Any) -> Iterator[Found]:
    """Each difference of two JSON values but for what a clock said; numbers with their relative difference."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            if not CLOCK.search(name):
                there = name in old and name in new
                yield from pairs(f"{where}: {name}", old.get(name), new.get(name)) if there else [
                    Found(f"{where}: {name}", *(one.get(name, "missing") for one in (old, new)))]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (one, two) in enumerate(zip(old, new, strict=True), 1):
            yield from pairs(f"{where}, {number}", one, two)
    elif repr(old) != repr(new):
        yield Found(where, short(old), short(new), relative(old, new))


def short(value: Any) -> Any:
    text = str(value)
    return value if len(text) < 60 else f"{text[:57]}..."


def relative(old: Any, new: Any) -> float:
    """|a - b| / max(|a|, |b|) of two numbers, infinite for anything else."""
    if any(isinstance(one, bool) or not isinstance(one, int | float) for one in (old, new)):
        return math.inf
    apart = abs(old - new) / max(abs(old), abs(new), 1e-300)
    return apart if math.isfinite(apart) else math.inf


def checkpoint(name: str, old: Path, new: Path) -> Iterator[Found | None]:
    """The last checkpoints' tensors: their bytes, and where those differ, their values."""
    last = [max((folder / "checkpoints").glob("[0-9]*.safetensors"), default=None) for folder in (old, new)]
    if last == [None, None]:
        return
    if last[0] is None or last[1] is None or last[0].name != last[1].name:
        yield Found(f"{name}: last checkpoint", *(path.name if path else "missing" for path in last))
        return
    if last[0].read_bytes() != last[1].read_bytes():
        yield from tensors(f"{name}, {last[0].name}", *last)
    yield None


def tensors(where: str, old: Path, new: Path) -> Iterator[Found]:
    """Each tensor that differs: the largest difference over the largest value."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        before, after = load_file(old), load_file(new)
    except SafetensorError as error:
        yield Found(where, "whole", f"torn ({error})")
        return
    for name in [*before, *(name for name in after if name not in before)]:
        one, two = before.get(name), after.get(name)
        if one is None or two is None or one.shape != two.shape or one.dtype != two.dtype:
            yield Found(f"{where}: {name}", *("missing" if each is None else f"{each.dtype} {tuple(each.shape)}"
                                              for each in (one, two)))
        elif one.numel() and not one.equal(two):
            largest = max(each.double().abs().max().item() for each in (one, two))
            apart = (one.double() - two.double()).abs().max().item() / largest
            yield Found(f"{where}: {name}", "one tensor", "another", apart if math.isfinite(apart) else math.inf)


def figures(old: Path, new: Path) -> Iterator[Found | None]:
    """The numbers each figure was drawn from."""
    for name in sorted({path.name for folder in (old, new) for path in folder.glob("*.json")}):
        yield from pairs(f"figure {name.removesuffix('.json')}", content(old / name), content(new / name))
        yield None
