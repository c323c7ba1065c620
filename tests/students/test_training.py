"""Three methods of different families train adapters of four pipelines: they move, the base does not, and is one."""

import pytest
import torch

from workbench.benches.assemble import born
from workbench.benches.pipeline import PipelineBench
from workbench.methods.score.dmd2 import Dmd2
from workbench.methods.steps.consistency import ConsistencyDistillation
from workbench.methods.steps.continuous_consistency import ContinuousConsistency
from workbench.solvers import Euler
from workbench.teachers.from_diffusers.small import save
from workbench.train.loop import train

METHODS = {
    "consistency": ConsistencyDistillation(solver=Euler(), grid=8, lr=1e-3),
    "dmd2": Dmd2(num_inference_steps=2, critic_turns=2, gan=3e-3, lr=1e-3, critic_lr=1e-3),
    "continuous": ContinuousConsistency(lr=1e-3),
}
PROMPTS = ("a red circle", "a big blue square", "a green triangle")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("pipelines")
    return {kind: save(kind, root / kind) for kind in ("sd", "sdxl", "flux", "wan")}


class Pictured:
    """Latents of a fixed law in place of the pictures that these random pipelines never saw."""

    def __init__(self, bench, batch_size=2):
        self.bench, self.batch_size = bench, batch_size

    def at(self, step, block=0):
        batch = self.bench.data(0, self.batch_size).at(step, block)
        generator = torch.Generator().manual_seed(step)
        return batch._replace(x=torch.randn(batch.x.shape, generator=generator))


def tensors(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["sd", "sdxl", "flux", "wan"])
def test_adapters_move_and_the_base_does_not(folders, kind, method):
    bench = PipelineBench(str(folders[kind]), PROMPTS, rank=4, size=(32, 32), frames=5, guidance_scale=3.0)
    run = born(bench, METHODS[method], steps=20, batch_size=2)
    run.data = Pictured(bench)
    base = tensors(run.nets["teacher"])
    learners = [name for name in ("student", "critic") if name in run.nets]
    before = {name: tensors(run.nets[name]) for name in learners}
    for _ in train(run):
        pass
    after = {name: tensors(run.nets[name]) for name in learners}
    for name in learners:
        moved = [path for path, value in after[name].items() if not torch.equal(value, before[name][path])]
        assert len(moved) >= 0.9 * len(before[name]), f"{name}: {len(moved)} of {len(before[name])} weights moved"
    assert all(torch.equal(value, base[path]) for path, value in tensors(run.nets["teacher"]).items())
    shared = bench.shared.model
    assert all(run.nets[name].network.model is shared for name in learners)
    views = [*(run.nets[name] for name in learners), *run.averages.values()]
    held = sum(param.numel() for param in shared.parameters())
    assert held == sum(value.numel() for value in base.values()) + sum(p.numel() for one in views
                                                                        for p in one.parameters())
