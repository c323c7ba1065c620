"""Inputs that a foreign network never had, a second time and a guidance scale, added to its time embedding."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from workbench.randomness import Key

WIDTH = 64  # frequencies of an input, half sines, half cosines


class Inputs(nn.Module):
    """(B, D) to be added to a time embedding of width D: of s, told as the network is told t, and of guidance.

    Born as zeros, so that the network answers as before. Guidance g is told as 1000 (g - 1) (2310.04378, appendix).
    """

    def __init__(self, width: int, second_time: bool, guided: bool, seed: int = 0) -> None:
        super().__init__()
        self.width = width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(Key(seed).number("inputs"))
            names = [name for name, wanted in (("s", second_time), ("guidance", guided)) if wanted]
            self.ways = nn.ModuleDict({name: way(width) for name in names})

    def forward(self, s: Tensor | None, guidance: Tensor | None) -> Tensor:
        """s (B,) in the network's timesteps, guidance (B,); one that is None is not told of."""
        given = {"s": s, "guidance": None if guidance is None else 1000 * (guidance - 1)}
        told = [way(waves(given[name])) for name, way in self.ways.items() if given[name] is not None]
        return sum(told) if told else torch.zeros(1, self.width, device=next(self.parameters()).device)


def way(width: int) -> nn.Sequential:
    found = nn.Sequential(nn.Linear(WIDTH, width), nn.SiLU(), nn.Linear(width, width))
    nn.init.zeros_(found[2].weight)
    nn.init.zeros_(found[2].bias)
    return found


def waves(value: Tensor) -> Tensor:
    """(B, WIDTH) sines and cosines of a number (B,), periods from 2 pi to 2 pi 10^4."""
    rates = torch.exp(-math.log(1e4) * torch.arange(WIDTH // 2, device=value.device) / (WIDTH // 2))
    angles = value.float()[:, None] * rates
    return torch.cat([torch.sin(angles), torch.cos(angles)], 1)


def width_of(module: nn.Module) -> int:
    """Width of what a time embedding answers with: its last linear layer's."""
    return [part for part in module.modules() if isinstance(part, nn.Linear)][-1].out_features


@contextmanager
def added(module: nn.Module, vector: Tensor | None) -> Iterator[None]:
    """Add ``vector`` (B, D) to what ``module`` answers, inside the block; nothing for None."""
    if vector is None:
        yield
        return
    hook = module.register_forward_hook(lambda _, __, out: out + vector.to(out.dtype))
    try:
        yield
    finally:
        hook.remove()
