"""Reflow: pairs against a flow known in closed form, lines by hand, acts and what each of them hands over."""

import pytest
import torch

from tests.methods.fakes import Gaussian, Times, at, drawn, points
from workbench import benches
from workbench.benches.assemble import born
from workbench.methods.steps.reflow import PairStore, Reflow
from workbench.noise import LinearFlow, speak
from workbench.papers.identities import reflow
from workbench.train.loop import train
from workbench.types import Samples

FLOW = LinearFlow(0.0, float("inf"))


class Velocity(Times):
    form = "velocity"


def filled(process, pairs=64, **settings):
    """(method, store) with pairs of data N(0.7, 0.4^2)."""
    method = Reflow(process, pairs=pairs, fill=pairs, **settings)
    store, teacher = PairStore(pairs, (2,), False), speak(Gaussian(0.4, 0.7, process), process, "velocity")
    method.make_pairs({"pairs": store, "teacher": teacher}, Samples(torch.zeros(pairs, 2)), at())
    return method, store


def test_a_gaussians_flow_carries_noise_to_mean_plus_deviation_times_noise():
    """From pure noise the exact end is 0.7 + 0.4 eps; the pair's noise is the start itself."""
    noise, errors = torch.randn(64, 2, generator=at().rng("noise")), []
    for pair_steps in (64, 128):
        _, store = filled(FLOW, pair_steps=pair_steps)
        assert torch.allclose(store.noise, noise, atol=1e-6)
        errors.append(float((store.end - (0.7 + 0.4 * noise)).abs().max()))
    assert errors[1] < 1e-3 and errors[0] > 3 * errors[1]  # Heun's second order


def test_where_t_max_is_not_pure_noise_the_line_still_passes_through_the_start():
    process = LinearFlow(0.002, 4.0)  # t_max = 0.8
    _, store = filled(process)
    t = torch.full((64,), 0.8)
    start = 0.8 * torch.randn(64, 2, generator=at().rng("noise"))
    assert torch.allclose(process.add_noise(store.end, t, store.noise), start, atol=1e-6)
    assert reflow.line_through_start() < 1e-5


def test_pairs_are_filled_in_stretches_and_the_last_is_shorter():
    method, store = Reflow(FLOW, pairs=10, fill=4, pair_steps=2), PairStore(10, (2,), True)
    teacher = speak(Gaussian(0.4, 0.7, FLOW, shift=1.0), FLOW, "velocity")
    for step in range(3):
        batch = Samples(torch.zeros(3, 2), torch.tensor([0, 1, 1]))
        loss = method.make_pairs({"pairs": store, "teacher": teacher}, batch, at(step))
        assert loss.parts["pairs"].item() == min(4 * step + 4, 10)
    assert bool((store.end != 0).all()) and store.label.tolist() == [0, 1, 1, 0, 0, 1, 1, 0, 0, 1]
    noise, end, label = store.draw(torch.tensor([0, 2]))
    assert torch.equal(end, store.end[[0, 2]]) and torch.equal(noise, store.noise[[0, 2]]) and label.tolist() == [0, 1]


def test_a_store_without_labels_gives_none():
    assert filled(FLOW, pair_steps=2)[1].draw(torch.tensor([0]))[2] is None


def test_the_reflow_loss_by_hand():
    """Velocity a x_t against eps - x0 on (1 - t) x0 + t eps; t in (0, 1]."""
    method, store = filled(FLOW, pair_steps=2, stage="reflow")
    student = Velocity(0.3, FLOW)
    loss = method.loss({"pairs": store, "student": student}, points(), at())
    i = torch.randint(0, 64, (64,), generator=at().rng("index"))
    t = (1 - torch.rand(64, generator=at().rng("time")))[:, None]
    x_t, target = (1 - t) * store.end[i] + t * store.noise[i], store.noise[i] - store.end[i]
    assert torch.allclose(loss.seen["x_t"], x_t, atol=1e-6) and torch.allclose(loss.seen["target"], target, atol=1e-6)
    assert loss.total.item() == pytest.approx((0.3 * x_t - target).square().sum(1).mean().item(), rel=1e-5)
    assert loss.seen["t"].min() > 0


def test_the_distil_loss_by_hand():
    """At t = 1 the student's end is x - a x; the pair's end is asked of it."""
    method, store = filled(FLOW, pair_steps=2)
    loss = method.loss({"pairs": store, "student": Velocity(0.3, FLOW)}, points(), at())
    i = torch.randint(0, 64, (64,), generator=at().rng("index"))
    assert loss.seen["t"].tolist() == [1.0] * 64 and torch.allclose(loss.seen["x_t"], store.noise[i], atol=1e-6)
    expected = (0.7 * store.noise[i] - store.end[i]).square().sum(1).mean()
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-5)


def test_acts_in_order():
    def names(method, steps=100):
        return [(act.name, act.steps) for act in method.acts(steps)]

    small = Reflow(pairs=20, fill=10)
    assert names(small) == [("pairs 1", 2), ("reflow 1", 48), ("pairs", 2), ("distil", 48)]
    assert names(Reflow(pairs=20, fill=10, reflows=0)) == [("pairs", 2), ("distil", 98)]
    assert names(Reflow(pairs=20, fill=10, reflows=0, distil_share=0.0)) == [("pairs", 2), ("distil", 98)]
    assert names(Reflow(pairs=20, fill=10, reflows=2, distil_share=0.25)) == [
        ("pairs 1", 2), ("reflow 1", 35), ("pairs 2", 2), ("reflow 2", 36), ("pairs", 2), ("distil", 23)]
    assert names(Reflow(pairs=20, fill=10, distil_share=0.0)) == [("pairs 1", 2), ("reflow 1", 98)]
    assert [update.trains for act in small.acts(100) for update in act.method.updates()] == [
        (), ("student",), (), ("student",)]
    with pytest.raises(ValueError, match="5 steps do not even fill 2 pair stores of 20"):
        small.acts(5)


def test_every_later_store_is_filled_by_the_flow_that_was_just_learnt():
    """At each change of act the flow is the student's average; the first pairs alone are the teacher's."""
    bench = benches.load("gmm2d", width=8, depth=1)
    run = born(bench, Reflow(pairs=8, fill=8, pair_steps=2, reflows=2), seed=0, steps=12, batch_size=4)
    birth, seen = run.nets["flow"].out.weight.clone(), []
    for _ in train(run):
        if run.act_step == 0:  # just entered
            seen.append((run.acts[run.act].name, run.current.source, run.nets["flow"].out.weight.clone()))
            if run.acts[run.act].name in ("pairs 2", "pairs"):
                assert torch.equal(run.nets["flow"].out.weight, run.nets["student"].out.weight)
    assert [name for name, *_ in seen] == ["reflow 1", "pairs 2", "reflow 2", "pairs", "distil"]
    assert torch.equal(seen[0][2], birth)
    assert not torch.equal(seen[1][2], birth) and not torch.equal(seen[3][2], seen[1][2])
    assert [source for name, source, _ in seen if name.startswith("pairs")] == ["flow", "flow"]


def test_a_coupling_of_the_flow_is_no_dearer_than_chance_and_keeps_the_marginals():
    """E |eps - x0|^2 of the ring's pairs under that of the same points paired at random; ends lie on the ring."""
    _, store = reflow.stored(32)
    chance = (store.noise - store.end.roll(1, 0)).square().sum(1).mean()
    assert (store.noise - store.end).square().sum(1).mean() < 0.8 * chance
    assert store.end.norm(dim=1).mean().item() == pytest.approx(1.0, abs=0.02)  # eight modes at radius 1, std 0.08
    assert drawn("noise", at(), torch.zeros(256, 2)).shape == store.noise.shape


def test_the_identities():
    assert reflow.ends(16) > 8 * reflow.ends(64)  # of Heun's second order, 16 times
    assert reflow.straight_lines() < 1e-6
