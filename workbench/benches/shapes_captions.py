"""The captions of the bench ``shapes``: a finite table, each caption with the attributes that it names.

One shape: "a big red circle on the left" (160 of them). Two: "a red circle left of a blue square" (512).
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

KINDS = ("circle", "square", "triangle", "cross")
COLOURS = ("red", "green", "blue", "yellow")
SIZES = ("small", "big")
PLACES = ("on the left", "on the right", "at the top", "at the bottom", "in the middle")  # of one shape
RELATIONS = ("left of", "above")  # of the first shape to the second
LAYOUTS = PLACES + RELATIONS
COLUMNS = {"layout": len(LAYOUTS), "size": len(SIZES), "kind": len(KINDS), "colour": len(COLOURS),
           "second kind": len(KINDS), "second colour": len(COLOURS)}  # fmt: skip
UNSAID = -1  # in ``attributes``: the caption does not name this one


def told(row: tuple[int, ...]) -> str:
    """The caption of a row of attributes."""
    layout, size, kind, colour, kind2, colour2 = row
    if kind2 == UNSAID:
        return f"a {SIZES[size]} {COLOURS[colour]} {KINDS[kind]} {LAYOUTS[layout]}"
    return f"a {COLOURS[colour]} {KINDS[kind]} {LAYOUTS[layout]} a {COLOURS[colour2]} {KINDS[kind2]}"


def rows() -> list[tuple[int, ...]]:
    """Attributes of every caption, in the order of ``COLUMNS``: first one shape, then two."""
    kinds, colours = range(len(KINDS)), range(len(COLOURS))
    one = product(range(len(PLACES)), range(len(SIZES)), kinds, colours, [UNSAID], [UNSAID])
    two = product(range(len(PLACES), len(LAYOUTS)), [UNSAID], kinds, colours, kinds, colours)
    return [*one, *two]


CAPTIONS: tuple[str, ...] = tuple(told(row) for row in rows())
SINGLE = len(PLACES) * len(SIZES) * len(KINDS) * len(COLOURS)  # the captions before this one tell of one shape


def attributes() -> Tensor:
    """The table (K, 6) of all captions' attributes in the order of ``COLUMNS``, int64, ``UNSAID`` where unnamed."""
    return torch.tensor(rows())


def mixed(numbers: Tensor) -> Tensor:
    """Captions (N,) from uniform numbers (N, 2) in [0, 1): one shape and two with equal chance, then any of these."""
    pick = torch.where(numbers[:, 0] < 0.5, SINGLE * numbers[:, 1], SINGLE + (len(CAPTIONS) - SINGLE) * numbers[:, 1])
    return pick.long().clamp(max=len(CAPTIONS) - 1)
