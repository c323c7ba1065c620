"""Small classifiers: convolutional, and an MLP of any width (narrow ones are the students of logit distillation)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from workbench.nets.blocks import draw, group_norm
from workbench.randomness import Key


class ConvClassifier(nn.Module):
    """Logits (B, K) from pictures x (B, C, H, W); ``features`` is the last hidden layer (B, ``hidden``).

    One 3x3 convolution per entry of ``widths``, each after the first halving the picture, then one hidden layer.
    """

    def __init__(
        self, *, shape: Sequence[int] = (1, 8, 8), num_classes: int = 10,
        widths: Sequence[int] = (32, 64, 128), hidden: int = 64, seed: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.settings = dict(
            shape=tuple(shape), num_classes=num_classes, widths=tuple(widths), hidden=hidden, seed=seed
        )
        with torch.random.fork_rng(devices=[]):  # torch draws weights as it builds; ``draw`` writes over them
            self._build(shape, num_classes, widths, hidden)
        draw(self, Key(seed or 0))

    def _build(self, shape: Sequence[int], num_classes: int, widths: Sequence[int], hidden: int) -> None:
        channels, height, width = shape
        layers: list[nn.Module] = []
        for level, out in enumerate(widths):
            layers += [nn.Conv2d(channels, out, 3, stride=2 if level else 1, padding=1), group_norm(out), nn.SiLU()]
            channels = out
            height, width = (height, width) if not level else ((height + 1) // 2, (width + 1) // 2)
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, hidden), nn.SiLU())
        self.head = nn.Linear(hidden, num_classes)

    def features(self, x: Tensor) -> Tensor:
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class MlpClassifier(nn.Module):
    """Logits (B, K) from x (B, ...), flattened; ``features`` is the last hidden layer (B, widths[-1])."""

    def __init__(
        self, *, shape: Sequence[int] = (1, 8, 8), num_classes: int = 10, widths: Sequence[int] = (64,),
        seed: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if not widths:
            raise ValueError("widths needs at least one hidden layer, e.g. widths=(64,)")
        self.settings = dict(shape=tuple(shape), num_classes=num_classes, widths=tuple(widths), seed=seed)
        sizes = [math.prod(shape), *widths]
        with torch.random.fork_rng(devices=[]):
            pairs = zip(sizes[:-1], sizes[1:], strict=True)
            layers = [layer for inputs, outputs in pairs for layer in (nn.Linear(inputs, outputs), nn.SiLU())]
            self.body = nn.Sequential(nn.Flatten(), *layers)
            self.head = nn.Linear(sizes[-1], num_classes)
        draw(self, Key(seed or 0))

    def features(self, x: Tensor) -> Tensor:
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


@torch.no_grad()
def predictions(classifier: nn.Module, x: Tensor, batch: int = 1024) -> tuple[Tensor, Tensor]:
    """(features (N, D), logits (N, K)) of many pictures x (N, ...), in eval order, without gradients."""
    parts = [classifier.features(piece) for piece in x.split(batch)]
    features = torch.cat(parts)
    return features, classifier.head(features)
