"""The pictures of the bench ``shapes``: 32x32 RGB, one or two plain shapes on a plain ground.

Every shape of "radius" r covers pi r^2 pixels, whatever its kind. The caption fixes kinds, colours, size and layout;
the ground (light or dark), the exact place, radius and shade are free. Picture i of a seed is a function of both alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from workbench.benches.shapes_captions import KINDS, PLACES, UNSAID, attributes, mixed
from workbench.randomness import Key

SIDE, FINE = 32, 4  # pixels, and sub-pixels along each: coverage comes in steps of 1/16
RGB = ((0.84, 0.16, 0.18), (0.16, 0.62, 0.25), (0.18, 0.32, 0.84), (0.95, 0.80, 0.16))  # in the order of COLOURS
SHADE = 0.06  # how far each of a shape's three values strays to either side
GROUNDS = ((0.02, 0.16), (0.84, 0.98))  # grey levels of a dark and of a light ground
RADII = ((3.6, 4.4), (5.8, 6.8), (4.2, 5.2))  # small, big, one of two
CENTRES = ((10.5, 16), (21.5, 16), (16, 10.5), (16, 21.5), (16, 16))  # (x, y) in the order of PLACES, y downwards
STRAY = 1.0  # how far a lone shape strays from its centre, along x and along y
PAIR = (8.0, 24.0, 0.8, 3.0)  # of two: coordinate of the first, of the second, stray along the relation and across it
NUMBERS = 16  # uniform numbers a picture is drawn from


class Scenes(NamedTuple):
    """What is to be drawn, N pictures of up to two shapes (kind -1: none), lengths in pixels, colours in [0, 1]."""

    caption: Tensor  # (N,)
    kind: Tensor  # (N, 2)
    centre: Tensor  # (N, 2, 2): x, y of the middle of the bounding box
    radius: Tensor  # (N, 2)
    colour: Tensor  # (N, 2, 3)
    ground: Tensor  # (N,): grey level
    light: Tensor  # (N,): whether the ground is a light one


class Pictures(NamedTuple):
    """x (N, 3, 32, 32) in [-1, 1] on 256 levels; masks (N, 2, 32, 32) in [0, 1], each shape's share of each pixel."""

    x: Tensor
    masks: Tensor


def numbers(seed: int, index: Tensor) -> Tensor:
    """Uniform numbers (N, 16) in [0, 1) of the pictures ``index`` (N,) of this seed."""
    key = Key(seed)
    drawn = [torch.rand(NUMBERS, generator=key.at(step=int(i)).generator("shapes")) for i in index]
    return torch.stack(drawn) if drawn else torch.empty(0, NUMBERS)


def scenes(seed: int, index: Tensor, caption: Tensor | None = None) -> Scenes:
    """The scenes ``index`` (N,) of this seed; ``caption`` (N,) overrides the captions that they would draw."""
    u = numbers(seed, index)
    caption = mixed(u[:, :2]) if caption is None else caption
    table = attributes()[caption]
    layout, kind = table[:, 0], table[:, [2, 4]]
    among = torch.where(kind[:, 1] == UNSAID, table[:, 1], len(RADII) - 1)  # row of RADII
    low, high = torch.tensor(RADII)[among].unbind(1)
    radius = low[:, None] + (high - low)[:, None] * u[:, 2:4]
    shade = SHADE * (2 * u[:, 4:10].reshape(-1, 2, 3) - 1)
    colour = torch.tensor(RGB)[table[:, [3, 5]].clamp(min=0)] + shade
    light = u[:, 10] < 0.5
    low, high = torch.tensor(GROUNDS)[light.long()].unbind(1)
    centre = centres(layout, 2 * u[:, 12:16].reshape(-1, 2, 2) - 1)
    return Scenes(caption, kind, centre, radius, colour.clamp(0, 1), low + (high - low) * u[:, 11], light)


def centres(layout: Tensor, stray: Tensor) -> Tensor:
    """Centres (N, 2, 2) of both shapes from the layout (N,) and numbers (N, 2, 2) in [-1, 1]."""
    lone = torch.tensor(CENTRES, dtype=torch.float32)[layout.clamp(max=len(PLACES) - 1)][:, None] + STRAY * stray
    first, second, along, across = PAIR
    pair = torch.stack([torch.tensor([first, second]) + along * stray[..., 0], SIDE / 2 + across * stray[..., 1]], -1)
    pair = torch.where((layout == len(PLACES))[:, None, None], pair, pair.flip(-1))  # left of; above
    return torch.where((layout < len(PLACES))[:, None, None], lone, pair)


def inside(kind: int, x: Tensor, y: Tensor) -> Tensor:
    """Whether points (in units of the radius, from the middle of the bounding box, y downwards) lie in the shape.

    Each has area pi: a circle of radius 1, a square, an equilateral triangle that stands, a cross with arms a third as
    wide as long.
    """
    if KINDS[kind] == "circle":
        return x * x + y * y <= 1
    if KINDS[kind] == "square":
        return torch.maximum(x.abs(), y.abs()) <= math.sqrt(math.pi) / 2
    if KINDS[kind] == "triangle":
        side = math.sqrt(4 * math.pi / math.sqrt(3))
        height = side * math.sqrt(3) / 2
        return (y <= height / 2) & (x.abs() <= (y + height / 2) * (side / 2 / height))
    arm = math.sqrt(9 * math.pi / 20)
    short, long = torch.minimum(x.abs(), y.abs()), torch.maximum(x.abs(), y.abs())
    return (short <= arm / 3) & (long <= arm)


def render(what: Scenes, batch: int = 512) -> Pictures:
    """The pictures and masks of scenes, each pixel the mean of its 4x4 sub-pixels."""
    parts = [drawn(Scenes(*(field[i : i + batch] for field in what))) for i in range(0, len(what.caption), batch)]
    return Pictures(*(torch.cat(part) for part in zip(*parts, strict=True)))


def drawn(what: Scenes) -> Pictures:
    """One batch of ``render``."""
    at = (torch.arange(SIDE * FINE) + 0.5) / FINE
    masks = torch.zeros(*what.kind.shape, SIDE, SIDE)
    for kind in range(len(KINDS)):
        chosen = what.kind == kind  # (N, 2)
        (cx, cy), radius = what.centre[chosen].T, what.radius[chosen]
        x, y = ((at[None] - c[:, None]) / radius[:, None] for c in (cx, cy))
        fine = inside(kind, x[:, None, :], y[:, :, None]).float()
        masks[chosen] = fine.view(len(cx), SIDE, FINE, SIDE, FINE).mean((2, 4))
    ground = what.ground[:, None, None, None].expand(-1, 3, SIDE, SIDE)
    over = (masks[:, :, None] * what.colour[..., None, None]).sum(1)
    x = (1 - masks.sum(1, keepdim=True)) * ground + over  # two shapes never meet
    return Pictures((x.clamp(0, 1) * 255).round() / 127.5 - 1, masks)


@dataclass(frozen=True)
class Drawn:
    """The first ``count`` pictures of a seed, drawn when first looked at."""

    seed: int
    count: int

    @cached_property
    def scenes(self) -> Scenes:
        return scenes(self.seed, torch.arange(self.count))

    @cached_property
    def pictures(self) -> Pictures:
        return render(self.scenes)

    @property
    def told(self) -> dict[str, int]:
        return {"seed": self.seed, "count": self.count}

    @cached_property
    def few(self) -> Tensor:
        """The first 64 pictures' bytes: they stand for all in fingerprints, so a change of the drawing shows."""
        return ((render(scenes(self.seed, torch.arange(min(64, self.count)))).x + 1) * 127.5).round().byte()


def classes(what: Scenes, masks: Tensor) -> Tensor:
    """Class of every pixel (N, 32, 32): 0 ground, 1 + kind where a shape covers half of it or more."""
    labels = torch.where(masks >= 0.5, (what.kind + 1)[:, :, None, None], 0)
    return labels.sum(1)
