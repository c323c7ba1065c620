"""Samplers: a solver is one step, ``walk`` is the only loop."""

from workbench.solvers.ancestral import Ancestral
from workbench.solvers.consistency import Consistency
from workbench.solvers.dpmpp import DpmPlusPlus
from workbench.solvers.euler import Euler
from workbench.solvers.flow_map import FlowMap
from workbench.solvers.gamma import Gamma
from workbench.solvers.heun import Heun
from workbench.solvers.solver import Moved, Solver
from workbench.solvers.walk import Sampler, sample, walk

SOLVERS = {"euler": Euler, "heun": Heun, "dpmpp": DpmPlusPlus, "ancestral": Ancestral, "consistency": Consistency,
           "gamma": Gamma, "flow_map": FlowMap}

__all__ = ["SOLVERS", "Ancestral", "Consistency", "DpmPlusPlus", "Euler", "FlowMap", "Gamma", "Heun", "Moved",
           "Sampler", "Solver", "sample", "walk"]
