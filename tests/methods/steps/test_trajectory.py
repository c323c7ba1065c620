"""Consistency trajectory models by hand: g = a x, slow copy b x, a Gaussian teacher, levels 4 > 1 > 0."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.methods.fakes import Gaussian, Times, at, drawn, points
from workbench.methods.steps.trajectory import ConsistencyTrajectory
from workbench.noise import Edm
from workbench.papers.identities import trajectory
from workbench.solvers import Gamma

A, B = 0.7, 0.4
HEUN = 29 / 68  # one Heun step from 4 to 1 on data N(0, 1), see test_consistency
METHOD = ConsistencyTrajectory(Edm(1.0, 4.0), grid=2, hops=1, anchor=0.0)


def nets():
    return {"teacher": Gaussian(), "student": Times(A), "student.average": Times(B)}


def of(method=METHOD, now=None, batch=None):
    roles = nets()
    return method.loss(roles, batch or points(), now or at()), roles


def test_the_jump_and_its_boundaries():
    """G(x, t, t) = x, G(x, t, 0) = g; half way down half of both."""
    x, t = torch.tensor([[2.0], [2.0], [2.0]]), torch.tensor([4.0, 4.0, 4.0])
    assert METHOD.hop(Times(A), x, t, torch.tensor([4.0, 0.0, 2.0]), None).flatten().tolist() == pytest.approx(
        [2.0, 1.4, 1.7])
    assert trajectory.jump() < 1e-14


def test_the_loss_by_hand():
    """t = 4 with s = 1 or 0, t = 1 with s = 0: three kinds of samples."""
    loss, roles = of()
    x, t = loss.seen["x_t"], loss.seen["t"]
    s = roles["student"].asked[0]["s"]
    kinds = {(int(a), int(b)) for a, b in zip(t.tolist(), s.tolist(), strict=True)}
    assert kinds == {(4, 1), (4, 0), (1, 0)}
    middle, low = ((t == 4) & (s == 1))[:, None], (t == 1)[:, None]
    guess = torch.where(middle, B * (0.25 + 0.75 * A), torch.tensor(A)) * x  # jump to 1, then the slow copy to 0
    target = torch.where(low, torch.tensor(0.5), torch.tensor(B * HEUN)) * x  # from 1 the teacher lands on x/2
    assert torch.allclose(loss.seen["x_t"], points().x + t[:, None] * drawn("noise", at(), points().x))
    assert torch.allclose(loss.seen["guess"], guess, rtol=1e-6)
    assert torch.allclose(loss.seen["target"], target, rtol=1e-6)
    assert loss.total.item() == pytest.approx((guess - target).square().mean().item(), rel=1e-6)
    assert loss.parts.keys() == {"consistency"}


def test_two_hops_are_two_teacher_steps():
    """With hops = 2 of two the teacher walks 4 > 1 > 0, and lands on half of Heun's point."""
    hops = {}
    for step in range(20):
        loss, _ = of(replace(METHOD, hops=2), at(step))
        ratio = (loss.seen["target"] / loss.seen["x_t"])[:, 0]
        hops[step] = set(ratio.detach().mul(1e6).round().tolist())
    assert {round(HEUN / 2 * 1e6)} in hops.values()  # both hops: u = s = 0
    assert {5e5, round(B * HEUN * 1e6)} in hops.values()  # one


def test_hops_never_exceed_the_grid():
    loss, _ = of(replace(METHOD, hops=40))
    assert torch.isfinite(loss.total)


def test_the_gradient_is_finite_and_reaches_the_student_alone():
    loss, roles = of(replace(METHOD, anchor=1.0))
    loss.total.backward()
    assert torch.isfinite(roles["student"].a.grad) and roles["student.average"].a.grad is not None
    assert not any(call["grad"] for call in roles["student.average"].asked[:1])


def test_the_gradient_goes_through_the_frozen_slow_copy():
    """d/da of |B (1/4 + 3/4 a) x - sg|^2 where s = 1, of |a x - sg|^2 where s = 0."""
    loss, roles = of()
    loss.total.backward()
    inner = torch.where(((loss.seen["t"] == 4) & (roles["student"].asked[0]["s"] == 1))[:, None], 0.75 * B, 1.0)
    expected = (2 * (loss.seen["guess"] - loss.seen["target"]) * inner * loss.seen["x_t"]).mean()
    assert roles["student"].a.grad.item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_anchor_is_weighted_denoising_at_s_equal_t():
    loss, roles = of(replace(METHOD, anchor=0.5))
    call, batch = roles["student"].asked[-1], points()
    assert torch.equal(call["s"], call["t"])
    t = call["t"]
    x_a = batch.x + t[:, None] * drawn("anchor_noise", at(), batch.x)
    weight = (t**2 + 0.25) / (t * 0.5) ** 2
    expected = (weight * (A * x_a - batch.x).square().mean(1)).mean()
    assert loss.parts["anchor"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert loss.total.item() == pytest.approx((loss.parts["consistency"] + 0.5 * loss.parts["anchor"]).item(), rel=1e-9)


class Logit(nn.Module):
    """Logit c mean(x_t) of a judge that ignores the net it is shown."""

    def __init__(self, c: float) -> None:
        super().__init__()
        self.c = nn.Parameter(torch.tensor(c, dtype=torch.float64))

    def forward(self, net, x_t, t, cond=None):
        return self.c * x_t.mean(1)


def test_the_judge_sees_the_jump_to_zero_noised_a_little():
    roles, batch = nets() | {"judge": Logit(1.5)}, points()
    method = replace(METHOD, gan=0.3)
    loss = method.loss(roles, batch, at())
    x, t = loss.seen["x_t"], loss.seen["t"]
    level = 0.5 * (0.05 + 0.45 * torch.rand(64, generator=at().rng("judge_time")))
    seen = A * x + level[:, None] * drawn("judge_noise", at(), x)
    fooled = torch.log1p(torch.exp(-1.5 * seen.mean(1))).mean()
    assert loss.parts["gan"].item() == pytest.approx(fooled.item(), rel=1e-6)
    told = method.judge_loss(roles, batch, at())
    assert torch.isfinite(told.total) and t.shape == (64,)
    told.total.backward()
    assert roles["judge"].c.grad is not None and roles["student"].a.grad is None


def test_with_a_judge_two_updates_and_without_one():
    assert [update.trains for update in METHOD.updates()] == [("student",)]
    assert [update.trains for update in replace(METHOD, gan=0.1).updates()] == [("judge",), ("student",)]
    assert METHOD.extras(Gaussian(), Times(A), points()) == {}
    assert METHOD.second_time and METHOD.sampler().solver == Gamma(0.0)


def test_labels_go_everywhere():
    batch = points(labelled=True)
    _, roles = of(replace(METHOD, anchor=1.0), batch=batch)
    assert all(call["cond"] is batch.y for role in roles.values() for call in role.asked)


def test_the_exact_flow_map_leaves_the_solvers_error():
    """One to four Heun steps: from 18 to 72 intervals by about 64."""
    assert trajectory.exact_map(18) > 40 * trajectory.exact_map(72)


def test_a_student_that_denoises_at_every_s_is_no_flow_map():
    """The control: the ring's denoiser, whatever s, leaves far more on the same grid."""
    from workbench.papers.identities.exact import ExactMap, asked, on_the_ring, residual, ring

    class Denoises(ExactMap):
        def forward(self, x_t, t, s=None, cond=None, guidance=None):
            return self.mixture(x_t, t, None, cond, guidance)

    roles = {"teacher": ring(), "student": Denoises(ring()), "student.average": Denoises(ring())}
    method = on_the_ring(ConsistencyTrajectory(grid=72, anchor=0.0))
    assert residual(asked(method, roles, 256)) > 300 * trajectory.exact_map(72)
