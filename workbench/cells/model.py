"""What the verbs hand to each other: a net with all that is needed to sample it, and its name and colour."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from workbench.benches.bench import Generated
from workbench.cells.live import Live
from workbench.cells.style import MARKERS, STUDENTS, TEACHER
from workbench.noise import Process
from workbench.randomness import Key
from workbench.solvers import Sampler, walk
from workbench.train.run import Run
from workbench.types import Frame


@dataclass(frozen=True)
class Model:
    """A teacher (``run`` is None) or the student of a run, on its bench. ``guidance_scale`` None: off."""

    name: str
    bench: Any
    net: Any
    sampler: Sampler
    run: Run | None = None
    guidance_scale: float | None = None
    live: Live | None = None  # the thread that still trains it

    @property
    def process(self) -> Process:
        """The process it is sampled in: the method's, else the net's own."""
        return (self.run and getattr(self.run.method, "process", None)) or self.net.process

    @property
    def role(self) -> str:
        """"teacher" or "student": which colour it has everywhere."""
        return "teacher" if self.run is None else "student"

    @property
    def trained(self) -> Run:
        """The run that distilled it; ValueError for a teacher."""
        if self.run is None:
            raise ValueError(f"{self.name} was not distilled here: this cell is about students")
        return self.run

    def now(self) -> Model:
        """Itself, or while it is still being trained a copy as it stands between two steps."""
        if self.live is None or self.live.ended.is_set():
            return self
        return replace(self, net=self.live.snapshot())

    def asked(self, num_inference_steps: int | None) -> Sampler:
        """Its sampler; ValueError where it was trained for other numbers of steps than the one asked for."""
        if num_inference_steps is not None and not self.sampler.admits(num_inference_steps):
            own = self.sampler.num_inference_steps
            raise ValueError(f"{self.name} was trained for {own} steps, not for {num_inference_steps}: ask for {own}")
        return self.sampler

    def at(self, num_inference_steps: int) -> Model:
        """The same model, sampled in this many steps."""
        self.asked(num_inference_steps)
        return replace(self, sampler=Sampler(self.sampler.solver, self.sampler.spacing, num_inference_steps))

    def frames(
        self, noise: Tensor, cond: Tensor | None, num_inference_steps: int | None = None, seed: int = 0
    ) -> list[Frame]:
        """Every state of a walk from unit ``noise`` (B, ...): N frames and the sample."""
        grid = self.asked(num_inference_steps).grid(self.process, num_inference_steps)
        return [
            *walk(
                self.net,
                self.process,
                self.sampler.solver,
                grid,
                self.process.prior(noise),
                cond=cond,
                guidance=self.guidance_scale,
                key=Key(seed),
            )
        ]

    def sample(
        self, noise: Tensor, cond: Tensor | None, num_inference_steps: int | None = None, seed: int = 0
    ) -> Tensor:
        """Samples (B, ...) of unit ``noise`` (B, ...)."""
        return deque(self.frames(noise, cond, num_inference_steps, seed), maxlen=1)[0].x_t

    def generate(self, num_inference_steps: int | None = None, n: int | None = None, seed: int = 0) -> Generated:
        """``n`` samples to measure, from the bench's start noise."""
        noise, cond = self.bench.start(n or self.bench.samples, seed)
        started = time.perf_counter()
        last = deque(self.frames(noise, cond, num_inference_steps, seed), maxlen=1)[0]
        seconds = time.perf_counter() - started
        return Generated(last.x_t, cond, noise, seconds, last.evaluations, self.guidance_scale)


def listed(models: Model | Sequence[Model]) -> list[Model]:
    """One model or several, as a list, each as it stands now; ValueError for none, and for different benches."""
    found = [model.now() for model in ([models] if isinstance(models, Model) else models)]
    if not found:
        raise ValueError("give at least one model: w.teacher(...) or w.distil(...)")
    if len({model.name for model in found}) < len(found):
        raise ValueError("two models have one name: distil(..., name=...) gives another")
    if len({model.bench.name for model in found}) > 1:
        where = ", ".join(f"{model.name} on {model.bench.name}" for model in found)
        raise ValueError(f"the models stand on different benches: {where}")
    return found


def colours(models: Sequence[Model]) -> dict[str, tuple[str, str]]:
    """(colour, marker) by model name: teachers black, students blue, each student with a marker of its own."""
    found, count = {}, 0
    for model in models:
        if model.run is None:
            found[model.name] = (TEACHER, "x")
        else:
            found[model.name] = (STUDENTS[count % len(STUDENTS)], MARKERS[count % len(MARKERS)])
            count += 1
    return found
