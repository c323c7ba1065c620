"""Counted randomness: every draw is a function of where it stands, so nothing has to be carried, saved or restored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b

import torch


@dataclass(frozen=True)
class Key:
    """(seed, act, update, step, block): the address of a draw; the name is given when drawing."""

    seed: int = 0
    act: int = 0
    update: int = 0
    step: int = 0
    block: int = 0

    def at(self, **changes: int) -> Key:
        return replace(self, **changes)

    def number(self, name: str) -> int:
        """63-bit seed of this address and name; equal addresses give equal numbers on every machine."""
        text = f"{self.seed}/{self.act}/{self.update}/{self.step}/{self.block}/{name}"
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1

    def generator(self, name: str, device: torch.device | str = "cpu") -> torch.Generator:
        return torch.Generator(device).manual_seed(self.number(name))
