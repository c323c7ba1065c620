"""Discrete schedules made continuous: exact at their timesteps, invertible between, differentiable forward."""

import math

import pytest
import torch

from workbench.noise import Edm, Spoken, TrigFlow, VpTable

KINDS = [VpTable(), VpTable(beta_schedule="linear", beta_start=1e-4, beta_end=0.02), VpTable(zero_terminal_snr=True),
         VpTable(beta_schedule="squaredcos_cap_v2"), VpTable(betas=(0.1, 0.2, 0.4))]


def test_alphas_are_the_products_of_one_minus_beta():
    """betas 0.1, 0.2, 0.4: alpha^2 = 0.9, 0.72, 0.432 at timesteps 0, 1, 2."""
    alpha, sigma = VpTable(betas=(0.1, 0.2, 0.4)).signal_noise(torch.arange(4, dtype=torch.float64))
    assert torch.allclose(alpha**2, torch.tensor([1.0, 0.9, 0.72, 0.432], dtype=torch.float64), atol=1e-12)
    assert torch.allclose(alpha**2 + sigma**2, torch.ones(4, dtype=torch.float64), atol=1e-12)


def test_sd_schedule_ends_where_it_is_known_to():
    """Stable Diffusion's noise levels run from 0.0292 to 14.6146 (k-diffusion)."""
    process = VpTable()
    assert process.sigma_min == pytest.approx(0.029167, abs=1e-6)
    assert process.sigma_max == pytest.approx(14.6146, abs=1e-4)
    assert process.t_max == 1000


def test_zero_terminal_snr_is_pure_noise_at_last_and_unchanged_at_first():
    """2305.08891, alg. 1."""
    process, plain = VpTable(zero_terminal_snr=True), VpTable()
    ends = torch.tensor([1.0, 1000.0], dtype=torch.float64)
    alpha, sigma = process.signal_noise(ends)
    assert alpha[1].abs() < 1e-12 and sigma[1] == 1 and math.isinf(process.sigma_max)
    assert alpha[0] == pytest.approx(float(plain.signal_noise(ends)[0][0]), abs=1e-12)


@pytest.mark.parametrize("process", KINDS, ids=lambda one: one.beta_schedule)
def test_time_inverts_the_level(process):
    t = torch.linspace(0, process.t_max, 997, dtype=torch.float64)
    assert torch.allclose(process.time(*process.signal_noise(t)), t, atol=1e-9 * process.t_max)
    single = process.time(*process.signal_noise(t.float()))
    assert (single - t).abs().max() < 2e-2  # in fp32 pure noise is known to 1e-7 of its angle


@pytest.mark.parametrize("process", KINDS, ids=lambda one: one.beta_schedule)
def test_rates_are_the_derivatives(process):
    t = torch.linspace(0.3, process.t_max - 0.3, 7, dtype=torch.float64).round() + 0.25
    t = t.clamp(max=process.t_max - 0.2)
    step, rates = 1e-4, process.rates(t)
    for rate, ahead, behind in zip(rates, process.signal_noise(t + step), process.signal_noise(t - step), strict=True):
        assert torch.allclose(rate, (ahead - behind) / (2 * step), atol=1e-8)


class Says(torch.nn.Module):
    process, form = VpTable(), "eps"

    def forward(self, x, t, s=None, cond=None, guidance=None):
        return torch.sin(0.01 * t)[:, None] * x


def test_a_net_of_the_table_has_a_tangent_elsewhere():
    """Forward mode through the change of time, against a central difference, in fp64."""
    net = Spoken(Says(), TrigFlow(0.03, 14.0, 1.0), "F")
    x, t = torch.randn(5, 2, dtype=torch.float64), torch.linspace(0.2, 1.4, 5, dtype=torch.float64)
    _, slope = torch.func.jvp(net, (x, t), (torch.zeros_like(x), torch.ones_like(t)))
    step = 1e-6
    assert torch.allclose(slope, (net(x, t + step) - net(x, t - step)) / (2 * step), atol=1e-5)


def test_bad_schedules_are_refused():
    with pytest.raises(ValueError, match="scaled_linear"):
        VpTable(beta_schedule="cubic")
    with pytest.raises(ValueError, match="t must lie in"):
        VpTable().check(torch.tensor([1001.0]))


def test_the_same_level_elsewhere():
    process, edm = VpTable(), Edm(0.03, 14.6, 1.0)
    t = process.time(torch.ones(3), torch.tensor([0.1, 1.0, 10.0]))
    alpha, sigma = process.signal_noise(t)
    assert torch.allclose(sigma / alpha, edm.signal_noise(torch.tensor([0.1, 1.0, 10.0]))[1], rtol=1e-4)
