"""What the judge of the bench ``shapes`` says of pictures: whether they show what their captions name."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from workbench.benches.shapes_captions import UNSAID, attributes
from workbench.benches.shapes_training import GROUPS


def read(logits: Tensor) -> Tensor:
    """The most likely class of every attribute (N, 7), from logits (N, 27), in the order of ``GROUPS``."""
    return torch.stack([said.argmax(1) for said in logits.split(list(GROUPS.values()), dim=1)], dim=1)


def right(logits: Tensor, captions: Tensor) -> Tensor:
    """(N, 6) true where an attribute is read as the caption (N,) names it, or where it does not name it."""
    wanted = attributes()[captions]
    return (read(logits)[:, : wanted.shape[1]] == wanted) | (wanted == UNSAID)


def agreement(logits: Tensor, captions: Tensor) -> float:
    """Share of pictures that show every attribute their caption names."""
    return float(right(logits, captions).all(1).double().mean())


def by_attribute(logits: Tensor, captions: Tensor) -> dict[str, float]:
    """Share of pictures that show this attribute as named, among those whose caption names it."""
    fine, named = right(logits, captions), attributes()[captions] != UNSAID
    return {name: float(fine[named[:, i], i].double().mean()) for i, name in enumerate(list(GROUPS)[:-1])}


def balance(logits: Tensor) -> float:
    """Twice the share of the rarer ground, light or dark: 1 where both are as frequent, which no caption names."""
    light = float(read(logits)[:, -1].double().mean())
    return 2 * min(light, 1 - light)


def spread(pictures: Tensor, captions: Tensor) -> float:
    """Mean distance between two pictures (N, C, H, W) that have one caption (N,); NaN where no caption comes twice."""
    order = captions.argsort(stable=True)
    twins = [(int(a), int(b)) for a, b in pairwise(order) if captions[a] == captions[b]]
    if not twins:
        return float("nan")
    first, second = torch.tensor(twins).unbind(1)
    return float((pictures[first] - pictures[second]).flatten(1).double().norm(dim=1).mean())
