"""Hybrid sampling: one model begins, another goes on from the same noise level (arXiv 2503.10637).

The first steps of a walk decide the composition: a teacher that takes them gives a student back its diversity.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from workbench.cells.model import Model
from workbench.noise import move
from workbench.randomness import Key
from workbench.solvers import walk
from workbench.types import Frame

SLACK = 1.0 + 1e-4  # levels this near to the switch count as it


@dataclass(frozen=True)
class Hybrid(Model):
    """``begin`` walks its own grid down to the level of this student's step ``switch``, and the student goes on."""

    begin: Model | None = None
    switch: int = 1

    def frames(
        self, noise: Tensor, cond: Tensor | None, num_inference_steps: int | None = None, seed: int = 0
    ) -> list[Frame]:
        """Every state: the first model's steps, then the student's from ``switch`` on, one count over both."""
        grid = self.asked(num_inference_steps).grid(self.process, num_inference_steps)
        if not 0 <= self.switch < len(grid):
            raise ValueError(f"switch must be 0 to {len(grid) - 1}, the student's steps, got {self.switch}")
        if self.switch == 0 or self.begin is None:
            return super().frames(noise, cond, num_inference_steps, seed)
        begun = list(down_to(self.begin, level(self, grid[self.switch]), noise, cond, seed))
        rest = branched(self.begin, begun[-1], replace(self, begin=None), cond, seed, grid, self.switch)
        process, first = self.begin.process, begun[:-1]
        here = [in_process(frame, process, self.process) for frame in first]
        before = begun[-1].evaluations
        return [replace(frame, step=step, evaluations=frame.evaluations + (before if step >= len(here) else 0))
                for step, frame in enumerate([*here, *rest])]

    @property
    def role(self) -> str:
        return "average"


def level(model: Model, t: Tensor) -> float:
    """Noise over signal at a time of the model's process."""
    alpha, sigma = model.process.signal_noise(t.double())
    return float(sigma / alpha)


def down_to(model: Model, sigma: float, noise: Tensor, cond: Tensor | None, seed: int) -> Iterator[Frame]:
    """The model's walk from pure noise to the level ``sigma``: the steps of its own grid above it, then that level."""
    process = model.process
    above = [t for t in model.sampler.grid(process).double() if level(model, t) > sigma * SLACK]
    times = torch.stack([*above, torch.tensor(process.at_sigma(sigma), dtype=torch.float64)])
    return walk(model.net, process, model.sampler.solver, times, process.prior(noise), cond=cond,
                guidance=model.guidance_scale, key=Key(seed))


def branched(first: Model, frame: Frame, then: Model, cond: Tensor | None, seed: int, grid: Tensor | None = None,
             switch: int = 0) -> list[Frame]:
    """``then`` goes on from a frame of ``first``: down its own ``grid`` from step ``switch`` on.

    Without a grid: from the frame's level by its own levels beneath it.
    """
    x, t = move(frame.x_t, frame.t, first.process, then.process)
    if grid is None:
        here = level(then, t.reshape(-1)[0])
        below = [one for one in then.sampler.grid(then.process).double() if level(then, one) * SLACK < here]
        grid = torch.stack([t.reshape(-1)[0].double(), *below])
    start = Frame(switch, x, grid[switch].to(x).expand(len(x)), grid[switch].to(x).expand(len(x)), x, key=Key(seed))
    return [*walk(then.net, then.process, then.sampler.solver, grid, start, cond=cond, guidance=then.guidance_scale)]


def in_process(frame: Frame, source, target) -> Frame:
    """The frame's state told in another process; its prediction is one of clean samples and stays."""
    x, t = move(frame.x_t, frame.t, source, target)
    _, s = move(frame.x_t, frame.s, source, target)
    return replace(frame, x_t=x, t=t, s=s, velocity=None, memory=None)


def hybrid(first: Model, then: Model, switch: int = 1) -> Hybrid:
    """A model that samples by ``first`` down to the level of ``then``'s step ``switch``, and by ``then`` from there.

    ``switch`` 0: ``then`` alone; its number of steps: ``first`` alone, on its own grid.
    """
    now = then.now()
    return Hybrid(f"{first.name} to {then.name}'s step {switch}", now.bench, now.net, now.sampler, now.run,
                  now.guidance_scale, None, first.now(), switch)

