"""The test of a claim: paired by seed, one-sided at 95 %, by Student's t. A null effect fails, but for one time in 20.

The interval reported is the two-sided 90 % one, so each of its ends is a one-sided 95 % bound: the claim is held when
the end on the far side of the threshold has not reached it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy.special import stdtr, stdtrit

from workbench.papers.expectation import Expectation

LEVEL = 0.95


class Interval(NamedTuple):
    """Mean of n values and the two bounds each of which holds with probability ``level``."""

    mean: float
    low: float
    high: float


class Verdict(NamedTuple):
    """effect: mean of on - off, or geometric mean of on/off for a ratio; threshold in the same unit; p one-sided."""

    held: bool
    effect: float
    low: float
    high: float
    threshold: float
    p: float
    note: str = ""


def interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Student's t bounds on the mean of independent values; ValueError for fewer than two."""
    count = len(values)
    if count < 2:
        raise ValueError(f"an interval needs at least 2 values, got {count}: run more seeds")
    mean = math.fsum(values) / count
    half = float(stdtrit(count - 1, level)) * error(values)
    return Interval(mean, mean - half, mean + half)


def error(values: Sequence[float]) -> float:
    """Standard error of the mean, from the sample variance (n - 1)."""
    count, mean = len(values), math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1) / count)


def compare(on: Sequence[float], off: Sequence[float], expectation: Expectation, level: float = LEVEL) -> Verdict:
    """Whether ``on`` relates to ``off`` as expected; both are figures per seed in the same order.

    A factor is tested on log(on/off), anything else on on - off. A figure that is not finite (a diverged arm), or not
    positive where a ratio is asked for, leaves nothing to test: not held, and the note says which seed.
    """
    if len(on) != len(off):
        raise ValueError(f"arms are paired by seed, but on has {len(on)} figures and off {len(off)}")
    for name, values in (("on", on), ("off", off)):
        for index, value in enumerate(values):
            if not math.isfinite(value):
                return undecided(f"{name} is {value} at figure {index + 1}: the arm diverged, nothing to compare")
            if expectation.ratio and value <= 0:
                return undecided(f"{name} is {value:g} at figure {index + 1}: ratios need positive ones, use a margin")
    pairs = zip(on, off, strict=True)
    steps = [math.log(a / b) if expectation.ratio else a - b for a, b in pairs]
    threshold = math.log(expectation.factor) if expectation.ratio else expectation.margin
    mean, low, high = interval(steps, level)
    held = high < threshold if expectation.smaller else low > threshold
    p = probability(mean - threshold, error(steps), len(steps), expectation.smaller)
    back = math.exp if expectation.ratio else float
    return Verdict(held, back(mean), back(low), back(high), back(threshold), p)


def probability(distance: float, spread: float, count: int, smaller: bool) -> float:
    """One-sided p of a mean this far from the threshold, were it truly at it."""
    signed = distance if smaller else -distance
    if spread == 0:
        return 0.0 if signed < 0 else 1.0
    return float(stdtr(count - 1, signed / spread))


def undecided(note: str) -> Verdict:
    return Verdict(False, math.nan, math.nan, math.nan, math.nan, math.nan, note)
