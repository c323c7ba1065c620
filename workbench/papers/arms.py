"""One arm of a claim: train a method on a bench from one seed, sample it, measure. The only door to the engine.

Arms that differ in sampling alone share one training. Every number of an arm is a function of the arm: the same on any
number of processes, in any order.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from workbench.papers.record import TEACHER, Claim, Record


@dataclass(frozen=True)
class Training:
    """What fixes a student's weights. ``settings`` is JSON, so that equal trainings are equal keys."""

    method: str
    settings: str
    bench: str
    bench_settings: str
    seed: int
    teacher_calls: float | None = None
    steps: int | None = None
    batch_size: int | None = None


@dataclass(frozen=True)
class Arm:
    """A training and how its student samples: ``sampler`` is JSON of Sampler's fields, "null" for the method's own."""

    training: Training
    sampler: str = "null"
    num_inference_steps: int | None = None
    guidance_scale: float | None = None


class Outcome(NamedTuple):
    """figures: measure -> value, all nan where the training diverged; steps taken; seconds of training."""

    figures: dict[str, float]
    steps: int
    seconds: float
    note: str = ""


def arms_of(record: Record, claim: Claim, side: str) -> list[Arm]:
    """The arms of one side ("on", "off") of a claim, one per seed: the record's settings under the side's own.

    A setting of the method that is called as one of ARM_KEYS is given inside ``settings = {...}``.
    """
    own = dict(getattr(claim, side))
    sampler, count = own.pop("sampler", None), own.pop("num_inference_steps", None)
    method = own.pop("method", record.method)
    own |= own.pop("settings", {})
    scale = own.pop("guidance_scale", None) if method == TEACHER else None
    if method == TEACHER and own:
        takes = "sampler, num_inference_steps and guidance_scale"
        raise ValueError(f"the teacher is only sampled: it takes {takes}, not {', '.join(own)}")
    settings = own if method != record.method else {**record.settings, **own}
    budget = claim.budget.model_dump() if method != TEACHER else {}
    place = (claim.bench, canonical(claim.bench_settings))
    return [Arm(Training(method, canonical(settings), *place, seed, **budget), canonical(sampler), count, scale)
            for seed in range(claim.seeds)]


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def by_training(arms: Iterable[Arm]) -> dict[Training, list[Arm]]:
    """Distinct arms grouped by the training they share, in order of appearance."""
    groups: dict[Training, list[Arm]] = {}
    for arm in dict.fromkeys(arms):
        groups.setdefault(arm.training, []).append(arm)
    return groups


def check_arm(arm: Arm) -> None:
    """Build everything an arm names, run nothing; ValueError says what cannot be built."""
    bench_of(arm.training)
    if arm.training.method != TEACHER:
        build(arm.training)
    sampler_of(arm)


@lru_cache(maxsize=4)
def bench(name: str, settings: str) -> Any:
    """The bench, kept: what it computes once (fresh samples, exact endpoints) serves every arm of a process."""
    from workbench import benches

    return benches.load(name, **json.loads(settings))


def bench_of(training: Training) -> Any:
    return bench(training.bench, training.bench_settings)


def build(training: Training) -> Any:
    from workbench.papers.validate import build_method

    return build_method(training.method, json.loads(training.settings))


def sampler_of(arm: Arm) -> Any:
    """The arm's own ``Sampler``, or None where it leaves the method's."""
    from workbench.papers.validate import check_settings
    from workbench.solvers import Sampler

    own = json.loads(arm.sampler)
    if own is None:
        if arm.training.method == TEACHER:
            raise ValueError('the teacher has no sampler of its own: give sampler = { solver = "heun" }')
        return None
    checked = check_settings(Sampler, own)
    if "times" not in checked:
        checked.setdefault("num_inference_steps", arm.num_inference_steps)
    return Sampler(**checked)


def run_arm(arm: Arm) -> dict[str, float]:
    """The figures of one arm: measure -> value."""
    return run_arms([arm])[0].figures


def run_arms(arms: list[Arm]) -> list[Outcome]:
    """Train once, then sample and measure for every arm; the arms share their training."""
    with one_thread():
        return train_and_measure(arms)


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread within: figures must not depend on the machine's core count."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def train_and_measure(arms: list[Arm]) -> list[Outcome]:
    from workbench.train.divergence import Diverged

    training = arms[0].training
    place = bench_of(training)
    started = time.perf_counter()
    try:
        net, steps = trained(place, training)
    except Diverged as error:
        nan = dict.fromkeys(place.metrics, float("nan"))
        return [Outcome(nan, 0, time.perf_counter() - started, str(error)) for _ in arms]
    seconds = time.perf_counter() - started
    return [Outcome(measured(place, net, arm), steps, seconds) for arm in arms]


def trained(bench: Any, training: Training) -> tuple[Any, int]:
    """(finished run, or the bench's teacher, and the steps taken)."""
    from workbench.benches.assemble import born, steps_for
    from workbench.train.loop import train

    if training.method == TEACHER:
        return bench.teacher(), 0
    method = build(training)
    batch_size = training.batch_size or bench.budget.batch_size
    steps = training.steps or steps_for(bench, method, training.teacher_calls, batch_size)
    run = born(bench, method, seed=training.seed, steps=steps, batch_size=batch_size)
    for _ in train(run):
        pass
    return run, run.steps


def measured(bench: Any, net: Any, arm: Arm) -> dict[str, float]:
    """Sample with the arm's sampler (by default the method's) and measure; all arms of a seed start from one noise.

    A bench of classifiers draws no samples: it measures the run itself.
    """
    from workbench.benches.assemble import generate

    if not hasattr(bench, "start"):
        return {name: float(value) for name, value in bench.measure(net).items()}
    generated = generate(bench, net, sampler_of(arm), num_inference_steps=arm.num_inference_steps,
                         seed=arm.training.seed, guidance_scale=arm.guidance_scale)
    return {name: float(value) for name, value in bench.measure(generated).items()}
