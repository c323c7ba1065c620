"""Noise processes, their exact conversions, and grids and laws of times."""

from workbench.noise.convert import FORMS, Spoken, from_x0, move, speak, to_x0
from workbench.noise.process import Edm, LinearFlow, Process, TrigFlow, VpCosine, VpLinear, spread
from workbench.noise.table import VpTable

PROCESSES = {"edm": Edm, "linear_flow": LinearFlow, "trig_flow": TrigFlow, "vp_cosine": VpCosine, "vp_linear": VpLinear}

__all__ = ["FORMS", "PROCESSES", "Edm", "LinearFlow", "Process", "Spoken", "TrigFlow", "VpCosine", "VpLinear",
           "VpTable", "from_x0", "move", "speak", "spread", "to_x0"]
