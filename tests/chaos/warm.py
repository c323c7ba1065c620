"""Loaded once by the fork server, so that no life pays for it: torch, the benches, and what the first step imports.

Nothing here may start a thread: no backward pass, no parallel operation.
"""

import torch

from tests.chaos import life  # noqa: F401
from tests.chaos.scenarios import scenarios
from workbench.benches.assemble import from_recipe

torch.set_num_threads(1)
for scenario in scenarios().values():
    from_recipe(scenario.told)
weight = torch.nn.Parameter(torch.zeros(1))
weight.grad = torch.zeros(1)
torch.optim.Adam([weight], fused=True).step()  # imports a good part of torch
