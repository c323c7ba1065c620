"""Continuous-time consistency by hand: F = a x, whose tangent is a dx; weights, warm-up, normalisation."""

import math
from dataclasses import replace

import pytest
import torch

from tests.methods.fakes import Flat, Gaussian, Times, at, drawn, points
from workbench.methods.steps.continuous_consistency import ContinuousConsistency
from workbench.noise import TrigFlow, speak
from workbench.papers.identities import continuous_consistency as identities

PROCESS = TrigFlow(0.01, 20.0, 0.5)
BARE = ContinuousConsistency(PROCESS, tangent_norm=0.0, tangent_warmup=0.0)
A, B = 0.7, -0.3  # F of the student and of the teacher per x


class Velocity(Times):
    """F = a x in TrigFlow."""

    form = "F"


def asked(method, now=None, lv=0.0):
    now, batch = now or at(), points()
    roles = {"teacher": Velocity(B, PROCESS), "student": Velocity(A, PROCESS), "uncertainty": Flat(lv)}
    return method.loss(roles, batch, now), roles, batch, now


def tangent(x, t, dx, r):
    """g = -cos^2 (sd F - dx) - r cos sin (x + sd dF/dt), dF/dt = a dx for F = a x."""
    cos, sin, sd = torch.cos(t)[:, None], torch.sin(t)[:, None], 0.5
    return -cos * cos * (sd * A * x - dx) - r * cos * sin * (x + sd * A * dx)


@pytest.mark.parametrize(("warmup", "step", "r"), [(0.0, 0, 1.0), (0.1, 0, 0.0), (0.1, 5, 0.5), (0.1, 50, 1.0)])
def test_the_tangent_by_hand_and_its_warm_up(warmup, step, r):
    loss, *_ = asked(replace(BARE, tangent_warmup=warmup), at(step))
    x, t = loss.seen["x_t"], loss.seen["t"]
    assert torch.allclose(loss.seen["guess"], A * x, rtol=1e-12)
    assert torch.allclose(loss.seen["target"] - A * x, tangent(x, t, 0.5 * B * x, r), atol=1e-6)


def test_without_a_teacher_the_datas_own_velocity_is_taken():
    loss, roles, batch, now = asked(replace(BARE, distil=False))
    x, t, noise = loss.seen["x_t"], loss.seen["t"], drawn("noise", at(), points().x)
    dx = 0.5 * torch.cos(t)[:, None] * noise - torch.sin(t)[:, None] * batch.x
    assert roles["teacher"].asked == []
    assert torch.allclose(loss.seen["target"] - A * x, tangent(x, t, dx, 1.0), atol=1e-6)


def test_normalising_keeps_the_direction_and_bounds_the_size():
    """g / (|g| + c), |g| the root mean square over entries: c = 0.1 as in the paper."""
    bare, *_ = asked(BARE)
    normed, *_ = asked(replace(BARE, tangent_norm=0.1))
    g, n = (loss.seen["target"] - loss.seen["guess"].detach() for loss in (bare, normed))
    size = g.square().mean(1, keepdim=True).sqrt()
    assert torch.allclose(n, g / (size + 0.1), rtol=1e-9) and n.square().mean(1).sqrt().max() < 1


@pytest.mark.parametrize("lv", [0.0, 0.4])
def test_the_loss_is_weighted_by_the_learned_variance(lv):
    """mean of e^-lv |F - F_sg - g|^2 / D + lv."""
    loss, roles, *_ = asked(BARE, lv=lv)
    gap = (loss.seen["guess"] - loss.seen["target"]).square().mean(1)
    assert loss.total.item() == pytest.approx((math.exp(-lv) * gap + lv).mean().item(), rel=1e-6)
    loss.total.backward()
    assert roles["uncertainty"].value.grad.item() == pytest.approx(1 - math.exp(-lv) * gap.mean().item(), rel=1e-5)


def test_the_gradient_is_that_of_the_guess_alone():
    """d/da of |a x - sg|^2 / D is -2 g . x / D."""
    loss, roles, *_ = asked(BARE)
    loss.total.backward()
    expected = (2 * (loss.seen["guess"] - loss.seen["target"]) * loss.seen["x_t"]).mean()
    assert roles["student"].a.grad.item() == pytest.approx(expected.item(), rel=1e-6)
    assert roles["teacher"].a.grad is None


def test_times_follow_the_log_normal_law():
    loss = replace(BARE, mean=-0.5, std=0.8).loss(
        {"teacher": Velocity(B, PROCESS), "student": Velocity(A, PROCESS), "uncertainty": Flat()}, points(20_000), at())
    logs = torch.log(0.5 * torch.tan(loss.seen["t"].double()))
    assert logs.mean().item() == pytest.approx(-0.5, abs=5 * 0.8 / 20_000**0.5)
    assert logs.std().item() == pytest.approx(0.8, abs=5 * 0.8 / 40_000**0.5)


def test_labels_reach_teacher_and_student():
    batch = points(labelled=True)
    roles = {"teacher": Velocity(B, PROCESS), "student": Velocity(A, PROCESS), "uncertainty": Flat()}
    BARE.loss(roles, batch, at())
    assert all(call["cond"] is batch.y for net in ("teacher", "student") for call in roles[net].asked)


def test_a_difference_stands_in_for_forward_mode():
    """For F = a x the central difference is exact; for a curved teacher field too, as F alone is differenced."""
    exact, *_ = asked(BARE)
    near, *_ = asked(replace(BARE, tangent="difference"))
    assert torch.allclose(exact.seen["target"], near.seen["target"], atol=1e-9)


def test_the_identities():
    assert identities.jvp_is_the_difference() < 1e-6
    assert identities.tangent_formula() < 1e-4
    assert identities.warm_up() < 1e-6


def test_a_gaussians_exact_map_has_no_tangent():
    """Data N(0.7, 0.4^2): the endpoint is a closed form, so the floor is that of fp32 times alone."""
    teacher = Gaussian(0.4, 0.7)

    class Endpoint(Gaussian):
        def told(self, x_t, t, cond):
            return self.mean + self.deviation / torch.sqrt(self.deviation**2 + t**2)[:, None] * (x_t - self.mean)

    roles = {"teacher": speak(teacher, PROCESS, "F"), "uncertainty": Flat(),
             "student": speak(Endpoint(0.4, 0.7), PROCESS, "F")}  # fmt: skip
    seen = BARE.loss(roles, points(), at()).seen
    assert (seen["target"] - seen["guess"]).abs().max() < 5e-5
    assert (seen["target"] - seen["guess"]).abs().mean() < 1e-6
    roles["student"] = roles["teacher"]  # the control: a denoiser is no consistency function
    seen = BARE.loss(roles, points(), at()).seen
    assert (seen["target"] - seen["guess"]).abs().mean() > 1e-2


def test_two_nets_learn_together():
    (update,) = BARE.updates()
    assert update.trains == ("student", "uncertainty")
