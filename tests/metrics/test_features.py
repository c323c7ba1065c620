"""Feature metrics against closed forms, hand-worked sets, and the two extremes: identical and disjoint."""

import math

import pytest
import torch

from workbench.metrics.features import density_coverage, frechet, frechet_gaussians, precision_recall

LINE = torch.tensor([[0.0], [1.0], [3.0], [6.0]])  # gaps 1, 2, 3


def test_frechet_of_gaussians_that_commute_is_the_distance_of_means_and_roots():
    a, b = torch.tensor([4.0, 9.0, 1.0]), torch.tensor([1.0, 16.0, 1.0])
    mean = torch.tensor([1.0, 2.0, -2.0])
    by_hand = 1 + 4 + 4 + (2 - 1) ** 2 + (3 - 4) ** 2
    assert frechet_gaussians(mean, a.diag(), torch.zeros(3), b.diag()) == pytest.approx(by_hand, rel=1e-12)


def test_frechet_of_gaussians_that_do_not_commute():
    """In two dimensions tr (A B)^(1/2) = sqrt(tr AB + 2 sqrt(det AB)), so the distance has a closed form."""
    a, b = torch.tensor([[2.0, 1.0], [1.0, 3.0]]).double(), torch.tensor([[5.0, -2.0], [-2.0, 1.0]]).double()
    product = a @ b
    root = math.sqrt(product.trace() + 2 * math.sqrt(product.det()))
    by_hand = 5.0 + 6.0 - 2 * root
    assert frechet_gaussians(torch.zeros(2), a, torch.zeros(2), b) == pytest.approx(by_hand, rel=1e-12)


def test_frechet_agrees_with_scipy_on_samples():
    import numpy as np
    from scipy.linalg import sqrtm

    generator = torch.Generator().manual_seed(0)
    a = torch.randn(200, 6, generator=generator) @ torch.randn(6, 6, generator=generator)
    b = torch.randn(300, 6, generator=generator) + 0.3
    one, two = np.cov(a.double().numpy().T), np.cov(b.double().numpy().T)
    shift = (a.double().mean(0) - b.double().mean(0)).square().sum().item()
    assert frechet(a, b) == pytest.approx(shift + np.trace(one + two - 2 * sqrtm(one @ two).real), rel=1e-8)


def test_frechet_of_a_set_with_itself_is_zero_and_with_its_shift_the_square():
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)).double()
    assert frechet(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet(x, x + torch.tensor([3.0, 0, 0, 4.0])) == pytest.approx(25, rel=1e-9)
    assert frechet(x[:3], x[:3] + 1) == pytest.approx(4, rel=1e-6)  # singular covariances: fewer points than dimensions


def test_precision_and_recall_by_hand():
    """One neighbour: real balls [-1, 1], [0, 2], [1, 5], [3, 9]; generated {2, 10, 11} reach 8, 1, 1."""
    generated = torch.tensor([[2.0], [10.0], [11.0]])
    precision, recall = precision_recall(LINE, generated, neighbours=1)
    assert precision == pytest.approx(1 / 3)  # 2 lies in a ball, 10 and 11 in none
    assert recall == 1.0  # [-6, 10] holds all
    precision, recall = precision_recall(LINE, torch.tensor([[2.5], [3.5], [20.0]]), neighbours=1)
    assert (precision, recall) == (pytest.approx(2 / 3), pytest.approx(2 / 4))  # [1.5, 3.5], [2.5, 4.5], [3.5, 36.5]


def test_density_and_coverage_by_hand():
    """Two neighbours: real reaches 3, 2, 3, 5, balls [-3, 3], [-1, 3], [0, 6], [1, 11]."""
    density, coverage = density_coverage(LINE, torch.tensor([[-2.0], [2.0], [12.0]]), neighbours=2)
    assert density == pytest.approx((1 + 4 + 0) / (2 * 3))
    assert coverage == 1.0
    density, coverage = density_coverage(LINE, torch.tensor([[-2.0], [-2.5]]), neighbours=2)
    assert (density, coverage) == (pytest.approx(1 / 2), pytest.approx(1 / 4))


def test_identical_and_disjoint_sets():
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    assert precision_recall(x, x) == (1.0, 1.0)
    density, coverage = density_coverage(x, x, neighbours=5)
    assert coverage == 1.0 and density == pytest.approx(6 / 5)  # each ball holds its centre and 5 neighbours
    assert precision_recall(x, x + 100) == (0.0, 0.0)
    assert density_coverage(x, x + 100) == (0.0, 0.0)


def test_dropping_a_mode_costs_recall_and_coverage_but_not_precision():
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(100, 2, generator=generator), torch.randn(100, 2, generator=generator) + 50
    real, generated = torch.cat([left, right]), torch.randn(200, 2, generator=generator)
    precision, recall = precision_recall(real, generated)
    _, coverage = density_coverage(real, generated)
    assert precision > 0.9 and 0.4 < recall <= 0.5 and 0.4 < coverage <= 0.5


def test_a_large_offset_does_not_cost_digits():
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0)).double()
    y = torch.randn(60, 4, generator=torch.Generator().manual_seed(1)).double()
    assert precision_recall(x + 1e6, y + 1e6) == precision_recall(x, y)
    assert frechet(x + 1e6, y + 1e6) == pytest.approx(frechet(x, y), rel=1e-6)


def test_sets_that_cannot_be_compared_are_refused():
    x = torch.randn(10, 3)
    with pytest.raises(ValueError, match="3 and of 2 dimensions"):
        frechet(x, torch.randn(10, 2))
    with pytest.raises(ValueError, match="need \\(N, D\\) with N >= 4"):
        precision_recall(x, x[:3], neighbours=3)
    with pytest.raises(ValueError, match="NaN or infinity"):
        density_coverage(x, torch.full((10, 3), float("nan")))
