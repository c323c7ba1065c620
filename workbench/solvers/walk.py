"""The only sampling loop: a generator of Frames, from noise (or from a Frame) down a grid of times."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor

from workbench.noise.convert import Spoken, each
from workbench.noise.process import Process
from workbench.noise.times import SPACINGS
from workbench.randomness import Key
from workbench.solvers.consistency import Consistency
from workbench.solvers.solver import Rng, Solver
from workbench.types import Frame


def walk(net: Any, process: Process, solver: Solver, times: Tensor, x_T: Tensor | Frame, *, cond: Tensor | None = None,
         guidance: Tensor | float | None = None, key: Key | None = None, grad: bool = False) -> Iterator[Frame]:
    """Sample x_T (B, ...) down ``times`` in the process's own t; yields N frames and a last one that holds the sample.

    times (N+1,), (N+1, B) or (N+1, B, F): falling, inside [0, t_max]; per-sample times may also stand still. x_T is the
    state at times[0], or a Frame of an earlier walk: the walk then goes on from frame.step with frame.x_t,
    frame.memory and frame.key, bit for bit as before when nothing else changed. ``net`` may speak any process and
    form. guidance: a number or (B,), given to the net as it is. Noise is drawn through ``key`` alone, under a name for
    each step. Frame.evaluations counts the calls of this walk, each as ``net.evaluations`` (1 where it does not say; 2
    under guidance). No gradient is kept unless ``grad``. Raises ValueError, already at the call, for times or shapes
    that do not fit.
    """
    frame = x_T if isinstance(x_T, Frame) else None
    x = x_T.x_t if isinstance(x_T, Frame) else x_T
    grid = check_times(times, process, x)
    if frame is not None:
        _check_branch(grid, frame)
    if isinstance(guidance, (int, float)):
        guidance = torch.full(x.shape[:1], float(guidance), device=x.device)
    key = key or (frame.key if frame is not None else None) or Key()
    spoken, weight = Spoken(net, process, "x0"), int(getattr(net, "evaluations", 1))

    def bound(x_t: Tensor, t: Tensor, s: Tensor | None = None) -> Tensor:
        return spoken(x_t, t, s, cond, guidance)

    return _steps(bound, process, solver, grid, frame or Frame(0, x, x, x, x), key, weight, grad)


def _steps(net: Any, process: Process, solver: Solver, grid: Tensor, start: Frame, key: Key, weight: int,
           grad: bool) -> Iterator[Frame]:
    x, memory, evaluations, steps = start.x_t, start.memory, 0, len(grid) - 1
    last = [not bool(level.any()) for level in grid]  # read on the host, once
    levels = grid.to(x.device)
    levels = levels[:, None] if levels.ndim == 1 else levels  # (N+1, 1): a shared level is reckoned with once
    here = each(levels[start.step], x)
    for step in range(start.step, steps):
        t, s = levels[step], levels[step + 1]
        there = each(s, x)
        with nullcontext() if grad else torch.no_grad():
            moved = solver.step(net, process, x, t, s, memory, _counted(key, step, x.device), last=last[step + 1])
        evaluations += weight * moved.evaluations
        yield Frame(step, x, here, there, moved.x0, moved.kind, moved.velocity, memory, key, evaluations)
        x, memory, here = moved.x_s, moved.memory, there
    yield Frame(steps, x, here, here, x, memory=memory, key=key, evaluations=evaluations)


def _counted(key: Key, step: int, device: torch.device) -> Rng:
    return lambda name: key.generator(f"walk/{step}/{name}", device)


def sample(net: Any, process: Process, solver: Solver, times: Tensor, x_T: Tensor | Frame, **options: Any) -> Tensor:
    """The sample (B, ...) at times[-1]: ``walk`` drained, with walk's options."""
    return deque(walk(net, process, solver, times, x_T, **options), maxlen=1)[0].x_t


def check_times(times: Tensor, process: Process, x: Tensor) -> Tensor:
    """times on the CPU in x's precision (float32 at least); ValueError when they do not fit x or do not fall."""
    grid = torch.as_tensor(times).detach().cpu().to(torch.promote_types(x.dtype, torch.float32))
    if not 1 <= grid.ndim <= 3 or len(grid) < 2:
        raise ValueError(f"times must be (N+1,), (N+1, B) or (N+1, B, F) with N >= 1, got shape {tuple(grid.shape)}")
    if grid.shape[1:] != x.shape[: grid.ndim - 1]:
        raise ValueError(f"times {tuple(grid.shape)} do not fit x {tuple(x.shape)}: after N+1 give B={len(x)} levels "
                         "(and F frames), or one level for all with shape (N+1,)")
    process.check(grid)
    rise = grid[1:] - grid[:-1]
    if bool((rise > 0).any()) or (grid.ndim == 1 and bool((rise == 0).any())):
        at = int((rise >= 0 if grid.ndim == 1 else rise > 0).reshape(len(rise), -1).any(dim=1).nonzero()[0])
        raise ValueError(f"times must fall from noise to data, but do not from step {at} to {at + 1} "
                         f"({grid[at].max():.6g} to {grid[at + 1].max():.6g}); sort or flip them")
    return grid


def _check_branch(grid: Tensor, frame: Frame) -> None:
    if frame.step >= len(grid):
        raise ValueError(f"the frame stands at step {frame.step}, but times have {len(grid) - 1} steps; "
                         "give the grid of the walk it came from, or replace(frame, step=0, memory=None)")
    here = frame.t.detach().cpu().to(grid.dtype)
    if here.numel() and not bool(torch.isclose(grid[frame.step], here, rtol=1e-5, atol=0).all()):
        raise ValueError(f"times[{frame.step}] is not the frame's t (up to {here.max():.6g}); give the grid of the "
                         "walk it came from: only the times after the frame may differ")


@dataclass(frozen=True)
class Sampler:
    """How a net samples, as data: which solver on which grid.

    ``spacing`` names a grid of ``noise.times.SPACINGS``. ``times``, if given, are N+1 noise levels (sigma, noise over
    signal, the same in every process; inf is pure noise) used when N steps are asked for; other counts use ``spacing``.
    ``only``: ``num_inference_steps`` is the one count that this student was trained for, see ``admits``.
    """

    solver: Solver
    spacing: str = "karras"
    num_inference_steps: int | None = None
    times: tuple[float, ...] | None = None
    only: bool = False

    def __post_init__(self) -> None:
        if self.spacing not in SPACINGS:
            near = get_close_matches(self.spacing, SPACINGS, n=1, cutoff=0)
            raise ValueError(f"unknown spacing {self.spacing!r}; did you mean {near[0]!r}? "
                             f"known: {', '.join(SPACINGS)}")
        given = None if self.times is None else len(self.times) - 1
        if self.num_inference_steps is None:
            object.__setattr__(self, "num_inference_steps", given)
        count = self.num_inference_steps
        if count is None or count < 1 or (given is not None and given != count):
            raise ValueError("num_inference_steps must be 1 or more, and one less than len(times) where times are "
                             f"given, got {count} with times={self.times}; leave num_inference_steps out to "
                             "count the times")

    def admits(self, num_inference_steps: int) -> bool:
        """Whether the student can be asked for this many steps: any, unless ``only``.

        Then its own count; and, where each step jumps to clean and is noised afresh, a divisor of it: on an even grid
        (uniform, trig) every level of the shorter walk is one that the student was trained at.
        """
        own, count = self.num_inference_steps, num_inference_steps
        if not self.only or count == own:
            return count >= 1
        nested = self.times is None and self.spacing in ("uniform", "trig") and count >= 1 and own % count == 0
        return nested and isinstance(self.solver, Consistency)

    def grid(self, process: Process, num_inference_steps: int | None = None) -> Tensor:
        """Falling times (N+1,) in the process's own t, for N = num_inference_steps (None: the sampler's own)."""
        count = self.num_inference_steps if num_inference_steps is None else num_inference_steps
        if count is None or count < 1:
            raise ValueError(f"num_inference_steps must be 1 or more, got {count}")
        if self.times is not None and count == len(self.times) - 1:
            return torch.tensor([process.at_sigma(sigma) for sigma in self.times])
        return SPACINGS[self.spacing](process, count)
