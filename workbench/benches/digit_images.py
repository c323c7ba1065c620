"""The pictures of the digit benches: 1,797 real handwritten digits of 8x8 (scikit-learn's, the test set of
UCI's optdigits), and the classifier that knows them."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from workbench.benches.training import Recipe, Supervised, trained
from workbench.nets.classifier import ConvClassifier
from workbench.randomness import Key
from workbench.types import Labelled

SHAPE, CLASSES = (1, 8, 8), 10


class Split(NamedTuple):
    """Training and held-out pictures (N, 1, 8, 8) in [-1, 1] and their labels (N,)."""

    x: Tensor
    y: Tensor
    held_x: Tensor
    held_y: Tensor


@lru_cache(maxsize=4)
def split(seed: int = 0, held_out: float = 0.2) -> Split:
    """The stratified split of this seed: from each class, the share ``held_out`` of its pictures, rounded, is held out.

    Grey levels 0..16 become -1..1 exactly. Raises ValueError unless 0 < held_out < 1.
    """
    from sklearn.datasets import load_digits

    if not 0 < held_out < 1:
        raise ValueError(f"held_out is a share strictly between 0 and 1, got {held_out}")
    raw = load_digits()
    x = torch.tensor(raw.data / 8 - 1, dtype=torch.float32).reshape(-1, *SHAPE)
    y = torch.tensor(raw.target, dtype=torch.long)
    held = torch.zeros(len(y), dtype=torch.bool)
    for label in range(CLASSES):
        members = (y == label).nonzero()[:, 0]
        order = torch.randperm(len(members), generator=Key(seed).generator(f"split{label}"))
        held[members[order[: round(held_out * len(members))]]] = True
    return Split(x[~held], y[~held], x[held], y[held])


def judge(images: Split) -> nn.Module:
    """The classifier of real training digits, kept in the cache: it never saw a held-out picture."""
    recipe = Recipe(Supervised(), steps=600, batch_size=128)
    net = ConvClassifier(shape=SHAPE, num_classes=CLASSES)
    return trained("digits-classifier", net, recipe, images.x, images.y, Labelled)


def alike(images: Split, generator: torch.Generator, replacement: bool = True) -> Tensor:
    """Indices of training pictures, drawn with or without replacement, with as many of each class as are held out."""
    chosen = []
    for label in range(CLASSES):
        members = (images.y == label).nonzero()[:, 0]
        count = int((images.held_y == label).sum())
        if replacement:
            drawn = torch.randint(len(members), (count,), generator=generator)
        else:
            drawn = torch.randperm(len(members), generator=generator)[:count]
        chosen.append(members[drawn])
    return torch.cat(chosen)
