"""Noise processes against hand-worked values: alpha, sigma, their rates, bounds, and the errors at the border."""

import math

import pytest
import torch

from workbench.noise import PROCESSES, Edm, LinearFlow, TrigFlow, VpCosine, VpLinear, spread

ROOT = math.sqrt(0.5)
BY_HAND = [  # process, t, alpha, sigma, d alpha/dt, d sigma/dt
    (Edm(), 3.0, 1.0, 3.0, 0.0, 1.0),
    (LinearFlow(), 0.25, 0.75, 0.25, -1.0, 1.0),
    (TrigFlow(), math.pi / 4, ROOT, 0.5 * ROOT, -ROOT, 0.5 * ROOT),
    (TrigFlow(sigma_data=2.0), math.pi / 6, math.sqrt(0.75), 1.0, -0.5, 2 * math.sqrt(0.75)),
    (VpCosine(), 1 / 3, math.sqrt(0.75), 0.5, -math.pi / 4, math.pi / 2 * math.sqrt(0.75)),
    # int beta = 0.1 t + 9.95 t^2 = 2.5375 at t = 0.5, beta = 10.05
    (VpLinear(), 0.5, math.exp(-1.26875), math.sqrt(1 - math.exp(-2.5375)), -5.025 * math.exp(-1.26875),
     5.025 * math.exp(-2.5375) / math.sqrt(1 - math.exp(-2.5375))),
]  # fmt: skip


@pytest.mark.parametrize(("process", "t", "alpha", "sigma", "alpha_rate", "sigma_rate"), BY_HAND)
def test_values_by_hand(process, t, alpha, sigma, alpha_rate, sigma_rate):
    at = torch.tensor([t], dtype=torch.float64)
    assert [v.item() for v in process.signal_noise(at)] == pytest.approx([alpha, sigma], rel=1e-12)
    assert [v.item() for v in process.rates(at)] == pytest.approx([alpha_rate, sigma_rate], rel=1e-12)
    assert process.time(*process.signal_noise(at)).item() == pytest.approx(t, rel=1e-12)
    assert process.time(*(7 * v for v in process.signal_noise(at))).item() == pytest.approx(t, rel=1e-12)


@pytest.mark.parametrize("kind", PROCESSES.values())
def test_rates_are_the_derivatives(kind):
    process = kind()
    t = torch.linspace(0.1, 0.95, 9, dtype=torch.float64) * process.t_max
    for index in (0, 1):
        value = process.signal_noise(t.requires_grad_())[index] + 0 * t  # so that Edm's constant has a graph
        (slope,) = torch.autograd.grad(value.sum(), t)
        assert torch.allclose(process.rates(t)[index], slope, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", PROCESSES.values())
def test_equal_bounds_are_equal_noise_levels(kind):
    process = kind(0.01, 20.0, 0.5)
    for t, level in ((process.t_min, 0.01), (process.t_max, 20.0), (process.at_sigma(0.7), 0.7)):
        alpha, sigma = process.signal_noise(torch.tensor(t, dtype=torch.float64))
        assert (sigma / alpha).item() == pytest.approx(level, rel=1e-9)


def test_the_ends_of_the_ranges():
    assert (Edm().t_min, Edm().t_max) == (0.002, 80.0)
    assert (LinearFlow().t_min, LinearFlow().t_max) == (0.0, 1.0)
    assert LinearFlow(0.0, 4.0).t_max == pytest.approx(0.8)
    assert TrigFlow().t_max == pytest.approx(math.atan(160.0))
    assert TrigFlow(sigma_max=math.inf).t_max == pytest.approx(math.pi / 2)
    assert VpCosine(sigma_max=1.0).t_max == pytest.approx(0.5)
    assert VpLinear().t_max == pytest.approx(1.0, abs=1e-3)  # sigma 152 over alpha: beta's integral is 10.05


@pytest.mark.parametrize("kind", PROCESSES.values())
def test_noise_is_added_and_the_prior_is_pure_noise_at_t_max(kind):
    process = kind(0.002, 10.0, 0.5)
    t = torch.tensor([0.0, process.t_max], dtype=torch.float64)
    x0, noise = torch.tensor([[2.0], [2.0]], dtype=torch.float64), torch.tensor([[3.0], [3.0]], dtype=torch.float64)
    (alpha, sigma), x_t = process.signal_noise(t), process.add_noise(x0, t, noise)
    assert x_t[0].item() == 2.0
    assert x_t[1].item() == pytest.approx((2 * alpha[1] + 3 * sigma[1]).item(), rel=1e-14)
    assert process.prior(noise)[1].item() == pytest.approx(3 * sigma[1].item(), rel=1e-14)


def test_a_time_per_frame_is_spread_over_the_rest():
    t = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    x0, noise = torch.zeros(2, 3, 4), torch.ones(2, 3, 4)
    assert spread(t, x0).shape == (2, 3, 1)
    assert torch.equal(Edm().add_noise(x0, t, noise)[..., 0], t)


@pytest.mark.parametrize("kind", PROCESSES.values())
def test_jump_by_hand(kind):
    """Landing at t stays, at 0 is x0, and half way in noise keeps the noise that x0 leaves over."""
    process = kind()
    x0, noise = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = torch.full((5,), 0.6 * process.t_max, dtype=torch.float64)
    x_t = process.add_noise(x0, t, noise)
    assert torch.allclose(process.jump(x_t, t, t, x0), x_t, rtol=1e-14)
    assert torch.allclose(process.jump(x_t, t, 0 * t, x0), x0, atol=1e-13)
    assert torch.allclose(process.jump(x_t, t, 0.4 * t, x0), process.add_noise(x0, 0.4 * t, noise), atol=1e-12)


@pytest.mark.parametrize("kind", PROCESSES.values())
@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan, math.inf])
def test_a_time_out_of_range_is_refused_with_the_range(kind, share):
    process = kind()
    good = torch.tensor([0.0, process.t_max])
    assert process.check(good) is good
    with pytest.raises(ValueError, match=r"t must lie in \[0, .*\] for " + kind.__name__):
        process.check(torch.tensor([0.5 * process.t_max, share * process.t_max]))


@pytest.mark.parametrize("bounds", [(1.0, 1.0), (-0.1, 1.0), (2.0, 1.0)])
def test_bounds_must_be_ordered(bounds):
    with pytest.raises(ValueError, match="sigma_min < sigma_max"):
        Edm(*bounds)


def test_sigma_data_must_be_positive():
    with pytest.raises(ValueError, match="sigma_data must be positive"):
        TrigFlow(sigma_data=0.0)
