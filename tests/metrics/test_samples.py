"""Sample distances against hand-worked numbers and closed forms."""

import math

import pytest
import torch

from workbench.metrics import samples
from workbench.metrics.samples import energy_distance, mmd, pair_mean, sliced_wasserstein


def normal(count, dim=1, seed=0):
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


def folded(mean, variance):
    """E|Z| for Z normal."""
    std = math.sqrt(variance)
    return std * math.sqrt(2 / math.pi) * math.exp(-(mean**2) / (2 * variance)) + mean * math.erf(mean / std / 2**0.5)


def test_energy_distance_by_hand():
    # E|X-Y| = (0 + 3 + 1 + 2)/4, E|X-X'| = 1, E|Y-Y'| = 3
    assert energy_distance(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [3.0]])) == pytest.approx(3 - 1 - 3)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.7, 1.0), (0.0, 2.0), (1.5, 0.5)])
def test_energy_distance_of_two_gaussians_on_a_line(shift, scale):
    exact = 2 * folded(shift, 1 + scale**2) - 2 / math.sqrt(math.pi) - 2 * scale / math.sqrt(math.pi)
    found = energy_distance(normal(4000, seed=1), shift + scale * normal(4000, seed=2))
    assert found == pytest.approx(exact, abs=0.01 + 0.05 * exact)


def test_energy_distance_is_unbiased_under_equal_laws():
    values = torch.tensor([energy_distance(normal(100, 2, seed), normal(100, 2, 1000 + seed)) for seed in range(50)])
    assert abs(values.mean()) < 3 * values.std() / math.sqrt(50) and values.min() < 0 < values.max()


def test_a_known_mean_within_gives_the_same_number():
    x, y = normal(300, 3), normal(200, 3, 1) + 1
    assert energy_distance(x, y, pair_mean(y, y, same=True)) == energy_distance(x, y)


@pytest.mark.parametrize("dim", [2, 20])
@pytest.mark.parametrize("chunk", [1, 1000, 1 << 20])
def test_blocks_do_not_change_the_mean(monkeypatch, dim, chunk):
    x, y = 50 + normal(70, dim), 50 + normal(90, dim, 1)
    monkeypatch.setattr(samples, "CHUNK", chunk)
    direct = torch.tensor([[(a - b).norm().item() for b in y] for a in x], dtype=torch.float64)
    assert pair_mean(x, y) == pytest.approx(direct.mean().item(), rel=1e-5)
    within = torch.tensor([(a - b).norm().item() for i, a in enumerate(x) for b in x[:i]], dtype=torch.float64)
    assert pair_mean(x, x, same=True) == pytest.approx(within.mean().item(), rel=1e-5)


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_mmd_of_two_gaussians_in_the_plane(shift):
    # E exp(-|X - Y|^2 / 2b^2) = (b^2 / (b^2 + v))^(D/2) exp(-|shift|^2 / (2 (b^2 + v))), v the summed variance
    def mean_kernel(b, variance, shift=0.0):
        return b**2 / (b**2 + variance) * math.exp(-(shift**2) / (2 * (b**2 + variance)))

    exact = sum(mean_kernel(b, 2) + mean_kernel(b, 0.5) - 2 * mean_kernel(b, 1.25, shift) for b in (0.5, 1.0)) / 2
    x, y = normal(3000, 2, 1), 0.5 * normal(3000, 2, 2) + torch.tensor([shift, 0.0])
    assert mmd(x, y, bandwidths=(0.5, 1.0)) == pytest.approx(exact, abs=0.01)


def test_mmd_by_hand_and_with_its_median_bandwidth():
    # kernels at bandwidth 1: within x exp(-1/2), within y exp(-9/2), across (1 + e^-4.5 + e^-0.5 + e^-2)/4
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [3.0]])
    across = (1 + math.exp(-4.5) + math.exp(-0.5) + math.exp(-2)) / 4
    assert mmd(x, y, (1.0,)) == pytest.approx(math.exp(-0.5) + math.exp(-4.5) - 2 * across, abs=1e-6)
    x, y = normal(500, 2, 1), normal(500, 2, 2)
    median = torch.pdist(y).median().item()
    assert mmd(x, y) == pytest.approx(mmd(x, y, (0.5 * median, median, 2 * median)), abs=1e-7)


def test_sliced_wasserstein_of_a_shift_is_its_length_over_root_dim():
    # every direction u sees W2 = |<u, shift>|, and E<u, shift>^2 = |shift|^2 / D
    x = normal(200, 3)
    for length in (0.5, 2.0):
        shift = length * torch.tensor([2.0, -1.0, 2.0]) / 3
        assert sliced_wasserstein(x, x + shift, projections=1000) == pytest.approx(length / math.sqrt(3), rel=0.05)
    assert sliced_wasserstein(x, x) == 0


def test_sliced_wasserstein_on_a_line_is_wasserstein():
    # Gaussians: W2^2 = shift^2 + (std difference)^2
    x, y = normal(20_000, seed=1), 1 + 2 * normal(20_000, seed=2)
    assert sliced_wasserstein(x, y, projections=2) == pytest.approx(math.sqrt(2), rel=0.03)


@pytest.mark.parametrize("distance", [energy_distance, mmd, sliced_wasserstein])
def test_sets_that_do_not_match_are_refused(distance):
    with pytest.raises(ValueError, match="one shape"):
        distance(torch.zeros(5, 2), torch.zeros(5, 3))
    with pytest.raises(ValueError, match="at least 2"):
        distance(torch.zeros(1, 2), torch.zeros(5, 2))
