"""The contract of every method: born on its smallest bench, who moves, resume, recording, sampling, told as JSON.

The cases are the methods that records name, with the records' settings, every other method class by itself, and
branches that none of these takes.
"""

from __future__ import annotations

import importlib
import json
from collections import deque
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from workbench import benches
from workbench.benches.assemble import born, fitted, generate, rebuilt, told
from workbench.nets.classifier import MlpClassifier
from workbench.papers import catalogue
from workbench.papers.validate import PACKAGE, build_method, methods_of, modules
from workbench.randomness import Key
from workbench.record.session import session
from workbench.record.store import read_events, read_state
from workbench.solvers import Sampler
from workbench.train.checkpoint import restore, save_run
from workbench.train.loop import train
from workbench.train.run import Run
from workbench.types import Labelled

STEPS, BATCH = 12, 16
SMALL = {"pairs": 16, "fill": 16, "pair_steps": 2, "start_steps": 4, "end_steps": 1}  # what does not fit in 12 steps


BRANCHES = {  # name: path and settings
    "ctm with a judge": ("steps.trajectory:ConsistencyTrajectory", {"gan": 0.1}),
    "dmd2 without a judge, on noised data": ("score.dmd2:Dmd2", {"gan": 0.0, "num_inference_steps": 3,
                                                                 "backward_simulation": False}),
    "dmd2 after imitation": ("score.dmd2:Dmd2", {"imitate": 0.3, "num_inference_steps": 2, "critic_turns": 2}),
    "reflow twice": ("steps.reflow:Reflow", {"reflows": 2}),
    "reflow not at all": ("steps.reflow:Reflow", {"reflows": 0}),
    "reflow without distilling": ("steps.reflow:Reflow", {"distil_share": 0.0}),
    "sct by differences": ("steps.continuous_consistency:ContinuousConsistency",
                           {"distil": False, "tangent": "difference"}),
    "guidance alone": ("guidance.guidance_distillation:GuidanceDistillation", {"start_steps": 0, "embed": False}),
    "ict with a lagging target": ("steps.consistency_training:ConsistencyTraining", {"average": 0.9}),
}  # fmt: skip


def cases() -> dict[str, tuple[str, dict[str, Any]]]:
    """By name: the method's path and its settings."""
    tables = {slug: catalogue.table(slug) for slug in catalogue.slugs()}
    found = {slug: (table["method"], table.get("settings", {})) for slug, table in tables.items() if "method" in table}
    named = {path for path, _ in found.values()}
    for name in modules():
        for each in methods_of(importlib.import_module(f"{PACKAGE}.{name}")):
            if (path := f"{name}:{each}") not in named:
                found[path] = path, {}
    return found | BRANCHES


CASES = cases()
every_method = pytest.mark.parametrize("name", CASES)
GENERATIVE = [name for name, (path, settings) in CASES.items() if hasattr(build_method(path, settings), "process")]


@dataclass(frozen=True)
class Blobs:
    """Two classes of points in the plane, as pictures (B, 1, 1, 2)."""

    def at(self, step: int, block: int = 0) -> Labelled:
        generator = Key(0, step=step, block=block).generator("data")
        y = torch.randint(2, (BATCH,), generator=generator)
        return Labelled(torch.randn(BATCH, 1, 1, 2, generator=generator) + 2.0 * y[:, None, None, None], y)


def method_of(name: str):
    path, settings = CASES[name]
    method = build_method(path, settings)
    smaller = {field.name: SMALL[field.name] for field in fields(method) if field.name in SMALL}
    return replace(method, **{field: value for field, value in smaller.items() if getattr(method, field)})  # 0 is off


@cache
def bench_of(conditional: bool):
    return benches.load("gmm2d", conditional=conditional, width=16, depth=2)


def new(name: str, folder=None, **options) -> Run:
    method = method_of(name)
    if hasattr(method, "process"):
        bench = bench_of(getattr(method, "conditional", False))
        return born(bench, method, seed=3, steps=STEPS, batch_size=BATCH, folder=folder, **options)
    torch.manual_seed(0)
    nets = {role: MlpClassifier(shape=(1, 1, 2), num_classes=2, widths=(8,)) for role in ("teacher", "student")}
    return Run(method, nets, Blobs(), seed=3, steps=STEPS, folder=folder)


def state(net: torch.nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in net.state_dict().items()}


def bits(run: Run) -> dict[str, bytes]:
    nets = (run.nets | run.averages).items()
    return {f"{name}/{key}": v.detach().numpy().tobytes() for name, net in nets for key, v in net.state_dict().items()}


@cache
def finished(name: str) -> dict[str, bytes]:
    run = new(name)
    deque(train(run), maxlen=0)
    return bits(run)


def moved(net: torch.nn.Module, before: dict[str, Tensor]) -> bool:
    return any(not torch.equal(value, before[key]) for key, value in net.state_dict().items())


@every_method
def test_only_the_named_learners_move_and_they_do(name):
    run, learned = new(name), set()
    events = train(run)
    while not run.finished:
        act, nets = run.act, run.nets | run.averages
        before = {role: state(net) for role, net in nets.items()}
        stepped = next(events)
        trained = {role for taken in stepped.taken for role in taken.trains}
        learned |= trained
        if run.act != act:  # entering the next act may write what it likes
            continue
        memories = {role for role, net in run.nets.items() if role not in run.given and not list(net.parameters())}
        fills = any(not taken.trains for taken in stepped.taken)
        for role, net in nets.items():
            if role in trained or (fills and role in memories):
                assert moved(net, before[role]), f"{role} does not move at step {run.step}"
            elif role.split(".average")[0] not in trained:
                assert not moved(net, before[role]), f"{role} moves at step {run.step}"
    averaged = {role for role in run.averages if moved(run.averages[role], state(new(name).averages[role]))}
    assert "student" in learned and averaged == set(run.averages)


@every_method
def test_losses_are_finite_and_say_what_they_saw(name):
    for stepped in train(new(name)):
        for taken in stepped.taken:
            assert torch.isfinite(taken.loss.total) and taken.loss.parts
            assert all(torch.isfinite(value) and value.ndim == 0 for value in taken.loss.parts.values())
            assert all(len(value) == BATCH and torch.isfinite(value).all() for value in taken.loss.seen.values())
            if "student" in taken.trains:
                assert {"target", "guess"} <= taken.loss.seen.keys() and float(taken.grad_norm) > 0


@every_method
@pytest.mark.parametrize("stop", [3, 7])
def test_a_resumed_run_ends_with_the_same_bits(name, stop, tmp_path):
    first = new(name, tmp_path)
    deque(train(first, stop), maxlen=0)
    save_run(first)
    back = new(name, tmp_path)
    restore(back)
    assert bits(back) == bits(first)
    deque(train(back), maxlen=0)
    assert bits(back) == finished(name) != bits(first)


@every_method
def test_recording_changes_nothing_and_acts_come_in_order(name, tmp_path):
    run = new(name, tmp_path)
    names = [act.name for act in run.acts]
    deque(session(run, {}, every=1, save_every=5), maxlen=0)
    assert bits(run) == finished(name)
    assert read_state(tmp_path)["status"] == "finished"
    events = list(read_events(tmp_path, "step"))
    assert [event["step"] for event in events] == list(range(1, STEPS + 1))
    assert list(dict.fromkeys(event["act"] for event in events)) == names
    assert [event["act_step"] for event in events] == [n + 1 for act in run.acts for n in range(act.steps)]


@every_method
def test_a_run_is_a_function_of_its_seed(name):
    run, other = new(name), new(name)
    other.seed = 4
    first = [next(train(each)).taken[-1].loss for each in (run, other)]
    if "x_t" in first[0].seen:
        assert not torch.equal(first[0].seen["x_t"], first[1].seen["x_t"])
    again = new(name)
    assert torch.equal(next(train(again)).taken[-1].loss.total, first[0].total)


@every_method
def test_a_method_is_told_as_json_and_built_again(name):
    method = method_of(name)
    assert rebuilt(json.loads(json.dumps(told(method)))) == method
    assert hash(method) == hash(method_of(name))


@pytest.mark.parametrize("name", GENERATIVE)
def test_its_student_samples_as_the_method_says(name):
    run = new(name)
    deque(train(run, 2), maxlen=0)
    bench = bench_of(getattr(run.method, "conditional", False))
    assert run.method == fitted(run.method, bench)
    made = generate(bench, run, n=8)
    assert isinstance(run.method.sampler(), Sampler) and made.x.shape == (8, 2) and torch.isfinite(made.x).all()
    assert made.evaluations >= run.method.sampler().num_inference_steps


def test_there_are_methods_and_every_class_is_a_case():
    assert len(CASES) >= 9 and len(GENERATIVE) == len(CASES) - 1
    assert {path for path, _ in CASES.values()} >= {
        f"{name}:{each}" for name in modules() for each in methods_of(importlib.import_module(f"{PACKAGE}.{name}"))}
