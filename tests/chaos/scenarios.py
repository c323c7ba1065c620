"""The runs that are killed: small enough to take a second or two, and with everything that a resume could forget."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from workbench import benches
from workbench.benches.assemble import recipe
from workbench.methods.score.dmd2 import Dmd2
from workbench.methods.steps.consistency import ConsistencyDistillation
from workbench.methods.steps.progressive import ProgressiveDistillation
from workbench.methods.steps.reflow import Reflow


@dataclass(frozen=True)
class Scenario:
    """A run as a recipe. With ``fork_at`` it is a fork of that run at this step, with ``changes`` made there."""

    name: str
    told: dict[str, Any]
    save_every: int = 20
    fork_at: int | None = None
    changes: dict[str, Any] = field(default_factory=dict)


def scenarios() -> dict[str, Scenario]:
    """By name: several acts, two clocks, micro-batches, a memory, a fork and a changed fork."""
    bench = benches.load("gmm2d")

    def told(method: Any, steps: int = 200, **options: Any) -> dict[str, Any]:
        return recipe(bench, method, seed=3, steps=steps, batch_size=64, **options)

    acts = told(ProgressiveDistillation(start_steps=8, end_steps=1))
    clocks = told(Dmd2(num_inference_steps=2, critic_turns=3, imitate=0.2))
    blocks = told(ConsistencyDistillation(), steps=160, blocks=2)
    memory = told(Reflow(pairs=640, fill=64, pair_steps=6))
    found = (Scenario("acts", acts), Scenario("two clocks", clocks), Scenario("two micro-batches", blocks),
             Scenario("memory", memory), Scenario("fork", acts, fork_at=60),
             Scenario("changed fork", clocks, fork_at=60, changes={"lr": 2e-4, "critic_turns": 2}))
    return {scenario.name: scenario for scenario in found}
