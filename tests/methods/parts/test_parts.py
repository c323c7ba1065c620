"""The shared maths by hand: distances, weights, grids, schedules, adversarial losses, pulls, tangents, imitation."""

import math

import pytest
import torch

from tests.methods.fakes import Gaussian, Times, at, drawn, points
from workbench.methods.parts.denoising import denoising, edm_weight
from workbench.methods.parts.distances import DISTANCES, absolute, mean_square, pseudo_huber, square
from workbench.methods.parts.gan import fool, tell_apart
from workbench.methods.parts.grids import levels, log_normal_grid
from workbench.methods.parts.halving import take_over, truncated_snr, two_step_times
from workbench.methods.parts.imitation import after_imitation, go_on, imitation
from workbench.methods.parts.pull import pull, score_difference
from workbench.methods.parts.schedules import cosine, ramped
from workbench.methods.parts.tangent import along
from workbench.methods.score.dmd2 import Dmd2
from workbench.noise import Edm, LinearFlow, TrigFlow, VpCosine

A, B = torch.tensor([[[3.0, 0.0], [0.0, 0.0]]]), torch.tensor([[[0.0, 0.0], [4.0, 0.0]]])  # one 2 x 2 picture each


def test_distances_of_three_and_four():
    c = 0.00054 * 2  # sqrt of four entries
    assert square(A, B).tolist() == [25.0] and absolute(A, B).tolist() == [7.0]
    assert pseudo_huber(A, B).item() == pytest.approx(math.sqrt(25 + c * c) - c, rel=1e-6)
    assert mean_square(A, B).item() == 6.25 and set(DISTANCES) == {"square", "pseudo_huber", "absolute"}


def test_pseudo_huber_is_flat_at_zero_and_a_length_far_away():
    gap = torch.zeros(1, 2, requires_grad=True)
    pseudo_huber(gap, torch.zeros(1, 2)).backward()
    assert gap.grad.tolist() == [[0.0, 0.0]]
    assert pseudo_huber(torch.full((1, 2), 3.0), torch.zeros(1, 2)).item() == pytest.approx(math.sqrt(18), abs=1e-3)


@pytest.mark.parametrize("process", [Edm(), TrigFlow(), VpCosine()])
def test_edms_weight_is_a_function_of_the_noise_level_alone(process):
    """(0.5^2 + 0.5^2) / (0.5 * 0.5)^2 = 8 at sigma = 0.5."""
    t = torch.tensor([process.at_sigma(0.5)], dtype=torch.float64)
    assert edm_weight(process, t).item() == pytest.approx(8.0)
    guess, x0 = torch.full((1, 2, 2), 2.0, dtype=torch.float64), torch.zeros(1, 2, 2, dtype=torch.float64)
    assert denoising(guess, x0, process, t).item() == pytest.approx(8 * 16 / 4)


def test_softplus_losses():
    real, fake = torch.tensor([0.0, 1.0]), torch.tensor([2.0, -1.0])

    def soft(value):
        return math.log1p(math.exp(value))

    assert tell_apart(real, fake).item() == pytest.approx((soft(0) + soft(-1) + soft(2) + soft(-1)) / 2)
    assert fool(fake).item() == pytest.approx((soft(-2) + soft(1)) / 2)
    assert torch.isfinite(tell_apart(torch.tensor([-1e4]), torch.tensor([1e4])))


def test_a_pull_has_the_gradient_it_is_given():
    x, g = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x.requires_grad_()
    loss = pull(x, g)
    loss.backward()
    assert torch.allclose(x.grad, g / 6, rtol=1e-12)
    assert loss.item() == pytest.approx(0.5 * g.square().mean().item())


def test_the_score_difference_is_scaled_per_sample():
    x, real = torch.tensor([[1.0, 3.0], [0.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    fake = torch.tensor([[2.0, 1.0], [1.0, 0.0]])
    assert score_difference(x, real, fake)[0].tolist() == pytest.approx([2 / 1.5, 0.0])
    assert score_difference(x, real, fake)[1].tolist() == pytest.approx([1e5, 0.0])  # the scale is kept from 0


def test_cosine_warms_up_and_falls_to_its_floor():
    rate = cosine(2.0, warmup=0.1, floor=0.01)
    assert [rate(at(k, 100)) for k in (0, 9)] == pytest.approx([2 / 11, 2 * 10 / 11])
    assert rate(at(10, 100)) == pytest.approx(2.0)
    assert rate(at(55, 100)) == pytest.approx(2 * (0.01 + 0.99 * 0.5))
    assert rate(at(9_999, 10_000)) == pytest.approx(0.02, rel=1e-3)


def test_a_ramped_average_forgets_its_start():
    assert [ramped(0.9)(at(k, 1000)) for k in (0, 10, 90)] == pytest.approx([0.1, 11 / 20, 0.9])


def test_levels_are_kept_and_fall_from_t_max_to_zero():
    grid = levels(Edm(0.01, 4.0), 3)
    assert grid is levels(Edm(0.01, 4.0), 3) and grid[0].item() == 4.0 and grid[-1].item() == 0.0
    assert levels(LinearFlow(), 4, "uniform").tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_a_log_normal_grid_far_from_its_levels_has_still_a_law():
    _, _, cumulated = log_normal_grid(Edm(), 11, 40.0, 0.1)
    assert torch.isfinite(cumulated).all() and cumulated[-1].item() == pytest.approx(1.0)


def test_the_truncated_snr_is_kept_between_one_and_its_cap():
    t = torch.tensor([0.25, 0.5, 0.75, 1e-4])
    assert truncated_snr(LinearFlow(), t).tolist() == pytest.approx([9.0, 1.0, 1.0, 1e4])


def test_strides_and_their_middles():
    t, m, s = two_step_times(LinearFlow(), 4, 1000, at())
    assert set(t.tolist()) == {1.0, 0.75, 0.5, 0.25}
    assert torch.allclose(t - m, torch.full_like(t, 0.125)) and torch.allclose(t - s, torch.full_like(t, 0.25))


def test_taking_over_copies_the_average_to_student_and_guide():
    roles = {"student": Times(1.0), "previous": Times(2.0), "student.average": Times(3.0)}
    take_over(roles)
    assert [float(net.a.detach()) for net in roles.values()] == [3.0, 3.0, 3.0]


def test_the_derivative_along_a_direction():
    """d/de of (x + e dx)^2 (t + e dt) at x = 3, t = 2, dx = 1, dt = -1: 2 * 3 * 2 - 9 = 3."""
    def net(x, t):
        return x**2 * t[:, None]

    x, t, one = torch.tensor([[3.0]]).double(), torch.tensor([2.0]).double(), torch.ones(1, 1).double()
    for how in ("jvp", "difference"):
        value, slope = along(net, x, t, one, -one[:, 0], how)
        assert value.item() == 18 and slope.item() == pytest.approx(3.0, abs=1e-5) and not slope.requires_grad


def test_imitation_is_weighted_regression_of_the_teacher():
    method, batch, now = Dmd2(Edm(0.01, 4.0), imitate=0.5), points(), at()
    (update,) = imitation(method, 0.9)
    loss = update.loss({"teacher": Gaussian(), "student": Times(0.7)}, batch, now)
    t = loss.seen["t"]
    x_t = batch.x + t[:, None] * drawn("noise", now, batch.x)
    gap = (0.7 * x_t - x_t / (1 + t[:, None] ** 2)).square().mean(1)
    expected = ((t**2 + 0.25) / (0.5 * t) ** 2 * gap).mean()
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-5) and update.trains == ("student",)


def test_imitation_is_an_act_only_where_it_is_asked_for():
    enter = go_on("student", "critic")
    first, last = after_imitation(Dmd2(imitate=0.25), 8, "match", enter)
    assert (first.name, first.steps, first.method.stage, first.enter) == ("imitate", 2, "imitate", None)
    assert (last.name, last.steps, last.method.stage, last.enter) == ("match", 6, "match", enter)
    (alone,) = after_imitation(Dmd2(), 8, "match", enter)
    assert (alone.steps, alone.enter) == (8, None)
    roles = {"student": Times(1.0), "critic": Times(2.0), "student.average": Times(3.0)}
    enter(roles)
    assert float(roles["critic"].a.detach()) == float(roles["student"].a.detach()) == 3.0
