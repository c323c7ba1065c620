"""Tangents of real networks: forward mode and the difference agree; who insists on a fused kernel is told the way."""

from dataclasses import replace

import pytest
import torch

from workbench.benches.assemble import born
from workbench.benches.pipeline import PipelineBench
from workbench.methods.parts.tangent import along
from workbench.methods.steps.continuous_consistency import ContinuousConsistency
from workbench.teachers.from_diffusers.small import save
from workbench.train.loop import train

METHOD = ContinuousConsistency()
STEP = {"sd": 1e-2, "flux": 1e-4}  # times go to 1000, and to 1


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("pipelines")
    return {kind: save(kind, root / kind) for kind in STEP}


def bench(folders, kind):
    return PipelineBench(str(folders[kind]), ("a red circle", "a big blue square"), rank=None, size=(32, 32))


def in_float64(folders, kind):
    """(a whole copy, x, t, dx, dt), all in float64; diffusers takes sines and cosines of the time in float32."""
    made = bench(folders, kind)
    net, generator = made.student(0).double(), torch.Generator().manual_seed(0)
    x, dx = (torch.randn(2, *made.shape, generator=generator, dtype=torch.float64) for _ in range(2))
    t = torch.tensor([0.3, 0.8] if kind == "flux" else [200.0, 700.0], dtype=torch.float64)
    return (lambda x, t: net(x, t, cond=torch.tensor([0, 1]))), x, t, dx, torch.ones_like(t)


def off(net, where, step):
    """Distance of the difference from forward mode, over the size of the tangent."""
    (here, exact), (there, near) = along(net, *where), along(net, *where, how="difference", step=step)
    assert torch.allclose(here, there, rtol=0, atol=1e-12) and float(exact.norm()) > 0.1
    return float((near - exact).norm() / exact.norm())


@pytest.mark.parametrize("kind", ["sd", "flux"])
def test_the_difference_is_the_tangent(folders, kind):
    net, x, t, dx, dt = in_float64(folders, kind)
    assert off(net, (x, t, dx, 0 * dt), 1e-4) < 1e-5
    assert off(net, (x, t, dx, dt), STEP[kind]) < 3e-3  # the time's float32 shows, as in flux's rotations above
    assert off(net, (x, t, dx, dt), 100 * STEP[kind]) > 0.1


class Normal:
    """Latents of a fixed law in place of the pictures that these random pipelines never saw."""

    def __init__(self, data):
        self.data = data

    def at(self, step, block=0):
        batch = self.data.at(step, block)
        return batch._replace(x=torch.randn(batch.x.shape, generator=torch.Generator().manual_seed(step)))


@pytest.mark.parametrize("kind", ["sd", "flux"])
def test_in_training_the_difference_is_within_two_per_cent_also_under_autocast(folders, kind, monkeypatch):
    found = []

    def both(*where):
        for _ in range(2):
            found.append([along(*where[:-1], how)[1] for how in ("jvp", "difference")])
        with torch.autocast("cpu", torch.bfloat16):
            found.append([along(*where[:-1], how)[1] for how in ("jvp", "difference")])
        return along(*where)

    monkeypatch.setattr("workbench.methods.steps.continuous_consistency.along", both)
    run = born(bench(folders, kind), METHOD, steps=1, batch_size=4)
    run.data = Normal(run.data)
    list(train(run))
    (exact, near), again, cast = found
    assert 1e-4 < float((near - exact).norm() / exact.norm()) < 0.02
    assert torch.equal(again[0], exact) and torch.equal(cast[0], exact) and torch.equal(cast[1], near)


@pytest.mark.parametrize("kernel", ["_native_flash", "flex"])
def test_a_net_that_insists_on_a_fused_kernel_is_told_to_take_the_difference(folders, kernel):
    run = born(bench(folders, "flux"), METHOD, steps=1, batch_size=2)
    run.data = Normal(run.data)
    run.nets["student"].network.model.set_attention_backend(kernel)
    with pytest.raises(ValueError, match='no tangent in forward mode .*: set tangent="difference"'):
        list(train(run))
    if kernel == "_native_flash":  # flex is slow to compile, and its backward pass needs it to be
        run = born(bench(folders, "flux"), replace(METHOD, tangent="difference"), steps=1, batch_size=2)
        run.data = Normal(run.data)
        run.nets["student"].network.model.set_attention_backend(kernel)
        assert all(bool(taken.loss.total.isfinite()) for stepped in train(run) for taken in stepped.taken)


def test_other_errors_of_a_net_stay_as_they_are():
    def broken(x, t):
        raise RuntimeError("the net's own trouble")

    x, t = torch.ones(2, 3), torch.ones(2)
    with pytest.raises(RuntimeError, match="^the net's own trouble$"):
        along(broken, x, t, x, t)
