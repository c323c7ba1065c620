"""Where a run computes: device, precision and, over several processes, who takes which micro-batch.

``accelerate`` is met here and nowhere else. Micro-batches are numbered over all processes, process r of P takes
r, r + P, ..., and gradients are summed; so P processes give the numbers of one process with as many micro-batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor


class Parted(RuntimeError):
    """Another process of the run has ended, or cannot be reached."""


@contextmanager
def connected() -> Iterator[None]:
    """Talk to the other processes; Parted, with a sentence, where that fails."""
    try:
        yield
    except RuntimeError as error:
        said = "another process of this training was lost; run again to go on from the last checkpoint"
        raise Parted(said) from error


@dataclass(frozen=True)
class Place:
    """One process's view: its device, rank among ``world`` processes, and the autocast to compute losses under.

    ``shard``: each process holds a share of the networks of pipelines, see ``train.shard``; alone it holds them whole.
    """

    device: torch.device = torch.device("cpu")
    rank: int = 0
    world: int = 1
    autocast: Callable[[], AbstractContextManager] = nullcontext
    shard: bool = False

    @classmethod
    def of(cls, accelerator, shard: bool = False) -> Place:
        """The place an ``accelerate.Accelerator`` describes (its device, processes and mixed precision).

        It shards where told so here, or where accelerate is configured for FSDP 2, which it is on no CPU.
        """
        autocast = nullcontext if accelerator.mixed_precision == "no" else accelerator.autocast
        shard = shard or accelerator.is_fsdp2
        return cls(accelerator.device, accelerator.process_index, accelerator.num_processes, autocast, shard)

    def blocks(self, count: int) -> range:
        """This process's micro-batches of ``count``; ValueError when they cannot be shared out evenly."""
        if count % self.world:
            raise ValueError(f"{count} micro-batches cannot be shared by {self.world} processes: use a multiple")
        return range(self.rank, count, self.world)

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Add up tensors over the processes, in place; nothing to do for one. Parted when another process is gone."""
        if self.world > 1:
            with connected():
                for tensor in tensors:
                    torch.distributed.all_reduce(tensor)
