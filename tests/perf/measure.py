"""The measurements by name, each with its bound."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.perf.cases import LOOPS, engine, recorded, run_of, task_of, walks, watched
from tests.perf.check import apart, unlike
from tests.perf.pairs import Ratio, compare
from workbench.train.loop import train

MLP_BATCH, UNET_BATCH = 512, 32
QUICK = 30  # pairs of a measurement in the tests
Both = tuple[Iterator, Iterator]


@dataclass(frozen=True)
class Measurement:
    """Two generators to compare, ``turns`` steps at a time; held when ``which`` (ratio or low) is within ``bound``."""

    both: Callable[[], AbstractContextManager[Both]]
    bound: float
    turns: int
    pairs: int
    which: str = "ratio"
    check: Callable[[], str] = lambda: ""  # what is wrong before anything is timed

    def taken(self, pairs: int | None = None, clock: str = "cpu") -> Ratio:
        with self.both() as (a, b):
            return compare(a, b, pairs=pairs or self.pairs, turns=self.turns, clock=clock)

    def held(self, ratio: Ratio) -> bool:
        return getattr(ratio, self.which) <= self.bound


def over_bare(net: str, method: str, turns: int, pairs: int) -> Measurement:
    """The engine over the loop written by hand."""
    batch_size, bound, which = (MLP_BATCH, 1.05, "ratio") if net == "mlp" else (UNET_BATCH, 1.02, "low")

    @contextmanager
    def both() -> Iterator[Both]:
        yield engine(run_of(net, method, batch_size)), LOOPS[method](task_of(net, method, batch_size))

    def check() -> str:
        worst = apart(net, method, batch_size=64 if net == "mlp" else 4)
        return "" if worst <= 1e-6 else f"losses or gradients differ, by {worst:.2g} of their size: another training"

    return Measurement(both, bound, turns, pairs, which, check)


def recorders(net: str, turns: int, pairs: int) -> Measurement:
    """The engine watched over the engine alone."""
    batch_size = MLP_BATCH if net == "mlp" else UNET_BATCH

    @contextmanager
    def both() -> Iterator[Both]:
        with tempfile.TemporaryDirectory(prefix="perf-") as folder:
            watched = recorded(run_of(net, "consistency", batch_size, Path(folder) / "run"))
            yield watched, train(run_of(net, "consistency", batch_size))
            watched.close()

    def check() -> str:
        with tempfile.TemporaryDirectory(prefix="perf-") as folder:
            steps, few = (30, 64) if net == "mlp" else (11, 4)
            names = unlike(net, "consistency", Path(folder) / "run", steps, few)
        return f"watching changes {len(names)} tensors, {names[0]} first" if names else ""

    return Measurement(both, 1.03, turns, pairs, "ratio", check)


def watching(net: str, turns: int, pairs: int) -> Measurement:
    """The engine recorded and watched live over the engine recorded; turns are long enough to hold a look each."""
    batch_size = MLP_BATCH if net == "mlp" else UNET_BATCH

    @contextmanager
    def both() -> Iterator[Both]:
        with tempfile.TemporaryDirectory(prefix="perf-") as folder:
            a = watched(run_of(net, "consistency", batch_size, Path(folder) / "watched"))
            b = recorded(run_of(net, "consistency", batch_size, Path(folder) / "alone"))
            yield a, b
            a.close()
            b.close()

    def check() -> str:
        with tempfile.TemporaryDirectory(prefix="perf-") as folder:
            names = unlike(net, "consistency", Path(folder) / "run", 30, 64, by=lambda run: watched(run, 0.0))
        return f"watching changes {len(names)} tensors, {names[0]} first" if names else ""

    return Measurement(both, 1.03, turns, pairs, "ratio", check)


@contextmanager
def recorded_walks() -> Iterator[Both]:
    yield walks()


@contextmanager
def twice_the_same() -> Iterator[Both]:
    yield tuple(LOOPS["consistency"](task_of("mlp", "consistency", MLP_BATCH)) for _ in range(2))


def same_samples() -> str:
    a, b = (next(steps) for steps in walks(64))
    gap = float((a - b).abs().max())
    return "" if gap <= 1e-4 else f"the samples differ by {gap:.2g}"


MEASUREMENTS = {
    "null.mlp": Measurement(twice_the_same, 1.05, 5, 120),
    **{f"mlp.{method}": over_bare("mlp", method, 5, 120) for method in LOOPS},
    "unet.consistency": over_bare("unet", "consistency", 2, 60),
    "unet.dmd2": over_bare("unet", "dmd2", 5, 60),
    "recorders.mlp": recorders("mlp", 10, 100),
    "recorders.unet": recorders("unet", 10, 20),
    "watching.mlp": watching("mlp", 80, 40),
    "walk.mlp": Measurement(recorded_walks, 1.05, 1, 60, check=same_samples),
}
