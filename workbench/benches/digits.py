"""Digits: 1,797 real pictures of 8x8, the smallest bench of real data; the teacher is trained here, once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from workbench.benches.bench import Budget, Generated, Interval
from workbench.benches.digit_images import CLASSES, SHAPE, Split, alike, judge, split
from workbench.benches.training import DrawnData, FlowMatching, Recipe, trained
from workbench.metrics.features import density_coverage, frechet, precision_recall
from workbench.metrics.labels import accuracy
from workbench.metrics.memorisation import closeness, copied
from workbench.nets.classifier import predictions
from workbench.nets.clone import clone
from workbench.nets.unet import UNet
from workbench.noise import Edm, Process, TrigFlow
from workbench.randomness import Key

NEIGHBOURS = 5  # of precision, recall, density and coverage (2002.09797, sec. 4)


@dataclass(frozen=True)
class Digits:
    """Class-conditional 8x8 digits, split into training and held-out pictures by ``split_seed``.

    Features are the last hidden layer of a classifier trained on the training pictures. ``widths`` are the U-Net's, of
    teacher and student alike, so that a student may begin as its teacher's copy.
    """

    split_seed: int = 3
    widths: tuple[int, ...] = (32, 96)
    sigma_min: float = 0.002
    sigma_max: float = 80.0
    budget: Budget = Budget(teacher_calls=1.28e5, batch_size=64)
    samples: int = 359  # drawn for a measurement: as many as there are held-out pictures
    memory: dict = field(default_factory=dict, repr=False, compare=False)  # nets and features, once made

    name: ClassVar[str] = "digits"
    shape: ClassVar[tuple[int, ...]] = SHAPE
    num_classes: ClassVar[int] = CLASSES
    metrics: ClassVar[tuple[str, ...]] = (
        "recognised", "frechet", "frechet_train", "precision", "recall", "density", "coverage", "memorised",
        "closeness",
    )  # fmt: skip

    @cached_property
    def images(self) -> Split:
        return split(self.split_seed)

    @cached_property
    def sigma_data(self) -> float:
        """Standard deviation of all grey values of the training pictures."""
        return float(self.images.x.double().std(correction=0))

    def process(self, kind: type[Process] = Edm) -> Process:
        return kind(self.sigma_min, self.sigma_max, self.sigma_data)

    def data(self, seed: int, batch_size: int | None = None) -> DrawnData:
        return DrawnData(self.images.x, self.images.y, seed, batch_size or self.budget.batch_size)

    def student(self, seed: int = 0, second_time: bool = False, guided: bool = False) -> nn.Module:
        """The teacher's trainable copy, further inputs born as zeros; ``seed`` has nothing to draw."""
        return clone(self.teacher(), second_time=second_time, guided=guided)

    def fresh(self, seed: int = 0) -> UNet:
        """An untrained net of the teacher's size."""
        return UNet(
            widths=self.widths, num_classes=CLASSES, sigma_min=self.sigma_min, sigma_max=self.sigma_max,
            sigma_data=self.sigma_data, seed=seed,
        )  # fmt: skip

    def teacher(self) -> nn.Module:
        """The class-conditional U-Net (guidance off; cond=None is its unconditional answer), trained on first use."""
        if "teacher" not in self.memory:
            method = FlowMatching(self.process(TrigFlow), mean=-0.9, bend=0.015)
            recipe = Recipe(method, steps=2000, batch_size=128)
            self.memory["teacher"] = trained("digits-teacher", self.fresh(), recipe, self.images.x, self.images.y)
        return self.memory["teacher"]

    def classifier(self) -> nn.Module:
        """The convolutional classifier whose features judge the samples, trained on first use."""
        if "classifier" not in self.memory:
            self.memory["classifier"] = judge(self.images)
        return self.memory["classifier"]

    def start(self, count: int, seed: int) -> tuple[Tensor, Tensor]:
        """Unit noise (count, 1, 8, 8), and the labels 0 to 9 in turn (count,)."""
        noise = torch.randn(count, *SHAPE, generator=Key(seed).generator("start"))
        return noise, torch.arange(count) % CLASSES

    @cached_property
    def seen(self) -> tuple[Tensor, Tensor]:
        """Features (N, 64) of the training and of the held-out pictures."""
        return predictions(self.classifier(), self.images.x)[0], predictions(self.classifier(), self.images.held_x)[0]

    def measure(self, generated: Generated) -> dict[str, float]:
        """``metrics`` by name, NaN throughout where x is not finite.

        recognised: share that the classifier takes for the label asked for (NaN without labels). frechet and
        frechet_train: to the held-out and the training features, biased upwards by small sets: compare equal numbers of
        samples. precision, recall, density, coverage: against the held-out features, 5 neighbours. memorised: share of
        copies of training pictures. closeness: median distance to the nearest training picture over held-out ones'.
        """
        x = generated.x.detach().float().cpu()
        if not bool(torch.isfinite(x).all()):
            return dict.fromkeys(self.metrics, float("nan"))
        features, logits = predictions(self.classifier(), x)
        train, held = self.seen
        (precision, recall), (density, coverage) = (
            compare(held, features, NEIGHBOURS) for compare in (precision_recall, density_coverage)
        )
        return {
            "recognised": float("nan") if generated.y is None else accuracy(logits, generated.y.cpu()),
            "frechet": frechet(features, held), "frechet_train": frechet(features, train),
            "precision": precision, "recall": recall, "density": density, "coverage": coverage,
            "memorised": copied(x, self.images.x),
            "closeness": float(closeness(x, self.images.held_x, self.images.x, (0.5,))),
        }  # fmt: skip

    def perfect(self, seeds: int = 10) -> dict[str, Interval]:
        """What a perfect copy of the training law reads: lowest, mean and highest over ``seeds`` draws.

        Training pictures are drawn with replacement, as a generator draws, in the classes' held-out numbers; where they
        are the yardstick themselves, these are the held-out pictures' own values.

        Drawn without replacement they read lower (frechet 1.86, not 2.03, at split_seed 3): such a draw is a fresh
        sample of all digits, which no generator that knows the training pictures alone can give.
        """
        images, rows = self.images, []
        for seed in range(seeds):
            chosen = alike(images, Key(seed).generator("perfect"))
            rows.append(self.measure(Generated(images.x[chosen], images.y[chosen])))
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        known = {name: Interval(min(v), sum(v) / len(v), max(v)) for name, v in columns.items()}
        unseen = self.measure(Generated(images.held_x, images.held_y))
        against_training = ("recognised", "frechet_train", "memorised", "closeness")
        return {**known, **{name: Interval(*(unseen[name],) * 3) for name in against_training}}

    @cached_property
    def reference(self) -> dict[str, Any]:
        """``perfect()`` at seeds 0 to 9, computed when first read."""
        return self.perfect()
