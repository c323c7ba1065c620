"""What a bench is: data, a frozen teacher, a student's size, a budget and metrics with known values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from workbench.noise import Process


@dataclass(frozen=True)
class Budget:
    """What a fair comparison on this bench grants both arms: teacher evaluations (one per sample), and batch size."""

    teacher_calls: float
    batch_size: int

    @property
    def steps(self) -> int:
        """Steps whose batches use the budget up at one teacher evaluation per sample and step."""
        return int(self.teacher_calls // self.batch_size)


class Generated(NamedTuple):
    """Samples to measure: x (N, ...), labels y (N,) they were asked for, the unit ``noise`` (N, ...) the walk began
    from (x_T = process.prior(noise)), ``seconds`` it took, network ``evaluations`` per sample, the guidance scale."""

    x: Tensor
    y: Tensor | None = None
    noise: Tensor | None = None
    seconds: float | None = None
    evaluations: int | None = None
    guidance: float | None = None


class Interval(NamedTuple):
    """Lowest, mean and highest value of a metric over the seeds of a perfect sampler."""

    low: float
    mean: float
    high: float


class Data(Protocol):
    """Counted data: ``at`` is a pure function of the seed it was made with, step and block."""

    def at(self, step: int, block: int = 0) -> Any:
        """The batch of this step and micro-batch."""
        ...


class Bench(Protocol):
    """A bench by its name; ``shape`` is one sample's, ``num_classes`` None where nothing is conditional."""

    name: str
    shape: tuple[int, ...]
    num_classes: int | None
    sigma_min: float
    sigma_max: float
    sigma_data: float
    budget: Budget
    metrics: tuple[str, ...]

    def process(self, kind: type[Process]) -> Process:
        """``kind`` with this bench's bounds."""
        ...

    def data(self, seed: int, batch_size: int) -> Data:
        """Training batches."""
        ...

    def teacher(self) -> nn.Module:
        """The frozen teacher, made or loaded once."""
        ...

    def student(self, seed: int, second_time: bool = False, guided: bool = False) -> nn.Module:
        """A fresh net of the bench's student size."""
        ...

    def start(self, count: int, seed: int) -> tuple[Tensor, Tensor | None]:
        """Unit noise (count, ...) and labels (count,) or None to sample from."""
        ...

    def measure(self, generated: Generated) -> dict[str, float]:
        """The value of each name in ``metrics``."""
        ...

    @property
    def reference(self) -> dict[str, Any]:
        """What the metrics read for a perfect sampler."""
        ...
