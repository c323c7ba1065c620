"""Batches of a source, counted: a pure function of seed, step and block, so that resuming needs no state at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor

from workbench.benches.sources.order import Permutation
from workbench.benches.sources.source import BadItem, Item, Source
from workbench.randomness import Key
from workbench.types import Samples

VERSION = 1  # of the order: raise it when equal settings would give other batches
PATIENCE = 1000  # bad items in a row that end the search for a good one
ON_BAD = ("raise", "skip")
Coming = tuple[int | None, list[Future]]  # a step, and its items under way


@dataclass(frozen=True)
class Batches:
    """``at(step, block) -> Samples(x, y)``: x (B, 3, H, W) in [-1, 1], or what ``encode`` makes of it; y (B,) int64.

    y is the item's index, which is its prompt's in ``source.prompts``; None where nothing is captioned. Every epoch
    walks all items in an order of its own. With ``blocks``, the number of micro-batches in a step, these share one
    order and each item comes once an epoch; without it each block walks in an order of its own, any number will do,
    and an epoch is each block's. A source of prompts alone needs ``shape``, one latent's: x is then NaN throughout,
    since a data-free method reads its shape and nothing more, and one that reads more shall not go unnoticed.
    ``on_bad`` "skip" takes the next good item of the source instead; ``skipped`` says index by index what was wrong.
    ``encode`` is called without gradients on x on ``device``. ``threads`` decode side by side, and already the next
    step's batch while this one is worked on; with one thread each batch is decoded when it is asked for.
    Raises ValueError for settings that do not fit, BadItem under "raise".
    """

    source: Source
    seed: int
    batch_size: int
    blocks: int | None = None
    encode: Callable[[Tensor], Tensor] | None = None
    shape: tuple[int, ...] | None = None
    on_bad: str = "raise"
    device: torch.device | str = "cpu"
    threads: int = 4
    skipped: dict[int, str] = field(default_factory=dict, repr=False, compare=False)
    coming: dict[int, Coming] = field(default_factory=dict, repr=False, compare=False)  # by block, while under way

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.threads < 1 or (self.blocks is not None and self.blocks < 1):
            raise ValueError("batch_size, threads and blocks must be at least 1")
        if self.on_bad not in ON_BAD:
            raise ValueError(f"on_bad must be one of {', '.join(ON_BAD)}, got {self.on_bad!r}")
        if not self.source.pictures and self.shape is None:
            raise ValueError("prompts alone have no pictures: give shape=, one latent's, e.g. shape=(4, 64, 64)")
        if self.source.pictures and self.shape is not None:
            raise ValueError("shape= is for prompts alone; these pictures have the size that the source was given")

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) of the source's and of the order: equal ones give equal batches, ``encode`` being the same."""
        said = [VERSION, self.source.fingerprint, self.seed, self.batch_size, self.blocks, self.on_bad, self.shape]
        return sha256(json.dumps(said).encode()).hexdigest()

    def at(self, step: int, block: int = 0) -> Samples:
        """The batch of this step and micro-batch."""
        found = self.items(step, block)
        y = torch.tensor([index for index, _ in found], device=self.device) if self.source.captioned else None
        if not self.source.pictures:
            return Samples(torch.full((self.batch_size, *self.shape), torch.nan, device=self.device), y)
        x = torch.stack([item.image for _, item in found]).to(self.device)
        if self.encode is not None:
            with torch.no_grad():
                x = self.encode(x)
        return Samples(x, y)

    def indices(self, step: int, block: int = 0) -> np.ndarray:
        """(B,) int64: the items that are this batch's turn, before bad ones are passed over."""
        if self.blocks is not None and not 0 <= block < self.blocks:
            raise ValueError(f"block {block} of {self.blocks}: make the data with the run's number of blocks")
        row = step if self.blocks is None else step * self.blocks + block
        own = block if self.blocks is None else 0
        turn = row * self.batch_size + np.arange(self.batch_size, dtype=np.int64)
        epoch, place = np.divmod(turn, len(self.source))
        chosen = np.empty_like(turn)
        for one in np.unique(epoch):
            order = Permutation(len(self.source), Key(self.seed, step=int(one), block=own).number("order"))
            chosen[epoch == one] = order(place[epoch == one])
        return chosen

    def good(self, index: int) -> tuple[int, Item]:
        """The item, or under "skip" the next good one after it, the first following the last."""
        for far in range(min(PATIENCE, len(self.source))):
            now = (index + far) % len(self.source)
            try:
                return now, self.source[now]
            except BadItem as error:
                if self.on_bad == "raise":
                    raise
                self.skipped[now] = str(error)
        raise ValueError(f"no usable item among {far + 1} from {index} on; the last said: {self.skipped[now]}")

    def items(self, step: int, block: int) -> list[tuple[int, Item]]:
        """The batch's items with their indices; the next step's are begun before these are waited for."""
        if self.threads == 1 or not self.source.pictures:
            return [self.good(index) for index in self.indices(step, block).tolist()]
        known, begun = self.coming.pop(block, (None, []))
        if known != step:
            for future in begun:
                future.cancel()
            begun = self.begin(step, block)
        self.coming[block] = (step + 1, self.begin(step + 1, block))
        return [future.result() for future in begun]

    def begin(self, step: int, block: int) -> list[Future]:
        return [self.pool.submit(self.good, index) for index in self.indices(step, block).tolist()]

    @cached_property
    def pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.threads, thread_name_prefix="pictures")
