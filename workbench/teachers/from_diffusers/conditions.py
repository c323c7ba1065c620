"""What prompts turn into, encoded once and looked up by index."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Rows = dict[str, Tensor]
BATCH = 16  # prompts encoded at once
RESIDENT = 2**31  # bytes of rows that are encoded in advance and held; larger tables are encoded as they are asked for
RECENT = 1024  # prompts of a larger table that are remembered


class Conditions:
    """A table of prompts: index -> the rows that a network is conditioned on; index len(table) is the empty prompt.

    ``encode(prompts)`` gives the rows of some prompts, each (P, ...), and of the empty one, each (1, ...). A table that
    fits into ``resident`` bytes is encoded when it is made, and ``encode`` is never asked again: the text encoders can
    go. A larger one asks it for the prompts of each batch, and remembers the latest.
    """

    def __init__(self, encode: Callable[[Sequence[str]], tuple[Rows, Rows]], prompts: Sequence[str] = (), *,
                 resident: int = RESIDENT) -> None:
        self.prompts, self.encode = prompts, encode
        self.recent: OrderedDict[int, Rows] = OrderedDict()
        with torch.no_grad():
            _, self.table = encode(("",))
        size = sum(row.numel() * row.element_size() for row in self.table.values())
        self.resident = size * (len(prompts) + 1) <= resident
        if self.resident and self.table:
            parts = [self.asked(range(start, min(start + BATCH, len(prompts))))
                     for start in range(0, len(prompts), BATCH)]
            self.table = {name: torch.cat([*(part[name] for part in parts), row]) for name, row in self.table.items()}

    def __len__(self) -> int:
        """How many prompts there are; 0 where nothing is conditional."""
        return len(self.prompts) if self.table else 0

    def __deepcopy__(self, memo: dict) -> Conditions:
        """Itself: teacher, student and critic look up one table."""
        return self

    def rows(self, cond: Tensor | None, count: int, device: torch.device, dtype: torch.dtype) -> Rows:
        """The rows (B, ...) of indices cond (B,); for None those of the empty prompt, ``count`` times."""
        if not self.table:
            return {}
        if next(iter(self.table.values())).device != device:
            self.table = {name: table.to(device) for name, table in self.table.items()}
        if cond is None:
            return {name: table[-1:].to(dtype).expand(count, *table.shape[1:]) for name, table in self.table.items()}
        if self.resident:
            cond = cond.to(device)
            return {name: table[cond].to(dtype) for name, table in self.table.items()}
        found = self.remembered(cond.tolist())
        return {name: torch.stack([row[name].to(device, dtype) for row in found]) for name in self.table}

    @torch.no_grad()
    def asked(self, indices: Sequence[int]) -> Rows:
        """Rows (P, ...) of some prompts, encoded now; ValueError for a prompt that is no text."""
        texts = [self.prompts[index] for index in indices]
        for index, text in zip(indices, texts, strict=True):
            if not isinstance(text, str):
                raise ValueError(f"prompt {index} is no text but {text!r}: give texts")
        said, _ = self.encode(texts)
        return {name: row.detach() for name, row in said.items()}

    def remembered(self, indices: Sequence[int]) -> list[Rows]:
        """The rows of each prompt, those not remembered encoded together; ValueError for an index that none has."""
        for index in indices:
            if not 0 <= index <= len(self.prompts):
                raise ValueError(f"no prompt {index}: indices go from 0 to {len(self.prompts)}, which is the empty one")
        empty = {name: table[-1] for name, table in self.table.items()}
        new = sorted({index for index in indices if index < len(self.prompts)} - self.recent.keys())
        if new:
            said = self.asked(new)
            for place, index in enumerate(new):
                self.recent[index] = {name: row[place] for name, row in said.items()}
        found = [self.recent.get(index, empty) for index in indices]
        while len(self.recent) > max(RECENT, len(indices)):
            self.recent.popitem(last=False)
        return found

    def index(self, prompt: str) -> int:
        """The index of a prompt; ValueError for one that is not in the table."""
        for index, known in enumerate(self.prompts):
            if known == prompt:
                return index
        raise ValueError(f"{prompt!r} is not among the {len(self.prompts)} prompts of this table: name it when the "
                         "pipeline is loaded")
