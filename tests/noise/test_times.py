"""Grids and laws of noise levels: end points, spacing, and densities."""

import math

import pytest
import torch

from workbench.noise import PROCESSES, Edm, LinearFlow, TrigFlow, VpCosine
from workbench.noise.times import SPACINGS, from_sigma, karras, karras_sigmas, log_normal, log_snr, trig, uniform
from workbench.noise.times import uniform_time as uniformly
from workbench.randomness import Key


@pytest.mark.parametrize("kind", PROCESSES.values())
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [1, 2, 18])
def test_grids_fall_from_t_max_to_zero(kind, spacing, steps):
    process = kind(0.002, 80.0, 0.5)
    grid = SPACINGS[spacing](process, steps)
    assert grid.shape == (steps + 1,) and grid.dtype == torch.float32
    assert grid[0].item() == pytest.approx(process.t_max, rel=1e-6) and grid[-1].item() == 0
    assert bool((grid[1:] < grid[:-1]).all())


def test_karras_levels_by_hand():
    """EDM eq. 5 at three steps: the middle is ((80^(1/7) + 0.002^(1/7)) / 2)^7 = 2.5152..."""
    middle = ((80 ** (1 / 7) + 0.002 ** (1 / 7)) / 2) ** 7
    assert karras_sigmas(Edm(), 3).tolist() == pytest.approx([80.0, middle, 0.002], rel=1e-12)
    assert middle == pytest.approx(2.5152, abs=1e-3)
    assert karras_sigmas(Edm(), 1).tolist() == pytest.approx([80.0])


@pytest.mark.parametrize("kind", PROCESSES.values())
def test_karras_and_log_snr_are_the_same_levels_in_every_process(kind):
    process = kind(0.002, 80.0, 0.5)
    for spacing in (karras, log_snr, trig):
        alpha, sigma = process.signal_noise(spacing(process, 6)[:-1].double())
        assert torch.allclose(sigma / alpha, spacing(Edm(), 6)[:-1].double(), rtol=2e-4)  # times are fp32


def test_uniform_log_snr_and_trig_are_even_in_their_own_measure():
    assert uniform(LinearFlow(), 4).tolist() == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])
    levels = log_snr(Edm(), 5)[:-1].log()
    assert torch.allclose(levels[1:] - levels[:-1], torch.full((4,), math.log(0.002 / 80) / 4), rtol=1e-5)
    assert torch.allclose(trig(TrigFlow(), 3), TrigFlow().t_max * torch.tensor([1, 2 / 3, 1 / 3, 0]), rtol=1e-6)


def test_endless_processes_have_grids_too():
    for spacing in SPACINGS.values():
        assert bool(torch.isfinite(spacing(LinearFlow(), 8)).all())


def test_log_normal_has_its_density():
    """Shares of 200,000 draws between quantiles of N(-1.2, 1.2^2), within five standard errors of the normal's."""
    process, count = TrigFlow(1e-6, 1e6), 200_000
    t = log_normal(process, count, Key(0).generator("time"))
    logs = torch.log(process.sigma_data * torch.tan(t.double()))
    edges = torch.linspace(-4.0, 1.6, 15, dtype=torch.float64)
    below = 0.5 * (1 + torch.erf((edges + 1.2) / (1.2 * math.sqrt(2))))
    found = torch.stack([(logs < edge).double().mean() for edge in edges])
    assert bool(((found - below).abs() < 5 * torch.sqrt(below * (1 - below) / count)).all())


def test_log_normal_is_cut_at_the_bounds_and_shaped_by_mean_and_std():
    t = log_normal(Edm(0.5, 1.0), 1000, Key(0).generator("time"))
    assert t.min().item() == 0.5 and t.max().item() == 1.0
    narrow = log_normal(Edm(), 1000, Key(0).generator("time"), mean=0.7, std=1e-3)
    assert narrow.log().mean().item() == pytest.approx(0.7, abs=1e-3)


def test_uniform_times_lie_between_the_shares():
    t = uniformly(VpCosine(sigma_max=math.inf), 20_000, Key(0).generator("time"), 0.25, 0.75)
    assert 0.25 <= t.min().item() < 0.2501 and 0.7499 < t.max().item() <= 0.75
    assert t.mean().item() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(12 * 20_000))


def test_from_sigma_names_the_level():
    sigma = torch.tensor([0.1, 1.0, 9.0], dtype=torch.float64)
    assert from_sigma(Edm(), sigma).tolist() == sigma.tolist()
    assert from_sigma(LinearFlow(), sigma).tolist() == pytest.approx([0.1 / 1.1, 0.5, 0.9])
