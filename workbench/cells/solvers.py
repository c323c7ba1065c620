"""``solvers`` and ``orders``: one teacher walked by several solvers, and how fast each comes near the exact end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from workbench.cells.model import Model
from workbench.cells.show import Table, panel, tell
from workbench.cells.style import AVERAGE, CRITIC, DATA, STUDENT, TEACHER, canvas, drawing, number
from workbench.cells.walk import walk
from workbench.solvers import SOLVERS, Sampler

USUAL = ("euler", "heun", "dpmpp", "ancestral")
LOOKS = ((TEACHER, "x"), (STUDENT, "o"), (AVERAGE, "s"), (CRITIC, "^"), (DATA, "D"))
FINE = 256  # steps of the walk that stands for the exact one where no flow map is known


class Order(NamedTuple):
    """One solver: network calls a sample, root mean square error of the end, and the slope of the two in logarithms."""

    solver: str
    evaluations: list[int]
    error: list[float]
    slope: float


def walked_by(teacher: Model, solver: str, num_inference_steps: int | None = None) -> Model:
    """The same net under another solver, on the same spacing of levels; ValueError for an unknown one."""
    if solver not in SOLVERS:
        raise ValueError(f"unknown solver {solver!r}; known: {', '.join(SOLVERS)}")
    count = num_inference_steps or teacher.sampler.num_inference_steps
    return replace(teacher, name=solver, sampler=Sampler(SOLVERS[solver](), teacher.sampler.spacing, count))


def solvers(teacher: Model, *, names: Sequence[str] = USUAL, num_inference_steps: int = 4, seed: int = 0) -> dict:
    """Walk one noise by several solvers side by side; returns solver -> frames, as ``w.walk`` does."""
    return walk([walked_by(teacher, name, num_inference_steps) for name in names], seed=seed)


def orders(
    teacher: Model, *, names: Sequence[str] = USUAL, num_inference_steps: Sequence[int] = (2, 4, 8, 16, 32),
    n: int = 2048, seed: int = 0,
) -> list[Order]:  # fmt: skip
    """Measure each solver's distance to the exact end of the same noise, against its calls; chart and table.

    Where the bench knows no flow map, a walk of ``FINE`` Heun steps stands for it.
    """
    noise, cond = teacher.bench.start(n, seed)
    end, found = exact_end(teacher, noise, cond), []
    for name in names:
        rows = [walked_by(teacher, name, count).frames(noise, cond, seed=seed)[-1] for count in num_inference_steps]
        error = [float((row.x_t.double() - end).square().mean().sqrt()) for row in rows]
        found.append(Order(name, [row.evaluations for row in rows], error, slope([r.evaluations for r in rows], error)))
    panel(chart(found), "orders", [one._asdict() for one in found])
    rows = [[one.solver, *(number(e) for e in one.error), f"{-one.slope:.1f}"] for one in found]
    head = ["solver", *(f"{count} steps" for count in num_inference_steps), "order seen"]
    tell(Table(head, rows, "root mean square distance to the exact end, data units"))
    return found


def exact_end(teacher: Model, noise: Tensor, cond: Tensor | None) -> Tensor:
    """Where the exact flow carries the noise (B, ...)."""
    if hasattr(teacher.bench, "endpoints"):
        return teacher.bench.endpoints(noise, cond)
    return walked_by(teacher, "heun", FINE).frames(noise, cond)[-1].x_t.double()


def slope(evaluations: Sequence[int], error: Sequence[float]) -> float:
    """Slope of the logarithms over the finer half of the points."""
    half = len(error) // 2 if len(error) > 2 else 0
    x, y = torch.tensor(evaluations[half:]).double().log(), torch.tensor(error[half:]).double().log()
    if len(x) < 2:
        return float("nan")
    return float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())


@drawing
def chart(found: Sequence[Order]):
    figure, ((axis,),) = canvas(size=(5.6, 3.2))
    for one, (colour, marker) in zip(found, LOOKS, strict=False):
        axis.plot(one.evaluations, one.error, color=colour, marker=marker, label=one.solver)
    axis.set(xscale="log", yscale="log", xlabel="network calls a sample (NFE)",
             ylabel="distance to the exact end\n(RMS, data units)")
    most = max(calls for one in found for calls in one.evaluations)
    ticks = [2**power for power in range(most.bit_length() + 1)]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.grid(alpha=0.2, linewidth=0.5)
    axis.legend()
    return figure
