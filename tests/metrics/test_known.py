"""Measures against a known law: hand-worked chi-square, closed forms, and failures that must be seen."""

import math

import pytest
import torch

from workbench.benches import load
from workbench.metrics.known import (
    endpoint_error,
    kl,
    kl_gaussians,
    mode_coverage,
    mode_radius,
    negative_log_likelihood,
)
from workbench.teachers.analytic import Mixture

SQUARE = Mixture([[3.0, 3.0], [-3.0, 3.0], [-3.0, -3.0], [3.0, -3.0]], 0.1, None, [0, 1, 0, 1])


def at_modes(*counts):
    return SQUARE.means.float().repeat_interleave(torch.tensor(counts), dim=0)


def test_the_radius_is_four_in_the_plane():
    assert mode_radius(2) == pytest.approx(4, abs=1e-12)
    x = torch.randn(200_000, 8, generator=torch.Generator().manual_seed(0))
    assert (x.norm(dim=1) > mode_radius(8)).double().mean().item() == pytest.approx(math.exp(-8), rel=0.4)


def test_chi_square_by_hand():
    # counts 30 20 25 25 against 25 each: 25/25 + 25/25 = 2, three degrees of freedom: p = 0.572407
    coverage = mode_coverage(at_modes(30, 20, 25, 25), SQUARE)
    assert coverage.p_value == pytest.approx(0.5724067, abs=1e-6)
    assert coverage.masses.tolist() == [0.3, 0.2, 0.25, 0.25] and coverage.hit == 4 and coverage.outside == 0


def test_a_dropped_mode_and_a_bridge_are_seen():
    coverage = mode_coverage(at_modes(50, 50, 50, 0), SQUARE)
    assert coverage.hit == 3 and coverage.p_value < 1e-6
    bridge = torch.cat([at_modes(10, 10, 10, 10), torch.zeros(10, 2) + torch.tensor([0.1, 0.2])])
    assert mode_coverage(bridge, SQUARE).outside == pytest.approx(0.2)
    edge = at_modes(1, 0, 0, 0) + torch.tensor([[0.399, 0.0], [0.401, 0.0]])  # just within and beyond 4 std
    assert mode_coverage(edge, SQUARE).outside == 0.5


def test_classes_set_the_expected_masses():
    x, y = at_modes(30, 0, 20, 0), torch.zeros(50, dtype=torch.long)
    assert mode_coverage(x, SQUARE, y).p_value == pytest.approx(0.1572992, abs=1e-6)  # 25/25 + 25/25 = 2, one degree
    assert mode_coverage(x, SQUARE, y).hit == 2
    assert mode_coverage(x, SQUARE).p_value < 1e-6


def test_samples_that_are_not_finite_are_outside():
    x = at_modes(2, 2, 2, 2)
    x[0], x[1, 0] = math.nan, math.inf
    coverage = mode_coverage(x, SQUARE)
    assert coverage.outside == 0.25 and coverage.masses.sum() == 0.75
    nothing = mode_coverage(torch.full((8, 2), math.nan), SQUARE)
    assert nothing.outside == 1 and nothing.hit == 0 and nothing.p_value == 0


def test_the_nll_of_a_gaussian_is_its_entropy():
    law = Mixture([[1.0, 2.0]], 0.5)
    x, _ = law.sample(20_000, torch.Generator().manual_seed(0))
    assert negative_log_likelihood(x, law) == pytest.approx(math.log(2 * math.pi * 0.25) + 1, abs=0.02)
    assert negative_log_likelihood(torch.tensor([[1.0, 2.0]]), law) == pytest.approx(math.log(2 * math.pi * 0.25))


def test_kl_of_gaussians_by_hand_and_by_monte_carlo():
    # D = 2, stds 0.5 and 1, shift 1: (2 * 0.25 + 1 - 2)/2 + 2 log 2
    exact = -0.25 + 2 * math.log(2)
    zero, eye = torch.zeros(2), torch.eye(2)
    assert kl_gaussians(zero, 0.25 * eye, torch.tensor([1.0, 0.0]), eye) == pytest.approx(exact, abs=1e-12)
    found = kl(Mixture([[0.0, 0.0]], 0.5), Mixture([[1.0, 0.0]], 1.0))
    assert abs(found.mean - exact) < 3 * found.error < 0.05
    assert kl(Mixture([[0.0, 0.0]], 0.5), Mixture([[1.0, 0.0]], 1.0)) == found


def test_kl_of_correlated_gaussians_agrees_with_torch():
    generator = torch.Generator().manual_seed(0)
    roots = torch.randn(2, 3, 3, generator=generator, dtype=torch.float64)
    covariances = roots @ roots.mT + 0.1 * torch.eye(3)
    means = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    laws = [torch.distributions.MultivariateNormal(m, c) for m, c in zip(means, covariances, strict=True)]
    expected = torch.distributions.kl_divergence(*laws).item()
    assert kl_gaussians(means[0], covariances[0], means[1], covariances[1]) == pytest.approx(expected, rel=1e-10)


def test_kl_of_a_mixture_to_one_of_its_halves_is_the_log_of_its_share():
    # modes far apart: log p/q = log(1/4) - log(1/2) on the shared two, hence KL(half || whole) = log 2
    half = Mixture(SQUARE.means[:2], 0.1)
    assert kl(half, SQUARE, count=1000).mean == pytest.approx(math.log(2), abs=1e-6)


def test_endpoint_error_is_a_mean_distance():
    assert endpoint_error(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.zeros(2, 2)) == 2.5
    bench = load("gmm2d")
    noise, _ = bench.start(16, 0)
    assert endpoint_error(bench.endpoints(noise) + 0.3, bench.endpoints(noise)) == pytest.approx(0.3 * math.sqrt(2))
