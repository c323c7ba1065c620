"""The integrator behind exact flow maps: fourth order, both directions, no step where there is nothing to go."""

import pytest
import torch

from workbench.teachers.flow import transport

X = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)
STD = 0.3


def gaussian(x, sigma):
    """dx/dsigma of a centred Gaussian of width STD: x moves as sqrt(STD^2 + sigma^2)."""
    return (sigma / (STD**2 + sigma**2))[:, None] * x


def error(step, t, s):
    exact = X * torch.sqrt((STD**2 + s**2) / (STD**2 + t**2))[:, None]
    return (transport(gaussian, X, t, s, scale=0.1, step=step) - exact).abs().max().item()


def test_halving_the_step_divides_the_error_by_sixteen():
    t, s = torch.tensor([8.0, 5.0], dtype=torch.float64), torch.tensor([0.0, 0.01], dtype=torch.float64)
    assert error(0.1, t, s) / error(0.05, t, s) == pytest.approx(16, rel=0.25)
    assert error(0.02, t, s) < 1e-7 and error(0.02, s, t) < 1e-5


def test_each_sample_has_its_own_times_and_equal_times_stay():
    t, s = torch.tensor([4.0, 2.0], dtype=torch.float64), torch.tensor([4.0, 0.5], dtype=torch.float64)
    landed = transport(gaussian, X, t, s, scale=0.1)
    assert torch.equal(landed[0], X[0]) and not torch.allclose(landed[1], X[1])
    assert torch.equal(transport(gaussian, X, t, t, scale=0.1), X)
