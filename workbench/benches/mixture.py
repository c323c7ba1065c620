"""The bench around an exact Gaussian mixture: everything but the places of its modes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import ClassVar

import torch
from torch import Tensor

from workbench.benches.bench import Budget, Generated, Interval
from workbench.metrics.known import endpoint_error, mode_coverage, negative_log_likelihood
from workbench.metrics.samples import energy_distance, pair_mean, sliced_wasserstein
from workbench.nets.mlp import Mlp
from workbench.noise import Edm, Process
from workbench.randomness import Key
from workbench.teachers.analytic import Mixture
from workbench.types import Samples

FRESH_SEED = 20_000  # of the draw that samples are compared with, far from the seeds of training data


@dataclass(frozen=True)
class MixtureData:
    """Batches drawn from a mixture: ``at(step, block)`` is a pure function of seed, step, block; y if ``labelled``."""

    mixture: Mixture
    seed: int
    batch_size: int
    labelled: bool = True

    def at(self, step: int, block: int = 0) -> Samples:
        generator = Key(self.seed, step=step, block=block).generator("data")
        x, y = self.mixture.sample(self.batch_size, generator)
        return Samples(x, y if self.labelled else None)


@dataclass(frozen=True)
class MixtureBench:
    """A bench whose truth is a ``Mixture``; a subclass gives ``name`` and ``mixture()``.

    ``conditional=False`` (default): no labels anywhere; y and ``num_classes`` are None, ``start`` gives cond None.
    ``conditional=True``: data carry labels, ``start`` draws one per sample and the student takes it.
    """

    conditional: bool = False
    width: int = 128
    depth: int = 3
    sigma_min: float = 0.002
    sigma_max: float = 10.0
    budget: Budget = Budget(teacher_calls=2e6, batch_size=512)
    samples: int = 8192  # drawn for a measurement
    memory: dict = field(default_factory=dict, repr=False, compare=False)  # endpoints and draws, by content

    name: ClassVar[str] = ""
    metrics: ClassVar[tuple[str, ...]] = (
        "energy_distance", "outside", "mode_p", "modes_hit", "sliced_wasserstein", "nll", "endpoint_error",
    )  # fmt: skip

    def mixture(self) -> Mixture:
        """The law of the data, made anew."""
        raise NotImplementedError

    @cached_property
    def truth(self) -> Mixture:
        return self.mixture().eval()

    @cached_property
    def _teacher(self) -> Mixture:
        return self.mixture().eval()

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.truth.dim,)

    @property
    def num_classes(self) -> int | None:
        return self.truth.num_classes if self.conditional else None

    @property
    def sigma_data(self) -> float:
        return self.truth.process.sigma_data

    def process(self, kind: type[Process] = Edm) -> Process:
        return kind(self.sigma_min, self.sigma_max, self.sigma_data)

    def data(self, seed: int, batch_size: int | None = None) -> MixtureData:
        return MixtureData(self.truth, seed, batch_size or self.budget.batch_size, self.conditional)

    def teacher(self) -> Mixture:
        """The exact mixture: score, velocity, flow map, posterior and likelihood are its methods.

        Not the ``truth`` that data and measures use: a run may move its teacher to another device.
        """
        return self._teacher

    def student(self, seed: int = 0, second_time: bool = False, guided: bool = False) -> Mlp:
        return Mlp(
            self.truth.dim, self.width, self.depth, self.num_classes, second_time, guided,
            self.sigma_min, self.sigma_max, self.sigma_data, seed,
        )  # fmt: skip

    def start(self, count: int, seed: int) -> tuple[Tensor, Tensor | None]:
        """Unit noise (count, D), and a label (count,) each, by the classes' weights, when conditional."""
        noise = torch.randn(count, *self.shape, generator=Key(seed).generator("start"))
        cond = self.truth.sample(count, Key(seed).generator("labels"))[1] if self.conditional else None
        return noise, cond

    def endpoints(self, noise: Tensor, cond: Tensor | None = None, guidance: float | None = None) -> Tensor:
        """Where the exact flow map carries sigma_max * noise; kept in memory by the content of noise and cond."""
        digest = blake2b(noise.numpy(force=True).tobytes(), digest_size=16)
        digest.update(b"" if cond is None else cond.numpy(force=True).tobytes())
        name = "endpoints", digest.hexdigest(), guidance
        if name not in self.memory:
            t = torch.full((len(noise),), self.sigma_max, dtype=torch.float64)
            with torch.no_grad():
                x_t = self.sigma_max * noise.double()
                self.memory[name] = self.truth.flow_map(x_t, t, torch.zeros_like(t), cond, guidance)
        return self.memory[name]

    def fresh(self, count: int) -> tuple[Tensor, float]:
        """``count`` samples of the truth at a fixed seed, and the mean distance between two of them."""
        name = "fresh", count
        if name not in self.memory:
            x, _ = self.truth.sample(count, Key(FRESH_SEED).generator("fresh"))
            self.memory[name] = x, pair_mean(x, x, same=True)
        return self.memory[name]

    def measure(self, generated: Generated) -> dict[str, float]:
        """``metrics`` by name; ``endpoint_error`` only where the noise is known, and NaN where x is not finite.

        energy_distance and sliced_wasserstein: to as many fresh samples. outside: share beyond 4 std (the radius of
        equal probability in more dimensions) of every mode. mode_p: chi-square p-value of the mode masses. nll in
        nats. endpoint_error: mean distance to the exact flow map of the same noise, with the same labels and scale.
        """
        x = generated.x.detach().float().cpu()
        y = generated.y.cpu() if self.conditional and generated.y is not None else None
        reference, within = self.fresh(len(x))
        coverage = mode_coverage(x, self.truth, y)
        values = {
            "energy_distance": energy_distance(x, reference, within),
            "outside": coverage.outside,
            "mode_p": coverage.p_value,
            "modes_hit": float(coverage.hit),
            "sliced_wasserstein": sliced_wasserstein(x, reference),
            "nll": negative_log_likelihood(x, self.truth, y),
        }
        if generated.noise is not None:
            guidance = generated.guidance if y is not None else None
            values["endpoint_error"] = endpoint_error(x, self.endpoints(generated.noise.cpu(), y, guidance))
        return values

    def perfect(self, count: int = 2048, seeds: int = 20) -> dict[str, Interval]:
        """Each metric's lowest, mean and highest value over ``seeds`` independent draws of the truth itself."""
        rows = []
        for seed in range(seeds):
            x, y = self.truth.sample(count, Key(seed).generator("perfect"))
            rows.append(self.measure(Generated(x, y if self.conditional else None)))
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        known = {name: Interval(min(v), sum(v) / len(v), max(v)) for name, v in columns.items()}
        return {**known, "endpoint_error": Interval(0.0, 0.0, 0.0)}

    @cached_property
    def reference(self) -> dict[str, Interval]:
        """``perfect()`` at 2048 samples and seeds 0 to 19, computed when first read."""
        return self.perfect()
