"""Paired timing: short turns of two generators in the order A B B A, a ratio per pair, the median and its interval."""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

CLOCKS: dict[str, Callable[[], float]] = {"cpu": time.process_time, "wall": time.perf_counter}


@dataclass(frozen=True)
class Ratio:
    """Median of a / b over pairs with the order-statistic 95 % interval, ``total`` the ratio of the sums."""

    ratio: float
    low: float
    high: float
    pairs: int
    total: float
    seconds: float  # of one step of b, the median

    def told(self) -> dict[str, Any]:
        return {name: value if name == "pairs" else float(f"{value:.5g}") for name, value in asdict(self).items()}


def keep_freed_memory() -> bool:
    """Ask the C library to hand no freed memory back, for the rest of the process; True where it could be asked.

    Otherwise page faults, which come and go with the allocator's state (0 to 160 a step of the MLP were seen, the same
    loop in the same process), cost up to a tenth of a small step, on one side or the other, and that is measured.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return False
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # malloc.h of glibc
    wanted = {mmap_threshold: 1 << 30, trim_threshold: (1 << 31) - 1, top_pad: 1 << 26}
    return all([library.mallopt(name, value) == 1 for name, value in wanted.items()])


def turn(steps: Iterator, count: int, clock: Callable[[], float]) -> float:
    started = clock()
    for _ in range(count):
        next(steps)
    return clock() - started


def compare(a: Iterator, b: Iterator, *, pairs: int, turns: int, clock: str = "cpu", warm: int = 2) -> Ratio:
    """Time ``pairs`` pairs of ``turns`` steps of each; the first ``warm`` pairs are not counted."""
    found, now = [], CLOCKS[clock]
    for index in range(pairs + warm):
        if index % 2:
            second = turn(b, turns, now)
            first = turn(a, turns, now)
        else:
            first = turn(a, turns, now)
            second = turn(b, turns, now)
        found.append((first, second))
    found = found[warm:]
    ratios = sorted(first / second for first, second in found)
    low, high = interval(len(ratios))
    return Ratio(median(ratios), ratios[low], ratios[high], pairs, sum(x for x, _ in found) / sum(y for _, y in found),
                 median(y for _, y in found) / turns)


def interval(count: int, level: float = 0.95) -> tuple[int, int]:
    """Ranks (from 0) of ``count`` sorted values between which the median lies with probability ``level`` at least.

    From the binomial law of how many values fall under the median; the extremes where ``count`` is too small.
    """
    tail = 0.0
    for rank in range(count // 2):
        tail += math.comb(count, rank) * 0.5**count
        if tail > (1 - level) / 2:
            low = max(rank - 1, 0)
            return low, count - 1 - low
    return 0, count - 1
