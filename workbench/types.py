"""The words every floor speaks: batches, losses, updates, acts and the events of a run.

Shape letters used everywhere: B batch, C H W image, D dimension, K classes, F frames. Times are tensors (B,) or (B, F).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

import torch
from annotated_types import Ge, Gt, Interval
from torch import Tensor

from workbench.randomness import Key

# Fields of a method are annotated with these; they give the validation, the widget ranges and the CLI help.
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Unit = Annotated[float, Interval(ge=0, le=1)]
Average = Annotated[float, Interval(ge=0, lt=1)]
Count = Annotated[int, Ge(1)]


class Samples(NamedTuple):
    """Data of a generative bench: x (B, ...), class labels y (B,) or None, prior noise is drawn by the loss."""

    x: Tensor
    y: Tensor | None = None


class Labelled(NamedTuple):
    """Data of a classifier bench: x (B, ...), y (B,) integer labels."""

    x: Tensor
    y: Tensor


class Tokens(NamedTuple):
    """Token sequences: ids (B, T), mask (B, T) true where a token counts."""

    ids: Tensor
    mask: Tensor


class Loss(NamedTuple):
    """What one update saw and wants: total [] differentiable, parts name -> [] to plot, seen name -> (B, ...)."""

    total: Tensor
    parts: Mapping[str, Tensor] = {}
    seen: Mapping[str, Tensor] = {}


@dataclass(frozen=True)
class Adam:
    """Adam(W) as data; ``clip`` bounds the global gradient norm before the step (None: not clipped)."""

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip: float | None = None


@dataclass(frozen=True)
class Now:
    """Where a loss stands: step of ``steps`` in this act, and counted randomness.

    ``rng(name)`` gives a generator seeded by (seed, act, update, name, step, block) alone. Asking twice for one
    name gives the same numbers twice: draw each kind of randomness under its own name.
    """

    step: int
    steps: int
    key: Key
    device: torch.device = torch.device("cpu")

    @property
    def progress(self) -> float:
        """Share of the act's steps already taken, in [0, 1)."""
        return self.step / self.steps

    def rng(self, name: str) -> torch.Generator:
        return self.key.generator(name, self.device)


Rate = float | Callable[[Now], float]


@dataclass(frozen=True)
class Update:
    """One gradient step as data: who learns, from which loss, how often.

    ``loss(nets, batch, now) -> Loss``. ``every`` is a number or a function of the step that says whether the update is
    due. ``average`` (a decay mu or a function of now that gives it, or a tuple of these) keeps moving averages of the
    first name in ``trains`` as ``nets["<name>.average"]`` (then ``.average1``, ...). ``trains=()`` fills a memory: no
    gradient.
    """

    trains: tuple[str, ...]
    loss: Callable[[Mapping[str, Any], Any, Now], Loss]
    lr: Rate = 1e-3
    every: int | Callable[[int], bool] = 1
    average: Rate | tuple[Rate, ...] | None = None
    optimizer: Adam = Adam()

    def due(self, step: int) -> bool:
        return self.every(step) if callable(self.every) else step % self.every == 0


@dataclass(frozen=True)
class Act:
    """One act of a programme: a method for ``steps`` steps; ``enter(nets)`` runs once before, writing weights in place.

    ``enter`` may copy weights and fill buffers of the nets that exist since birth; it never adds or reshapes one.
    """

    name: str
    method: Any
    steps: int
    enter: Callable[[Mapping[str, Any]], None] | None = None


class Taken(NamedTuple):
    """One gradient step that was made: its index, who learned, the detached loss, gradient norm [], learning rate."""

    update: int
    trains: tuple[str, ...]
    loss: Loss
    grad_norm: Tensor
    lr: float


@dataclass(frozen=True)
class Stepped:
    """The event of the training loop: the run is whole here, so stop, save, fork or look."""

    step: int  # steps done since birth, over all acts
    act: str
    act_step: int  # steps done in this act
    taken: tuple[Taken, ...]


@dataclass(frozen=True)
class Frame:
    """The event of the walk: the state before step ``step`` and what the step computed anyway.

    x_t (B, ...) at time t (B,), about to move to s (B,); x0 (B, ...) the prediction the step used (``kind`` says of
    which sort: "x0" a denoiser's mean, "jump" a map's landing point); velocity (B, ...) dx/dt or None; memory and key
    make "branch from here" exact. The last frame has t = s, the sample in x_t and in x0.
    """

    step: int
    x_t: Tensor
    t: Tensor
    s: Tensor
    x0: Tensor
    kind: str = "x0"
    velocity: Tensor | None = None
    memory: Any = None
    key: Key | None = None
    evaluations: int = 0  # network evaluations made so far, guidance counted twice
    notes: Mapping[str, Any] = field(default_factory=dict)
