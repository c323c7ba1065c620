"""``bench`` and ``teacher``: what there is before any distilling."""

from __future__ import annotations

import time
from typing import Any

from workbench import benches
from workbench.cells.draw import pictures, side_by_side
from workbench.cells.model import Model
from workbench.cells.show import panel
from workbench.cells.style import DATA, TEACHER
from workbench.solvers import SOLVERS, Sampler
from workbench.teachers.guidance import Guided


def bench(name: str, **settings: Any) -> Any:
    """Load a bench and show its data. ValueError for an unknown name, with the nearest."""
    found = benches.load(name, **settings)
    x = found.data(0, samples_shown(found)).at(0).x
    if bool(x.isnan().all()):
        print(f"{found.name}: {found.num_classes} prompts and no pictures")
        return found
    panel(side_by_side(found, {"data": (x, DATA)}), f"{name} data")
    return found


def teacher(
    bench: Any, *, num_inference_steps: int = 32, solver: str = "heun", guidance_scale: float = 1.0, seed: int = 0
) -> Model:
    """The bench's teacher, trained now if it was not before, and samples of it at many steps beside the data."""
    started = time.perf_counter()
    net = bench.teacher()
    print(f"teacher ready after {time.perf_counter() - started:.1f} s", flush=True)
    net = net.net if isinstance(net, Guided) else net  # a bench's own guidance is for its students
    embedded = hasattr(net, "conditions") and net.guided  # a pipeline that takes its scale as an input
    if guidance_scale != 1 and bench.num_classes is not None and not embedded:
        net = Guided(net, guidance_scale)
    sampler = Sampler(SOLVERS[solver](), "karras", num_inference_steps)
    model = Model("teacher", bench, net, sampler, guidance_scale=guidance_scale if embedded else None)
    noise, cond = bench.start(samples_shown(bench), seed)
    data = bench.data(0, len(noise)).at(0).x
    drawn = {} if bool(data.isnan().all()) else {"data": (data, DATA)}
    drawn[model.name] = (model.sample(noise, cond, seed=seed), TEACHER)
    panel(side_by_side(bench, drawn), "teacher samples")
    return model


def samples_shown(bench: Any) -> int:
    return 40 if pictures(bench) else 1000
