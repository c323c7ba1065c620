"""Digit classes: real digits with labels, a convolutional teacher and a small MLP student, for logit distillation."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from workbench.benches.bench import Budget
from workbench.benches.digit_images import CLASSES, SHAPE, Split, judge, split
from workbench.benches.training import DrawnData
from workbench.metrics.labels import accuracy, agreement, calibration_error, negative_log_likelihood
from workbench.nets.classifier import MlpClassifier
from workbench.randomness import Key
from workbench.train.run import Run
from workbench.types import Labelled, Unit


@dataclass(frozen=True)
class DigitClasses:
    """Ten-way classification of 8x8 digits; the pictures and the teacher are those of the bench ``digits``.

    ``widths`` are the student's hidden layers. Its data may be made scarce or wrong, the teacher's never:
    ``per_class`` is how many training pictures of each class it sees (None: all), ``flipped`` the share of them that
    carries another class's label. ``measure`` takes the classifier itself, since it draws no samples: its answers on
    the held-out pictures are compared with the true labels and with the teacher's.
    """

    split_seed: int = 3
    widths: tuple[int, ...] = (16,)
    per_class: int | None = None
    flipped: Unit = 0.0
    budget: Budget = Budget(teacher_calls=1.28e5, batch_size=64)
    memory: dict = field(default_factory=dict, repr=False, compare=False)  # the teacher, once made

    name: ClassVar[str] = "digit_classes"
    shape: ClassVar[tuple[int, ...]] = SHAPE
    num_classes: ClassVar[int] = CLASSES
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "agreement", "nll", "ece")

    @cached_property
    def images(self) -> Split:
        return split(self.split_seed)

    def data(self, seed: int, batch_size: int | None = None) -> DrawnData:
        return DrawnData(*self.lessons, seed, batch_size or self.budget.batch_size, Labelled)

    @cached_property
    def lessons(self) -> tuple[Tensor, Tensor]:
        """Pictures (N, 1, 8, 8) and labels (N,) that the student is shown, after ``per_class`` and ``flipped``.

        Chosen by ``split_seed`` alone. Raises ValueError when a class has fewer pictures than ``per_class``.
        """
        x, y, key = self.images.x, self.images.y, Key(self.split_seed)
        if self.per_class is not None:
            least = int(y.bincount().min())
            if not 1 <= self.per_class <= least:
                raise ValueError(f"per_class must lie in 1 to {least}, got {self.per_class}")
            order = torch.randperm(len(y), generator=key.generator("per_class"))
            chosen = torch.cat([order[y[order] == label][: self.per_class] for label in range(CLASSES)])
            x, y = x[chosen], y[chosen]
        wrong = torch.randperm(len(y), generator=key.generator("flipped"))[: round(self.flipped * len(y))]
        away = torch.randint(1, CLASSES, (len(wrong),), generator=key.generator("away"))
        return x, y.index_put((wrong,), (y[wrong] + away) % CLASSES)

    def teacher(self) -> nn.Module:
        """The convolutional classifier, trained on the training pictures at first use."""
        if "teacher" not in self.memory:
            self.memory["teacher"] = judge(self.images)
        return self.memory["teacher"]

    def student(self, seed: int = 0) -> MlpClassifier:
        """A fresh MLP of ``widths``: 1,210 parameters by default, against the teacher's 126,602."""
        return MlpClassifier(shape=SHAPE, num_classes=CLASSES, widths=self.widths, seed=seed)

    def measure(self, classifier: nn.Module | Run) -> dict[str, float]:
        """``metrics`` of a classifier, or of a run's student, on the held-out pictures.

        accuracy, and agreement with the teacher: shares. nll: nats per picture. ece: calibration error over 15 bins.
        """
        net = classifier.student() if isinstance(classifier, Run) else classifier
        with torch.no_grad():
            logits, told = net(self.images.held_x), self.teacher()(self.images.held_x)
        if not bool(torch.isfinite(logits).all()):
            return dict.fromkeys(self.metrics, float("nan"))
        return {
            "accuracy": accuracy(logits, self.images.held_y), "agreement": agreement(logits, told),
            "nll": negative_log_likelihood(logits, self.images.held_y),
            "ece": calibration_error(logits, self.images.held_y),
        }  # fmt: skip

    @cached_property
    def reference(self) -> dict[str, Any]:
        """What the teacher itself reads."""
        return self.measure(self.teacher())
