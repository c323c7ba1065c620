"""Verbs for notebooks: ``from workbench import cells as w``. Each shows one panel, returns a plain object."""

from workbench.cells.bench import bench, teacher
from workbench.cells.compare import compare
from workbench.cells.diagnose import diagnose
from workbench.cells.distil import distil
from workbench.cells.losses import losses
from workbench.cells.targets import targets
from workbench.cells.walk import predictions, walk

__all__ = ["bench", "compare", "diagnose", "distil", "losses", "predictions", "targets", "teacher", "walk"]
