"""Consistency distillation by hand: f(x) = a x, a Gaussian teacher, two intervals 4 -> 1 -> 0."""

import pytest
import torch

from tests.methods.fakes import Gaussian, Times, at, drawn, mean_square, points
from workbench.methods.steps.consistency import ConsistencyDistillation
from workbench.noise import Edm
from workbench.papers.identities import consistency
from workbench.solvers import Consistency, Euler, Heun

# one Euler step from 4 to 1 on data N(0, 1): x - 3 (x - x/17)/4 = 5x/17; Heun adds the slope at (5x/17, 1): 29x/68.
LANDED = {"euler": (Euler(), 5 / 17), "heun": (Heun(), 29 / 68)}


def nets():
    return {"teacher": Gaussian(), "student": Times(0.7), "student.average": Times(0.4)}


@pytest.mark.parametrize("solver", LANDED)
def test_the_loss_by_hand(solver):
    step, factor = LANDED[solver]
    batch, now, roles = points(), at(), nets()
    loss = ConsistencyDistillation(Edm(1.0, 4.0), step, grid=2).loss(roles, batch, now)
    t = loss.seen["t"]
    assert set(t.tolist()) == {4.0, 1.0}
    x_t = batch.x + t[:, None] * drawn("noise", now, batch.x)
    kept = torch.where(t == 4, factor, 0.5)[:, None]  # from 1 to 0 the denoiser itself, x/2
    assert torch.allclose(loss.seen["target"], 0.4 * kept * x_t, rtol=1e-6)
    assert torch.allclose(loss.seen["guess"], 0.7 * x_t, rtol=1e-12)
    assert loss.total.item() == pytest.approx(mean_square(0.7 * x_t, 0.4 * kept * x_t), rel=1e-6)


def test_the_gradient_reaches_the_student_alone_and_is_that_of_its_guess():
    batch, now, roles = points(), at(), nets()
    loss = ConsistencyDistillation(Edm(1.0, 4.0), Euler(), grid=2).loss(roles, batch, now)
    loss.total.backward()
    seen = loss.seen
    expected = 2 * ((seen["guess"] - seen["target"]) * seen["x_t"]).sum(1).mean()
    assert roles["student"].a.grad.item() == pytest.approx(expected.item(), rel=1e-9)
    assert roles["student.average"].a.grad is None


def test_the_target_is_asked_at_the_lower_level_and_labels_go_everywhere():
    batch, roles = points(labelled=True), nets()
    ConsistencyDistillation(Edm(1.0, 4.0), Euler(), grid=2).loss(roles, batch, at())
    (guess,), (target,), (teacher,) = (roles[name].asked for name in ("student", "student.average", "teacher"))
    assert torch.equal(target["t"], torch.where(guess["t"] == 4, 1.0, 0.0)) and torch.equal(teacher["t"], guess["t"])
    assert all(call["cond"] is batch.y for call in (guess, target, teacher)) and not target["grad"]


@pytest.mark.parametrize("distance", ["absolute", "pseudo_huber"])
def test_other_distances_are_theirs(distance):
    from workbench.methods.parts.distances import DISTANCES

    roles, batch = nets(), points()
    loss = ConsistencyDistillation(Edm(1.0, 4.0), Euler(), 2, distance).loss(roles, batch, at())
    expected = DISTANCES[distance](loss.seen["guess"], loss.seen["target"]).mean()
    assert torch.equal(loss.total, expected) and expected != mean_square(loss.seen["guess"], loss.seen["target"])


def test_every_interval_is_drawn_about_equally_often():
    loss = ConsistencyDistillation(grid=18).loss(nets(), points(18_000), at())
    counts = loss.seen["t"].unique(return_counts=True)[1]
    assert len(counts) == 18 and bool((counts - 1000).abs().max() < 5 * 1000**0.5)


def test_the_exact_flow_map_leaves_the_solvers_error():
    """One Heun step errs by the third power of its size: from 18 to 72 intervals by about 64."""
    assert consistency.exact_map(18) > 40 * consistency.exact_map(72)


def test_another_student_leaves_more():
    """The control: with the denoiser in the student's place the residual does not vanish on a fine grid."""
    from workbench.papers.identities.exact import asked, on_the_ring, residual, ring

    roles = {"teacher": ring(), "student": ring(), "student.average": ring()}
    assert residual(asked(on_the_ring(ConsistencyDistillation(grid=144)), roles)) > 1e-3


def test_two_averages_and_a_sampler():
    (update,) = ConsistencyDistillation(average=0.9, ema=0.99).updates()
    target, slow = update.average
    assert update.trains == ("student",) and target == 0.9 and slow(at(0)) == 0.1 and slow(at(10_000, 20_000)) == 0.99
    assert isinstance(ConsistencyDistillation().sampler().solver, Consistency)
