"""Run: everything a training needs to go on, and nothing else. The loop reads it; a checkpoint is a copy of it.

Structure is fixed at birth: nets, extras, averages and memories never change shape, an act only writes into them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from workbench.methods.fields import check_settings
from workbench.noise import speak
from workbench.randomness import Key
from workbench.train.place import Place
from workbench.train.shard import Shards
from workbench.types import Act, Now, Update


class Counted(nn.Module):
    """A frozen net that counts the samples it was evaluated on (``calls``); the run's budget is told in these.

    It counts while it ``counts``: a memory is filled by every process alike, and belongs to one.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.calls, self.counts = net, 0, True

    def forward(self, x: Tensor, *args, **named):
        self.calls += x.shape[0] * self.counts
        return self.net(x, *args, **named)

    def features(self, x: Tensor, *args, **named):
        self.calls += x.shape[0] * self.counts
        return self.net.features(x, *args, **named)


class Run:
    """All state of one training.

    ``nets`` maps the roles that the caller gives ("teacher", "student") to raw nets; the method's ``extras`` join
    them. Losses see ``views``: the same nets speaking the method's process and form, with ``"<name>.average"``
    beside them. ``steps`` is fixed: schedules depend on it. ``blocks`` micro-batches make one step.
    Raises ValueError when an update names a net that is not there, or when two updates of one act train one weight.
    """

    def __init__(self, method, nets: Mapping[str, nn.Module], data, *, seed: int = 0, steps: int = 1000,
                 blocks: int = 1, folder: Path | str | None = None, place: Place | None = None) -> None:
        if steps < 1 or blocks < 1:
            raise ValueError(f"steps and blocks must be at least 1, got {steps} and {blocks}")
        self.method, self.data, self.seed, self.blocks = method, data, seed, blocks
        self.place = place or Place()
        self.folder = Path(folder) if folder else None
        self.acts: tuple[Act, ...] = acts_of(method, steps)
        for act in self.acts:
            if act.steps < 1:
                raise ValueError(f"act {act.name!r} gets none of the {steps} steps: give more, or it a larger share")
        self.steps = sum(act.steps for act in self.acts)
        has_extras = hasattr(method, "extras")
        extras = method.extras(nets.get("teacher"), nets["student"], data.at(0, 0)) if has_extras else {}
        self.given = {name for name in nets if name != "student"}
        self.nets = {name: net.to(self.place.device) for name, net in {**nets, **extras}.items()}
        everywhere = [update for act in self.acts for update in act.method.updates()]
        trained = {name for update in everywhere for name in update.trains}
        for name in sorted(trained - self.nets.keys()):
            raise ValueError(f"an update trains {name!r}, which is not among the nets {sorted(self.nets)}")
        for name, net in self.nets.items():
            if name not in trained:
                net.requires_grad_(False).eval()
        self.averages: dict[str, nn.Module] = {}
        for name in sorted({f"{update.trains[0]}.average{i}" for update in everywhere for i in decays(update)}):
            self.averages[name] = frozen_copy(self.nets[name.split(".average")[0]])
        shard = self.place.shard and self.place.world > 1
        self.shards = Shards(self.nets | self.averages, self.place) if shard else None
        self.step, self.act, self.act_step = 0, -1, 0
        self.changes: list[dict[str, Any]] = []
        self.counter = Counted(self.nets["teacher"]) if "teacher" in self.nets else None
        self.enter(0)

    # -- acts -------------------------------------------------------------------------------------------------

    def enter(self, act: int, restoring: bool = False) -> None:
        """Begin an act: its ``enter``, fresh optimisers and averages, counts from 0. Restoring writes no weight."""
        self.act, self.act_step, now = act, 0, self.acts[act]
        if now.enter is not None and not restoring:
            with torch.no_grad():
                now.enter(self.nets | self.averages)
        for name, average in self.averages.items():
            if not restoring:
                average.load_state_dict(self.nets[name.split(".average")[0]].state_dict())
        self.current = now.method
        for change in self.changes:
            if change["act"] == act:
                self.current = with_setting(self.current, change["name"], change["value"])
        self.updates: tuple[Update, ...] = self.current.updates()
        self.learners = [self.weights(update.trains) for update in self.updates]
        chosen = [id(p) for learners in self.learners for p in learners]
        if len(chosen) != len(set(chosen)):
            raise ValueError(f"two updates of act {now.name!r} train the same weights: merge their losses into one")
        self.optimizers = [optimizer(*pair) for pair in zip(self.updates, self.learners, strict=True)]
        self.bad_streak = [torch.zeros((), device=self.place.device) for _ in self.updates]  # non-finite steps in a row
        self.followers = [self.pairs(update) for update in self.updates]
        self.views = self.translated(self.current)

    def weights(self, names: tuple[str, ...]) -> list[nn.Parameter]:
        found = [p for name in names for p in self.nets[name].parameters() if p.requires_grad]
        return found if self.shards is None else [self.shards.leaf(p) for p in found]

    def pairs(self, update: Update) -> list[tuple[list[Tensor], list[Tensor]]]:
        """For each average of an update: (its tensors, the learner's tensors)."""
        source = self.weights(update.trains[:1]) if update.trains else []
        names = [f"{update.trains[0]}.average{i}" for i in decays(update)]
        leaf = self.shards.leaf if self.shards else lambda p: p
        wanted = {id(leaf(p)): n for n, p in self.nets[update.trains[0]].named_parameters()} if names else {}
        averages = [{n: leaf(p) for n, p in self.averages[name].named_parameters()} for name in names]
        return [([average[wanted[id(p)]] for p in source], source) for average in averages]

    def translated(self, method) -> dict[str, nn.Module]:
        """The nets as this method's losses call them: in its process and form, the teacher counted."""
        nets = dict(self.nets | self.averages)
        process, form = getattr(method, "process", None), getattr(method, "form", "x0")
        if process is not None:
            nets = {k: speak(net, process, form) if hasattr(net, "form") else net for k, net in nets.items()}
        if self.counter is not None:
            self.counter.net = nets["teacher"]
            nets["teacher"] = self.counter
        return nets

    # -- the loop's questions ---------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        return self.step >= self.steps

    @property
    def teacher_calls(self) -> int:
        """Samples the teacher was evaluated on so far."""
        return self.counter.calls if self.counter else 0

    def now(self, update: int, block: int) -> Now:
        key = Key(self.seed, self.act, update, self.act_step, block)
        if self.counter is not None and self.place.world > 1:
            self.counter.counts = block in self.place.blocks(self.blocks)
        return Now(self.act_step, self.acts[self.act].steps, key, self.place.device)

    def advance(self) -> None:
        """Count a finished step and begin the next act when this one is done."""
        self.step += 1
        self.act_step += 1
        if self.act_step == self.acts[self.act].steps and self.act + 1 < len(self.acts):
            self.enter(self.act + 1)

    def change(self, name: str, value: Any) -> None:
        """Change a field of the current act's method between two steps; kept, saved and replayed on resume.

        ValueError for an unknown field, a value that does not fit it, and for a change of who learns or of how many
        averages there are.
        """
        changed = with_setting(self.current, name, value)
        before, after = ([(u.trains, decays(u)) for u in method.updates()] for method in (self.current, changed))
        if before != after:
            raise ValueError(f"{name} = {value!r} changes which nets learn or are averaged: start a new run for that")
        self.current, self.updates = changed, changed.updates()
        self.changes.append({"act": self.act, "act_step": self.act_step, "name": name, "value": value})

    def student(self, average: bool = True) -> nn.Module:
        """The raw net to sample with: the student's last average where the method keeps one, else the student."""
        names = sorted(name for name in self.averages if name.startswith("student.average"))
        return self.averages[names[-1]] if names and average else self.nets["student"]


def with_setting(method: Any, name: str, value: Any) -> Any:
    return replace(method, **check_settings(type(method), {name: value}))


def acts_of(method, steps: int) -> tuple[Act, ...]:
    """The method's acts, or the one act of a method that declares none."""
    return tuple(method.acts(steps)) if hasattr(method, "acts") else (Act("train", method, steps),)


def decays(update: Update) -> list[str]:
    """Name endings of an update's averages: "" for the first, then "1", "2", ..."""
    count = 0 if update.average is None else len(update.average) if isinstance(update.average, tuple) else 1
    return [str(i) if i else "" for i in range(count)]


def frozen_copy(net: nn.Module) -> nn.Module:
    return copy.deepcopy(net).requires_grad_(False).eval()


def optimizer(update: Update, weights: list[nn.Parameter]) -> torch.optim.Optimizer | None:
    """The update's Adam(W) over its weights, fused; None for an update that trains nothing."""
    if not weights:
        return None
    spec = update.optimizer
    kind = torch.optim.AdamW if spec.weight_decay else torch.optim.Adam
    return kind(weights, lr=1.0, betas=spec.betas, eps=spec.eps, weight_decay=spec.weight_decay, fused=True)
