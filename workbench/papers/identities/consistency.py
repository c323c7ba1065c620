"""Consistency distillation on the ring: the exact flow map is its fixed point, up to the solver's error."""

from __future__ import annotations

import math

from workbench.methods.steps.consistency import ConsistencyDistillation
from workbench.papers.identities.exact import ExactMap, asked, on_the_ring, residual, ring
from workbench.solvers import Euler, Heun, Solver


def exact_map(grid: int, solver: Solver | None = None) -> float:
    """Residual of one solver step between neighbours, with the exact endpoint map as student and target."""
    method = on_the_ring(ConsistencyDistillation(grid=grid, solver=solver or Heun()))
    student = ExactMap(ring())
    return residual(asked(method, {"teacher": ring(), "student": student, "student.average": student}))


def zero_residual() -> float:
    """With 144 Heun intervals."""
    return exact_map(144)


def order(solver: Solver) -> float:
    """Observed order of the residual in 1/grid, over 9 to 144 intervals: of one step, the solver's order plus one."""
    return math.log(exact_map(9, solver) / exact_map(144, solver)) / math.log(144 / 9)


def order_shortfall() -> float:
    """How far the residual's order falls short of 3 with Heun or of 2 with Euler, whichever is more."""
    return max(3 - order(Heun()), 2 - order(Euler()))
