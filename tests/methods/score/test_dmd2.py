"""Distribution matching by hand: x = a z, a critic c x, a Gaussian teacher; both gradient paths; the chain."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.methods.fakes import Gaussian, Times, at, drawn, points
from workbench import benches
from workbench.benches.assemble import born
from workbench.methods.parts.grids import levels
from workbench.methods.parts.imitation import spread_levels
from workbench.methods.score.dmd2 import Dmd2
from workbench.nets.unet import UNet
from workbench.noise import Edm, speak
from workbench.papers.identities import dmd2
from workbench.randomness import Key
from workbench.solvers import Consistency
from workbench.train.loop import train
from workbench.types import Samples

A, C = 0.7, 0.3
METHOD = Dmd2(Edm(0.01, 4.0), gan=0.0)


class Logit(nn.Module):
    """Logit w mean(net(x_t)): it reads the critic it is shown."""

    def __init__(self, w: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w, dtype=torch.float64))

    def forward(self, net, x_t, t, cond=None):
        return self.w * net(x_t, t, cond=cond).mean(1)


def nets(w=1.5):
    return {"teacher": Gaussian(), "student": Times(A), "critic": Times(C), "judge": Logit(w)}


def test_the_students_loss_and_gradient_by_hand():
    """x = a z; direction (c x_t - x_t/(1 + t^2)) / mean |x - x_t/(1 + t^2)|; gradient mean(direction z)."""
    batch, now, roles = points(), at(), nets()
    loss = METHOD.student_loss(roles, batch, now)
    z = 4 * drawn("start", now, batch.x)
    t = spread_levels(METHOD.process, 64, now, "level time")
    x_t = A * z + t[:, None] * drawn("level noise", now, batch.x)
    assert torch.allclose(loss.seen["x_t"], x_t) and torch.allclose(loss.seen["guess"], C * x_t)
    real = x_t / (1 + t[:, None] ** 2)
    direction = (C * x_t - real) / (A * z - real).abs().mean(1, keepdim=True)
    assert torch.allclose(loss.seen["target"], real)
    assert loss.total.item() == pytest.approx(0.5 * direction.square().mean().item(), rel=1e-5)
    loss.total.backward()
    assert roles["student"].a.grad.item() == pytest.approx((direction * z).mean().item(), rel=1e-5)
    assert roles["critic"].a.grad is None and roles["judge"].w.grad is None
    assert loss.parts["direction"].item() == pytest.approx(direction.norm(dim=1).mean().item(), rel=1e-5)


def test_both_gradient_paths_against_autograd():
    assert dmd2.matching_gradient() < 1e-12
    assert dmd2.adversarial_gradient() < 1e-10


def test_the_direction_is_the_gradient_of_the_kl():
    assert dmd2.kl_gradient() < 1e-12


def test_a_student_that_matches_is_left_alone():
    """Where the critic says what the teacher says, no direction is left: a Gaussian student of the data's law."""
    roles = nets() | {"critic": Gaussian()}
    loss = METHOD.student_loss(roles, points(), at())
    assert loss.total.item() == 0 and torch.equal(loss.seen["target"], loss.seen["guess"])


def test_the_adversarial_share_by_hand():
    """fool = softplus(-w c mean x_t); its gradient by a passes through noise, critic and judge: -s(-l) w c mean z."""
    batch, now, roles = points(), at(), nets()
    loss = replace(METHOD, gan=0.2).student_loss(roles, batch, now)
    logit = 1.5 * C * loss.seen["x_t"].mean(1)
    assert loss.parts["gan"].item() == pytest.approx(torch.log1p(torch.exp(-logit)).mean().item(), rel=1e-6)
    (grad,) = torch.autograd.grad(loss.parts["gan"], roles["student"].a)
    z = 4 * drawn("start", now, batch.x)
    expected = (-torch.sigmoid(-logit) * 1.5 * C * z.mean(1)).mean()
    assert grad.item() == pytest.approx(expected.item(), rel=1e-6)
    assert loss.total.item() == pytest.approx((loss.parts["match"] + 0.2 * loss.parts["gan"]).item(), rel=1e-9)


def test_the_critics_loss_by_hand():
    batch, now, roles = points(), at(), nets()
    loss = METHOD.critic_loss(roles, batch, now)
    fake = A * 4 * drawn("start", now, batch.x)
    t = spread_levels(METHOD.process, 64, now, "level time")
    x_t = fake + t[:, None] * drawn("level noise", now, batch.x)
    weight = (t**2 + 0.25) / (0.5 * t) ** 2
    assert loss.total.item() == pytest.approx((weight * (C * x_t - fake).square().mean(1)).mean().item(), rel=1e-5)
    loss.total.backward()
    assert roles["critic"].a.grad is not None and roles["student"].a.grad is None


def test_the_judge_learns_with_the_critic_whose_features_it_reads():
    batch, now, roles = points(), at(), nets()
    loss = replace(METHOD, gan=0.2, judge=0.5).critic_loss(roles, batch, now)
    t = spread_levels(METHOD.process, 64, now, "level time")
    x_t = A * 4 * drawn("start", now, batch.x) + t[:, None] * drawn("level noise", now, batch.x)
    real_t = spread_levels(METHOD.process, 64, now, "real time")
    real = batch.x + real_t[:, None] * drawn("real noise", now, batch.x)
    high, low = (1.5 * C * state.mean(1) for state in (real, x_t))
    told = (torch.log1p(torch.exp(-high)) + torch.log1p(torch.exp(low))).mean()
    assert loss.parts["judge"].item() == pytest.approx(told.item(), rel=1e-6)
    assert loss.total.item() == pytest.approx((loss.parts["fit"] + 0.5 * loss.parts["judge"]).item(), rel=1e-9)
    by_critic, by_judge = torch.autograd.grad(loss.parts["judge"], (roles["critic"].a, roles["judge"].w))
    assert by_critic != 0 and by_judge != 0


def turns(method, count=200):
    """now of steps by the turn that is trained there."""
    found = {}
    for step in range(count):
        roles = nets()
        method.generate(roles, points(8), at(step))
        found.setdefault(len(roles["student"].asked) - 1, []).append(step)
    return found


def test_every_turn_of_the_chain_is_trained_about_equally_often():
    found = turns(replace(METHOD, num_inference_steps=4))
    assert sorted(found) == [0, 1, 2, 3] and min(map(len, found.values())) > 50 - 5 * 50**0.5


def test_backward_simulation_feeds_the_students_own_states_and_the_last_turn_alone_has_a_gradient():
    """x0 = a x at the grid's level, fresh noise to the next: by hand, the same states as sampling goes through."""
    method = replace(METHOD, num_inference_steps=3)
    grid = levels(method.process, 3, "trig")
    step = turns(method)[2][0]
    roles, now, batch = nets(), at(step), points(8)
    x = method.generate(roles, batch, now)
    first, second, last = roles["student"].asked
    state = 4.0 * drawn("start", now, batch.x)
    for k, call in enumerate((first, second, last)):
        assert torch.allclose(call["x_t"], state) and torch.equal(call["t"], grid[k].expand(8))
        if k < 2:
            state = A * state + grid[k + 1] * drawn(f"turn {k}", now, batch.x)
    assert [call["grad"] for call in (first, second, last)] == [False, False, True]
    (grad,) = torch.autograd.grad(x.sum(), roles["student"].a)
    assert grad.item() == pytest.approx(state.sum().item(), rel=1e-9)  # d (a x)/da = x, nothing of the earlier turns


def test_without_it_the_state_is_noised_data():
    method = replace(METHOD, num_inference_steps=3, backward_simulation=False)
    roles, batch = nets(), points(8)
    step = next(n for n in range(100) if at(n).key.number("turn") % 3 == 2)
    method.generate(roles, batch, at(step))
    (call,) = roles["student"].asked
    expected = batch.x + levels(method.process, 3, "trig")[2] * drawn("turn", at(step), batch.x)
    assert torch.allclose(call["x_t"], expected)


def test_the_chain_is_the_one_that_is_sampled():
    sampler = replace(METHOD, num_inference_steps=3).sampler()
    assert isinstance(sampler.solver, Consistency) and sampler.num_inference_steps == 3
    assert torch.equal(sampler.grid(METHOD.process), levels(METHOD.process, 3, "trig"))


def test_levels_lie_between_the_shares():
    t = spread_levels(METHOD.process, 10_000, at(), "level time")
    low, high = (0.01 ** (1 / 7) + share * (4 ** (1 / 7) - 0.01 ** (1 / 7)) for share in (0.02, 0.98))
    assert t.min().item() == pytest.approx(low**7, rel=0.02) and t.max().item() == pytest.approx(high**7, rel=0.02)


def test_guidance_is_asked_of_the_teacher_alone():
    roles, batch = nets(), points(8, labelled=True)
    replace(METHOD, guidance_scale=3.0).student_loss(roles, batch, at())
    assert roles["teacher"].asked[0]["guidance"].tolist() == [3.0] * 8
    assert roles["critic"].asked[0]["guidance"] is None and roles["student"].asked[0]["guidance"] is None
    METHOD.student_loss(roles, batch, at())
    assert roles["teacher"].asked[1]["guidance"] is None
    assert all(call["cond"] is batch.y for role in ("teacher", "critic", "student") for call in roles[role].asked)


def test_two_time_scales():
    critic, student = Dmd2(critic_turns=5).updates()
    assert critic.trains == ("critic", "judge") and student.trains == ("student",)
    assert [student.due(step) for step in range(6)] == [True, False, False, False, False, True]
    assert [critic.due(step) for step in range(3)] == [True] * 3 and critic.optimizer.clip == 10.0
    assert [update.trains for update in METHOD.updates()] == [("critic",), ("student",)]


def test_imitation_comes_first_and_hands_over_to_student_and_critic():
    bench = benches.load("gmm2d", width=8, depth=1)
    run = born(bench, Dmd2(imitate=0.5, critic_turns=2), seed=0, steps=8, batch_size=8)
    assert [(act.name, act.steps) for act in run.acts] == [("imitate", 4), ("match", 4)]
    for stepped in train(run, 4):
        assert [one.trains for one in stepped.taken] == [("student",)]
    weights = [run.nets[name].out.weight for name in ("student", "critic")]
    assert torch.equal(*weights) and torch.equal(weights[0], run.averages["student.average"].out.weight)


def test_pictures_are_judged_on_the_critics_bottleneck():
    """The extra head sits on the net's own features, and both are in the first update."""
    net = UNet(widths=(8, 16), seed=0)
    extras = METHOD_WITH_JUDGE.extras(None, net, Samples(torch.zeros(2, 1, 8, 8)))
    critic, judge = speak(extras["critic"], METHOD_WITH_JUDGE.process), extras["judge"]
    x = torch.randn(2, 1, 8, 8, generator=Key(0).generator("x"))
    judge(critic, x, torch.ones(2)).sum().backward()
    assert judge.out.weight.grad.abs().sum() > 0 and extras["critic"].middle.conv1.weight.grad is not None
    assert METHOD.extras(None, net, Samples(torch.zeros(2, 1, 8, 8))).keys() == {"critic"}


METHOD_WITH_JUDGE = Dmd2(Edm(0.01, 4.0))
