"""Verbs for notebooks: ``from workbench import cells as w``. Each shows one panel, returns a plain object."""

from workbench.cells.bench import bench, teacher
from workbench.cells.compare import compare
from workbench.cells.controls import controls
from workbench.cells.diagnose import diagnose
from workbench.cells.distil import distil, resume, wait
from workbench.cells.estimate import estimate
from workbench.cells.export import export
from workbench.cells.hybrid import hybrid
from workbench.cells.keep import keep
from workbench.cells.lesson import lesson
from workbench.cells.losses import losses
from workbench.cells.pipeline import pipeline
from workbench.cells.pipeline_targets import targets_of
from workbench.cells.solvers import orders, solvers
from workbench.cells.straightness import straightness
from workbench.cells.sweep import cost, effects, failures, sweep
from workbench.cells.switches import switches
from workbench.cells.targets import targets
from workbench.cells.walk import growth, walk
from workbench.cells.watch import watch

__all__ = ["bench", "compare", "controls", "cost", "diagnose", "distil", "effects", "estimate", "export", "failures",
           "growth", "hybrid", "keep", "lesson", "losses", "orders", "pipeline", "resume", "solvers", "straightness",
           "sweep", "switches", "targets", "targets_of", "teacher", "wait", "walk", "watch"]  # fmt: skip
