"""A bench and a method put together: a run is born here, told as a recipe, sampled and measured."""

from __future__ import annotations

import importlib
import time
from collections import deque
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from workbench import benches
from workbench.benches.bench import Generated
from workbench.randomness import Key
from workbench.solvers import Sampler, walk
from workbench.teachers.guidance import Guided
from workbench.train.place import Place
from workbench.train.run import Run, acts_of


def fitted(method: Any, bench: Any) -> Any:
    """The method with its process in the bench's bounds; a method without one is left as it is."""
    process = getattr(method, "process", None)
    return method if process is None else replace(method, process=bench.process(type(process)))


def born(bench: Any, method: Any, *, seed: int = 0, steps: int = 1000, batch_size: int | None = None, blocks: int = 1,
         folder: Path | str | None = None, place: Place | None = None) -> Run:
    """A fresh run of ``method`` on ``bench``: teacher, student of the bench's size, data, all seeded by ``seed``.

    ``batch_size`` is that of one micro-batch of ``blocks``. Raises ValueError when the method needs labels and the
    bench has none.
    """
    if getattr(method, "conditional", False) and bench.num_classes is None:
        raise ValueError(f"{type(method).__name__} needs a bench with labels; {bench.name} as loaded has none")
    wants = {name: True for name in ("second_time", "guided") if getattr(method, name, False)}
    nets = {"teacher": guidable(bench.teacher(), method), "student": bench.student(seed, **wants)}
    data = bench.data(seed, batch_size or bench.budget.batch_size)
    return Run(fitted(method, bench), nets, data, seed=seed, steps=steps, blocks=blocks, folder=folder, place=place)


def guidable(teacher: nn.Module, method: Any) -> nn.Module:
    """The teacher, wrapped so that it takes a guidance scale where the method will give one and it cannot."""
    asks = getattr(method, "guided", False) or getattr(method, "guidance_scale", 1.0) != 1.0
    return Guided(teacher, 1.0) if asks and getattr(teacher, "guided", None) is False else teacher


def generate(bench: Any, net: Run | nn.Module, sampler: Sampler | None = None, *,
             num_inference_steps: int | None = None, n: int | None = None, seed: int = 0,
             guidance_scale: float | None = None) -> Generated:
    """``n`` samples of a run's student (or of any net that declares its process) from the bench's start noise.

    A run samples in its method's process by its method's sampler; a student that takes guidance as an input is asked
    for ``guidance_scale``, by default its method's.
    """
    method = net.method if isinstance(net, Run) else None
    student = net.student() if isinstance(net, Run) else net
    process = getattr(method, "process", None) or student.process
    sampler = sampler or method.sampler()
    if guidance_scale is None and getattr(method, "guided", False):
        guidance_scale = method.guidance_scale
    noise, cond = bench.start(n or bench.samples, seed)
    grid = sampler.grid(process, num_inference_steps)
    started = time.perf_counter()
    last = deque(walk(student, process, sampler.solver, grid, process.prior(noise), cond=cond, guidance=guidance_scale,
                      key=Key(seed)), maxlen=1)[0]
    return Generated(last.x_t, cond, noise, time.perf_counter() - started, last.evaluations, guidance_scale)


def steps_for(bench: Any, method: Any, teacher_calls: float, batch_size: int) -> int:
    """Most steps that keep within ``teacher_calls``, and within one teacher call per sample and step.

    The second bound stops methods that ask the teacher rarely or never. Calls are counted on a trial of each act.
    """
    most = int(teacher_calls // batch_size)
    trial = born(bench, method, seed=0, steps=most, batch_size=batch_size)
    costs: dict[str, float] = {}
    for index, act in enumerate(trial.acts):
        trial.enter(index, restoring=True)
        before = trial.teacher_calls
        for turn, update in enumerate(trial.updates):
            with torch.no_grad():
                update.loss(trial.views, trial.data.at(0, 0), trial.now(turn, 0))
            rhythm = sum(update.due(step) for step in range(60)) / 60
            costs[act.name] = costs.get(act.name, 0.0) + rhythm * (trial.teacher_calls - before)
            before = trial.teacher_calls
    spent = lambda steps: sum(act.steps * costs[act.name] for act in acts_of(trial.method, steps))  # noqa: E731
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        try:
            low, high = (middle, high) if spent(middle) <= teacher_calls else (low, middle - 1)
        except ValueError:  # too few steps for the method's acts
            low = middle
    return low


def recipe(bench: Any, method: Any, **options: Any) -> dict[str, Any]:
    """A run told as JSON: the bench (its name, or all of one that says ``settings``), the method, born's options."""
    return {"bench": bench.settings if hasattr(bench, "settings") else bench.name, "method": told(method), **options}


def from_recipe(said: dict[str, Any], folder: Path | str | None = None, place: Place | None = None,
                bench: Any = None) -> Run:
    """The run that a recipe tells of, newly born; its checkpoint, if any, is restored by the session.

    ``bench``: the recipe's, where it is loaded already.
    """
    options = {k: v for k, v in said.items() if k not in ("bench", "method")}
    return born(bench or bench_of(said), rebuilt(said["method"]), folder=folder, place=place, **options)


def bench_of(said: dict[str, Any]) -> Any:
    """The bench that a recipe names."""
    one = said["bench"]
    return benches.load(**one) if isinstance(one, dict) else benches.load(one)


def told(value: Any) -> Any:
    """A dataclass of this package as JSON, its fields within."""
    if is_dataclass(value):
        name = f"{type(value).__module__}:{type(value).__name__}"
        return {"class": name, **{f.name: told(getattr(value, f.name)) for f in fields(value)}}
    return list(value) if isinstance(value, tuple) else value


def rebuilt(said: Any) -> Any:
    """The dataclass that ``told`` told of; ValueError for a class that is not one of this package's."""
    if isinstance(said, dict) and "class" in said:
        module, _, name = said["class"].partition(":")
        if not module.startswith("workbench."):
            raise ValueError(f"{said['class']} is not a class of this package: the recipe is foreign")
        kind = getattr(importlib.import_module(module), name)
        return kind(**{k: rebuilt(v) for k, v in said.items() if k != "class"})
    return tuple(rebuilt(v) for v in said) if isinstance(said, list) else said
