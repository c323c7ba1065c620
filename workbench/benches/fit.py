"""Will it fit, and how long will a step take: known before a run, from its weights and a short probe."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import psutil
import torch
from torch import Tensor, nn

from workbench.benches.assemble import born
from workbench.benches.live_bytes import LiveBytes
from workbench.train.loop import take
from workbench.train.run import Run
from workbench.types import Taken

GIB = 2**30


class Estimate(NamedTuple):
    """What a training will take. Bytes are of tensors: a process takes some 0.5 GiB more for the libraries themselves.

    ``parameters``: of all nets, each counted once; ``trained`` of them learn. ``weights``: bytes of all nets and
    averages. ``peak``: bytes at the highest moment of a step. ``seconds``: of one step. ``free``: bytes the device has.
    ``advice``: what to change, where it does not fit.
    """

    parameters: int
    trained: int
    weights: int
    peak: int
    seconds: float
    free: int
    advice: tuple[str, ...]

    @property
    def fits(self) -> bool:
        return self.peak <= self.free

    def __str__(self) -> str:
        lines = [f"parameters  {self.parameters:,}, of which {self.trained:,} learn",
                 f"weights     {told(self.weights)}", f"peak        {told(self.peak)} in a step",
                 f"free        {told(self.free)}", f"step        {self.seconds:.3g} s",
                 "fits" if self.fits else "does not fit:", *(f"  - {line}" for line in self.advice)]
        return "\n".join(lines)


def estimate(bench: Any, method: Any, batch_size: int) -> Estimate:
    """Probe two smaller batches of the method on the bench, and say what ``batch_size`` will take.

    Peak and time of a step are linear in the batch: a line through the two probes, one sample and two, then, where by
    these there is room for it, an eighth and a quarter of the batch. All acts and updates are tried. Nothing that is
    kept is changed. ValueError, with what to change, where not even two samples fit.
    """
    run = born(bench, method, steps=max(100, batch_size), batch_size=1)
    weights = size(tensors(run))
    try:
        rounds(run)  # what is made once, and compiled once, is not the step's
        line = through(run, bench, 1, 2)
    except (RuntimeError, MemoryError) as error:
        if "memory" not in str(error).lower():
            raise
        raise ValueError(f"not even a batch of 2 fits beside {told(weights)} of weights:\n" +
                         "\n".join(remedies(bench, run, None))) from error
    free = room(run)
    if batch_size >= 16 and weights + line(batch_size // 4)[0] < free / 2:
        line = through(run, bench, batch_size // 8, batch_size // 4)
    bytes_of, seconds = line(batch_size)
    peak, slope = weights + round(bytes_of), line(batch_size + 1)[0] - bytes_of
    most = batch_size + math.floor((free - peak) / slope) if slope > 0 else batch_size
    learners = {param for group in run.learners for param in group}
    everything = {one for net in run.nets.values() for one in held(net) if isinstance(one, nn.Parameter)}
    return Estimate(count(everything), count(learners), weights, peak, seconds, free,
                    () if peak <= free else tuple(remedies(bench, run, most)))


def through(run: Run, bench: Any, few: int, more: int) -> Callable[[int], tuple[float, float]]:
    """The line through two probes: batch size -> (bytes beyond the nets', seconds of a step)."""
    (low, quick), (high, slow) = (probe(run, bench, count) for count in (few, more))
    slope, pace = (high - low) / (more - few), max(0.0, (slow - quick) / (more - few))
    return lambda count: (low + slope * (count - few), quick + pace * (count - few))


def probe(run: Run, bench: Any, batch_size: int) -> tuple[int, float]:
    """(bytes at the highest moment beyond the nets', seconds of a step, acts weighed by their lengths)."""
    run.data = bench.data(0, batch_size)
    device = run.place.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        rounds(run)
        peak = torch.cuda.max_memory_allocated(device) - before
    else:
        with LiveBytes() as meter:
            rounds(run)
        peak = meter.peak
    return peak, rounds(run)


def rounds(run: Run) -> float:
    """Two steps of every act, each update taken, the first to make the moments; seconds of a step."""
    seconds = 0.0
    for act in range(len(run.acts)):
        run.enter(act, restoring=True)
        batches = [run.data.at(0, block) for block in run.place.blocks(run.blocks)]
        before: list[Taken] = []  # a training's event lives until the next one comes
        for turn in range(2):
            said = []
            for index, update in enumerate(run.updates):
                began = time.perf_counter()
                said.append(take(run, index, batches))
                float(said[-1].loss.total)  # a device that works on behind our back is waited for
                share = sum(update.due(step) for step in range(60)) / 60 * run.acts[act].steps / run.steps
                seconds += turn * share * (time.perf_counter() - began)
            before[:] = said
    for group in run.learners:
        for param in group:
            param.grad = None
    return seconds


def tensors(run: Run) -> list[Tensor]:
    """All that the run's nets and averages hold, a shared base once; see ``size``."""
    return [one for net in [*run.nets.values(), *run.averages.values()] for one in held(net)]


def held(net: nn.Module) -> list[Tensor]:
    """A net's parameters and buffers; those of the base that it is a view of, too."""
    found = [*net.parameters(), *net.buffers()]
    for part in net.modules():
        base = part.__dict__.get("network")
        found += [*base.parameters(), *base.buffers()] if isinstance(base, nn.Module) else []
        conditions = part.__dict__.get("conditions")
        found += conditions.table.values() if conditions is not None else []
    return found


def count(some: Iterable[Tensor]) -> int:
    return sum(one.numel() for one in some)


def size(some: Iterable[Tensor]) -> int:
    """Bytes of tensors, those that share memory once."""
    return sum({one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in some}.values())


def room(run: Run) -> int:
    """Bytes for a run on its device: what is free now, and what its nets hold already."""
    device = run.place.device
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    return free + size(tensors(run))


def remedies(bench: Any, run: Run, most: int | None) -> list[str]:
    """What makes a training smaller, the cheapest first."""
    found = [f"a batch of {most} fits: more micro-batches make it up"] if most and most >= 1 else []
    if getattr(bench, "gradient_checkpointing", None) is False:
        found.append("gradient_checkpointing=True: activations are computed twice and not kept")
    if hasattr(bench, "rank") and bench.rank is None and bench.depth == bench.width == 1:
        found.append("rank=16: students are adapters of one shared base")
    if getattr(bench, "torch_dtype", None) == "float32":
        found.append('torch_dtype="bfloat16": half the bytes of the base')
    if getattr(bench, "offload", None) is False:
        found.append("offload=True: text encoders and autoencoder stay on the CPU")
    if len(run.averages) > 1:
        found.append(f"{len(run.averages)} averages are kept: a method with fewer holds less")
    return found or ["a smaller network, or a device with more memory"]


def told(count: int) -> str:
    return f"{count / GIB:.2f} GiB" if count > GIB / 10 else f"{count / 2**20:.2f} MiB"
