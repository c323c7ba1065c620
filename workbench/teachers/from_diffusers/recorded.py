"""x0 at every step of any diffusers pipeline under any scheduler: its own call is run, its scheduler's steps are heard.

The network's (guided) output and the state go into ``scheduler.step`` anyway; x0 follows from both in closed form, also
where the scheduler never computes it. The pipeline's result does not change by a bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from workbench.teachers.from_diffusers.recorded_levels import Level, before, check, level, rising
from workbench.teachers.from_diffusers.recorded_pictures import pictures


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of the network: state x_t (B, ...) as the scheduler holds it, the guided output (B, ...) there.

    step: which step of the sampler it belongs to. inner: it only completes that step (the second evaluation of a
    second-order scheduler). timestep: what the pipeline told its network.
    """

    step: int
    inner: bool
    told: Any
    level: Level
    x_t: Tensor
    output: Tensor

    @property
    def timestep(self) -> float:
        return float(torch.as_tensor(self.told).reshape(-1)[0])

    @property
    def sigma(self) -> float:
        """Noise over signal, EDM's sigma; infinite at pure noise. With a level for each token, the highest."""
        return float((self.level.sigma / self.level.alpha).max())

    @property
    def x0(self) -> Tensor:
        """What the network takes for the clean sample (B, ...), before the scheduler clips or thresholds it."""
        kind = torch.promote_types(self.x_t.dtype, torch.float32)
        a, b = (weight.to(self.x_t.device, kind) for weight in (self.level.a, self.level.b))
        return a * self.x_t.to(kind) + b * self.output.to(kind)


@dataclass
class Recorded:
    """A call that was recorded: its ``result``, every evaluation of the network, and the state that it ended with."""

    pipeline: Any
    result: Any = None
    evaluations: list[Evaluation] = field(default_factory=list)
    end: Tensor | None = None
    asked: dict[str, Any] = field(default_factory=dict)  # what the call was given, by name

    @property
    def steps(self) -> list[Evaluation]:
        """The first evaluation of each step: one a step, whatever the scheduler's order."""
        return [one for one in self.evaluations if not one.inner]

    @property
    def x0(self) -> Tensor:
        """(N, B, ...) of ``steps``."""
        return torch.stack([one.x0 for one in self.steps])

    @property
    def sigma(self) -> Tensor:
        """(N,) of ``steps``."""
        return torch.tensor([one.sigma for one in self.steps])

    def pictures(
        self, steps: Sequence[int] | None = None, samples: Sequence[int] | int | None = None, *,
        size: int | None = None, frames: int | None = 1, batch: int = 8, decode: Any = None,
    ) -> Tensor:  # fmt: skip
        """Predicted x0 as pictures (N, S, 3, H, W) in [-1, 1], decoded now: ``steps`` by ``samples``, all if left out.

        -1 among ``steps`` is the last one. ``size``: the most that the longer side has; where the pipeline's own is
        more, latents are averaged before they are decoded: a preview at a fraction of the cost. Video: of the first
        ``frames`` latent frames (None: all), with the frames as (N, S, 3, F, H, W) unless ``frames`` is 1.
        ``batch`` samples are decoded at once. ``decode``: a function of latents (B, ...) that takes the place of the
        pipeline's autoencoder; size and frames are then its own affair.
        """
        every = self.steps
        chosen = [every[at] for at in (range(len(every)) if steps is None else steps)]
        rows = [samples] if isinstance(samples, int) else samples
        latents = torch.stack([one.x0 if rows is None else one.x0[list(rows)] for one in chosen])
        flat = pictures(self.pipeline, latents.flatten(0, 1), self.asked, size, frames, batch, decode)
        return flat.unflatten(0, latents.shape[:2])

    def sample(self, **asked: Any) -> Tensor:
        """The state that the call ended with as pictures (B, 3, H, W); takes what ``pictures`` takes."""
        options = {"size": None, "frames": 1, "batch": 8, "decode": None} | asked
        return pictures(self.pipeline, self.end, self.asked, **options)


@contextmanager
def recording(scheduler: Any, device: Any = None) -> Iterator[Recorded]:
    """While it is open, every ``scheduler.step`` is recorded; the scheduler is as before after it, also on an error.

    ``device`` "cpu" keeps what is recorded in the host's memory (long video); None leaves it where it is. ValueError
    for a scheduler that cannot be read (``recorded_levels.check``), and for walks from data to noise.
    """
    check(scheduler)
    kept, own, form = Recorded(None), scheduler.step, signature(scheduler.step)
    mine = vars(scheduler).get("step")

    @wraps(own)
    def step(*given: Any, **named: Any) -> Any:
        told = form.bind(*given, **named).arguments
        if not kept.evaluations:
            rising(scheduler)
        known = before(scheduler, told["timestep"])
        x_t, output = held(told["sample"], device), held(told["model_output"], device)
        moved = own(*given, **named)
        here = level(scheduler, known, told["timestep"], told.get("per_token_timesteps"))
        count = sum(not one.inner for one in kept.evaluations) - (1 if known.inner else 0)
        kept.evaluations.append(Evaluation(count, known.inner, told["timestep"], here, x_t, mean(output, x_t)))
        kept.end = held(moved[0], device)
        return moved

    scheduler.step = step
    try:
        yield kept
    finally:
        if mine is None:
            del scheduler.step
        else:
            scheduler.step = mine


def record(pipeline: Any, *args: Any, device: Any = None, **call: Any) -> Recorded:
    """Run ``pipeline(*args, **call)`` and keep what its network said at every step.

    ``device`` as in ``recording``. Give ``output_type="latent"`` to leave the decoding of the sample out as well.
    """
    scheduler = getattr(pipeline, "scheduler", None)
    if scheduler is None:
        raise ValueError(f"{type(pipeline).__name__} has no scheduler: record a diffusers pipeline that samples by one")
    with recording(scheduler, device) as kept:
        kept.result = pipeline(*args, **call)
    kept.pipeline = pipeline
    kept.asked = dict(signature(type(pipeline).__call__).bind(pipeline, *args, **call).arguments)
    return kept


def held(x: Tensor, device: Any) -> Tensor:
    """A copy that nothing writes into later (compiled networks reuse the memory of their output)."""
    x = x.detach()
    return x.clone() if device is None or x.device == torch.device(device) else x.to(device)


def mean(output: Tensor, x_t: Tensor) -> Tensor:
    """The output without the variance that some networks predict beside it, in as many channels again."""
    return output[:, : x_t.shape[1]] if output.shape[1] == 2 * x_t.shape[1] else output
