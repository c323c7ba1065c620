"""Several processes in lockstep: what rank 0 decides between two steps, all of them do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta

import torch
from safetensors.torch import save
from torch import Tensor, distributed

from workbench.train.checkpoint import save_run, tensors_of
from workbench.train.loop import train
from workbench.train.place import connected
from workbench.train.run import Run
from workbench.types import Stepped

STOP, SAVE = -1, -2  # in place of the length of what rank 0 says
FOREVER = timedelta(days=365)  # a pause may last: the others wait without a limit
CHECK = 500  # steps between two comparisons of all weights


class Team:
    """The processes of ``run``, which stands alike in each. They talk over sockets of their own, on the host.

    Every CHECK steps, every ``milestone`` and at the end all tensors are compared; RuntimeError where they differ.
    """

    def __init__(self, run: Run, milestone: int | None = None) -> None:
        self.run, self.milestone = run, milestone
        self.group = distributed.new_group(backend="gloo", timeout=FOREVER)
        if run.shards is not None and run.place.rank == 0:
            run.shards.gathering = lambda: self.say(SAVE)  # a checkpoint holds whole tensors: all have to give theirs

    def lead(self, run: Run) -> Iterator[Stepped]:
        """``train(run)`` for rank 0: when asked for the next step it tells the others of it, and of changes."""
        known = len(run.changes)
        if run.shards is not None:
            self.say(0)  # what was saved before the first step is saved
        for stepped in self.steps():
            yield stepped
            if not run.finished:
                said = json.dumps(run.changes[known:]).encode() if run.changes[known:] else b""
                self.say(len(said), said)
            known = len(run.changes)

    def stop(self) -> None:
        """Tell the others that no step follows; of a finished run they know, but a sharded one is saved together."""
        if not self.run.finished or self.run.shards is not None:
            self.say(STOP)

    def follow(self) -> None:
        """``train`` for the other ranks, to the end or to where rank 0 stops."""
        sharded = self.run.shards is not None
        if sharded and not self.told():
            return
        for _ in self.steps():
            if (sharded or not self.run.finished) and not self.told():
                return

    def told(self) -> bool:
        """Hear rank 0 out, and do as it says; False where no step follows."""
        while (length := int(self.heard(torch.empty(1, dtype=torch.int64)))) == SAVE:
            save_run(self.run)
        if length == STOP:
            return False
        if length:
            said = bytes(self.heard(torch.empty(length, dtype=torch.uint8)).tolist())
            for change in json.loads(said):
                self.run.change(change["name"], change["value"])
        return True

    def steps(self) -> Iterator[Stepped]:
        """``train``, with the teacher's calls of all processes counted, and all tensors compared now and then."""
        counter = self.run.counter
        before = self.run.teacher_calls
        for stepped in train(self.run):
            if counter is not None:
                own = torch.tensor([counter.calls - before])
                with connected():
                    distributed.all_reduce(own, group=self.group)
                counter.calls = before = before + int(own)
            if self.run.finished or any(self.run.step % every == 0 for every in (CHECK, self.milestone) if every):
                self.agree()
            yield stepped

    def say(self, length: int, said: bytes = b"") -> None:
        self.heard(torch.tensor([length]))
        if said:
            self.heard(torch.frombuffer(bytearray(said), dtype=torch.uint8))

    def heard(self, tensor: Tensor) -> Tensor:
        """Rank 0's tensor, on every rank."""
        with connected():
            distributed.broadcast(tensor, src=0, group=self.group)
        return tensor

    def meet(self) -> None:
        """Wait for all."""
        self.heard(torch.zeros(1))
        with connected():
            distributed.barrier(group=self.group)

    def agree(self) -> None:
        """Raise RuntimeError where the processes do not hold the same step, changes and tensors, to the bit."""
        stands = json.dumps([self.run.step, self.run.changes]).encode()
        digest = hashlib.sha256(stands + save(tensors_of(self.run))).digest()
        own = torch.frombuffer(bytearray(digest), dtype=torch.uint8)
        found = [torch.empty_like(own) for _ in range(self.run.place.world)]
        with connected():
            distributed.all_gather(found, own, group=self.group)
        if any(not torch.equal(own, other) for other in found):
            raise RuntimeError(f"the processes differ at step {self.run.step}: this checkpoint is not to be trusted; "
                               "run again to go on from the one before, and report it")
