"""One paper from one seed: train it within the budget and, at the end of each act, sample it in few steps.

A programme may teach one number of steps after another (4, then 2, then 1). Each is measured when the last act that
was trained for it ends, before the next act changes a weight.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from workbench.papers import arms
from workbench.papers.comparison import COUNTS, TEACHER, TEACHER_WALKS
from workbench.papers.evidence import finite


class Task(NamedTuple):
    """What one process is given: settings and fields are JSON; ``steps`` are the training's, 0 for the teacher.

    ``record`` is the fingerprint of the record as it stood when the task was made.
    """

    slug: str
    record: str
    method: str
    settings: str
    bench: str
    fields: str
    seed: int
    steps: int = 0
    batch_size: int = 0


def run_task(task: Task) -> dict[str, Any]:
    """points: the figures for each number of steps and what it had cost until then; note: why some are missing."""
    with arms.one_thread():
        bench = arms.bench(task.bench, task.fields)
        return sampled_teacher(bench, task.seed) if task.method == TEACHER else taught(bench, task)


def sampled_teacher(bench: Any, seed: int) -> dict[str, Any]:
    from workbench.solvers import SOLVERS, Sampler

    walks = [Sampler(SOLVERS[name](), spacing, count) for name, spacing, count in TEACHER_WALKS]
    points = [point(bench, bench.teacher(), walk, walk.num_inference_steps, seed) for walk in walks]
    return {"points": points, "note": ""}


def taught(bench: Any, task: Task) -> dict[str, Any]:
    from workbench.benches.assemble import born
    from workbench.papers.validate import build_method
    from workbench.train.divergence import Diverged
    from workbench.train.loop import train

    method = build_method(task.method, json.loads(task.settings))
    run = born(bench, method, seed=task.seed, steps=task.steps, batch_size=task.batch_size)
    watch, note = Watch(bench, run, task.seed), ""
    try:
        for _ in train(run):
            pass
        watch.look(run.act)
    except Diverged as error:
        note = str(error)
        watch.give_up()
    return {"points": [watch.points[count] for count in sorted(watch.points)], "note": note}


def last_acts(acts: tuple, counts: tuple[int, ...] = COUNTS) -> dict[int, int]:
    """count -> the last act that trains the student and leaves it ready for that many steps."""
    found = {}
    for index, act in enumerate(acts):
        if any("student" in update.trains for update in act.method.updates()):
            found |= {count: index for count in counts if act.method.sampler().admits(count)}
    return found


class Watch:
    """Looks at a run when an act ends and keeps the points; the time it takes is not the training's."""

    def __init__(self, bench: Any, run: Any, seed: int) -> None:
        self.bench, self.run, self.seed, self.plan = bench, run, seed, last_acts(run.acts)
        self.points: dict[int, dict[str, Any]] = {}
        self.started, self.away = time.perf_counter(), 0.0
        later = [replace(act, enter=self.before(index, act.enter)) for index, act in enumerate(run.acts) if index]
        run.acts = (run.acts[0], *later)

    def before(self, index: int, enter: Callable | None) -> Callable:
        """An act's ``enter`` that first looks at what the act before it left."""
        def look_first(nets: Any) -> None:
            self.look(index - 1)
            if enter is not None:
                enter(nets)

        return look_first

    def cost(self) -> dict[str, Any]:
        seconds = time.perf_counter() - self.started - self.away
        return {"steps": self.run.step, "seconds": round(seconds, 2), "teacher_calls": self.run.teacher_calls}

    def look(self, act: int) -> None:
        cost, began = self.cost(), time.perf_counter()
        for count in (count for count, last in self.plan.items() if last == act):
            sampler = self.run.acts[act].method.sampler()
            self.points[count] = point(self.bench, self.run, sampler, count, self.seed) | cost
        self.away += time.perf_counter() - began

    def give_up(self) -> None:
        """No figures for what a diverged training did not reach."""
        none = {"solver": "", "evaluations": None, "figures": dict.fromkeys(self.bench.metrics)}
        for count in self.plan.keys() - self.points.keys():
            self.points[count] = {"num_inference_steps": count, **none, **self.cost()}


def point(bench: Any, net: Any, sampler: Any, count: int, seed: int) -> dict[str, Any]:
    """Sample a run's student, or the teacher, in ``count`` steps and measure."""
    from workbench.benches.assemble import generate

    generated = generate(bench, net, sampler, num_inference_steps=count, seed=seed)
    figures = {name: finite(value) for name, value in bench.measure(generated).items()}
    return {"num_inference_steps": count, "solver": type(sampler.solver).__name__, "evaluations": generated.evaluations,
            "figures": figures, "steps": 0, "seconds": 0.0, "teacher_calls": 0}
