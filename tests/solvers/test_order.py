"""Every solver against exact solutions: the order of its error, in every process, with a Gaussian whose truth is known.

Data N(MEAN, DEVIATION^2): the denoiser's mean, the ODE's flow and its two-time map are closed forms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from workbench.noise import Edm, LinearFlow, Process, TrigFlow, VpCosine, VpLinear, spread
from workbench.randomness import Key
from workbench.solvers import SOLVERS, Ancestral, Consistency, DpmPlusPlus, Euler, FlowMap, Gamma, Heun, sample, walk

MEAN, DEVIATION = 0.7, 0.4
PROCESSES = [Edm(), LinearFlow(), TrigFlow(), VpCosine(), VpLinear()]
ENDLESS = [LinearFlow(), TrigFlow(sigma_max=math.inf), VpCosine(sigma_max=math.inf)]  # t_max is pure noise


def named(value: object) -> str:
    return type(value).__name__


def marginal(process: Process, t: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of x_t."""
    alpha, sigma = process.signal_noise(t)
    return alpha * MEAN, torch.sqrt(alpha**2 * DEVIATION**2 + sigma**2)


def flow(process: Process, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """The ODE's exact solution at s from x_t at t: the standardised state stays."""
    (mean, deviation), (mean_s, deviation_s) = marginal(process, spread(t, x_t)), marginal(process, spread(s, x_t))
    return mean_s + deviation_s / deviation * (x_t - mean)


@dataclass
class Denoiser:
    """E[x0 | x_t], exactly."""

    process: Process
    form: str = "x0"

    def __call__(self, x_t, t, s=None, cond=None, guidance=None):
        alpha, sigma = self.process.signal_noise(spread(t, x_t))
        gain = alpha * DEVIATION**2 / (alpha**2 * DEVIATION**2 + sigma**2)
        return MEAN + gain * (x_t - alpha * MEAN)


@dataclass
class ExactMap:
    """The pointer whose jump is the exact flow to s; without s, the flow to 0 (an exact consistency function)."""

    process: Process
    form: str = "x0"

    def __call__(self, x_t, t, s=None, cond=None, guidance=None):
        s = torch.zeros_like(t) if s is None else s
        (alpha, sigma), (alpha_s, sigma_s) = map(self.process.signal_noise, (spread(t, x_t), spread(s, x_t)))
        ratio = sigma_s / sigma
        return (flow(self.process, x_t, t, s) - ratio * x_t) / (alpha_s - ratio * alpha)


def levels(process: Process, steps: int, high: float = 8.0, low: float = 0.1) -> Tensor:
    """(steps + 1,) times in fp64, even in log(sigma), ending above 0 so that the error has a smooth expansion."""
    sigma = torch.linspace(math.log(high), math.log(low), steps + 1, dtype=torch.float64).exp()
    return process.time(torch.ones_like(sigma), sigma)


def ends(process: Process, times: Tensor) -> Tensor:
    """Three states at times[0], one mean and two deviations aside."""
    mean, deviation = marginal(process, times[0])
    return mean + deviation * torch.tensor([[-2.0], [0.5], [2.0]], dtype=torch.float64)


def measured_order(error, counts: tuple[int, ...]) -> float:
    """Least-squares slope of -log error against log steps."""
    x = torch.tensor([math.log(count) for count in counts], dtype=torch.float64)
    y = torch.tensor([math.log(error(count)) for count in counts], dtype=torch.float64)
    x, y = x - x.mean(), y - y.mean()
    return float(-(x @ y) / (x @ x))


@pytest.mark.parametrize("process", PROCESSES, ids=named)
@pytest.mark.parametrize("solver", [Euler(), Heun(), DpmPlusPlus(), Ancestral(eta=0.0)], ids=named)
def test_the_order_of_the_error(solver, process):
    def error(steps: int) -> float:
        times = levels(process, steps)
        x_T = ends(process, times)
        truth = flow(process, x_T, times[:1].expand(3), times[-1:].expand(3))
        return float((sample(Denoiser(process), process, solver, times, x_T) - truth).abs().max())

    assert measured_order(error, (32, 64, 128)) == pytest.approx(solver.order, abs=0.12)


@pytest.mark.parametrize("process", PROCESSES, ids=named)
@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_ancestral_variance_is_exact_in_the_limit_with_weak_order_one(eta, process):
    """The chain is linear and Gaussian, so its mean and variance are carried exactly: no Monte Carlo error."""

    def error(steps: int) -> float:
        times = levels(process, steps)
        mean, deviation = marginal(process, times[0])
        mean, variance = float(mean), float(deviation) ** 2
        for t, s in zip(times[:-1, None], times[1:, None], strict=True):
            mean, variance = carried(Ancestral(eta), Denoiser(process), process, t, s, mean, variance)
        truth_mean, truth = marginal(process, times[-1])
        return abs(mean - float(truth_mean)) + abs(math.sqrt(variance) - float(truth))

    assert measured_order(error, (16, 32, 64)) == pytest.approx(1, abs=0.12)
    assert error(64) < 0.015


def carried(solver, net, process, t, s, mean: float, variance: float) -> tuple[float, float]:
    """Mean and variance after a step x_s = a x_t + b + c noise, with a, b, c read off the step itself."""
    def moved(x: float, seed: int) -> float:
        return float(solver.step(net, process, torch.full((1, 1), x, dtype=torch.float64), t, s, None,
                                 Key(seed).generator).x_s)

    first, second = (float(torch.randn(1, 1, generator=Key(seed).generator("noise"), dtype=torch.float64))
                     for seed in (0, 1))
    origin = moved(0.0, 0)
    a, c = moved(1.0, 0) - origin, (origin - moved(0.0, 1)) / (first - second)
    b = origin - c * first
    return a * mean + b, a * a * variance + c * c


@pytest.mark.parametrize("process", PROCESSES, ids=named)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_an_exact_map_has_no_error_at_any_number_of_steps(steps, process):
    times = torch.cat([levels(process, steps)[:-1], torch.zeros(1, dtype=torch.float64)])
    x_T = ends(process, times)
    truth = flow(process, x_T, times[:1].expand(3), times[-1:].expand(3))
    for solver in (FlowMap(), Gamma(0.0)):
        landed = sample(ExactMap(process), process, solver, times, x_T)
        torch.testing.assert_close(landed, truth, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("process", PROCESSES, ids=named)
@pytest.mark.parametrize("solver", [Gamma(0.3), Gamma(1.0), Consistency()], ids=repr)
def test_an_exact_map_keeps_the_marginal_at_any_amount_of_fresh_noise(solver, process):
    t, s = levels(process, 2)[:1], levels(process, 2)[1:2]
    mean, deviation = marginal(process, t)
    mean, variance = carried(solver, ExactMap(process), process, t, s, float(mean), float(deviation) ** 2)
    truth_mean, truth = marginal(process, s)
    assert mean == pytest.approx(float(truth_mean), rel=1e-9)
    assert math.sqrt(variance) == pytest.approx(float(truth), rel=1e-9)


@pytest.mark.parametrize("process", PROCESSES, ids=named)
def test_gamma_one_is_the_consistency_sampler(process):
    times = torch.cat([levels(process, 3)[:-1], torch.zeros(1, dtype=torch.float64)])
    walks = [sample(ExactMap(process), process, solver, times, ends(process, times), key=Key(3))
             for solver in (Gamma(1.0), Consistency())]
    torch.testing.assert_close(*walks, rtol=1e-12, atol=1e-12)


def test_gamma_lands_where_the_paper_says_in_edm():
    """CTM alg. 3: land at sqrt(1 - gamma^2) s, then add gamma s of noise; worked by hand from a constant pointer."""
    asked = []

    def net(x_t, t, s=None):
        asked.append(s)
        return torch.full_like(x_t, 2.0)

    t, s, x_t = torch.tensor([10.0]), torch.tensor([5.0]), torch.tensor([[12.0]])
    moved = Gamma(0.6).step(net, Edm(), x_t, t, s, None, Key(0).generator)
    noise = torch.randn(1, 1, generator=Key(0).generator("noise"))
    assert float(asked[0]) == pytest.approx(4.0)  # sqrt(1 - 0.36) * 5
    torch.testing.assert_close(moved.x_s, 2.0 + 4.0 / 10.0 * (x_t - 2.0) + 3.0 * noise)


def test_the_ancestral_step_is_bayes_posterior():
    """q(x_s | x_t, x0) in VpLinear, from the product of two Gaussians, against a step whose net knows x0."""
    process, x0, t, s = VpLinear(), 0.3, torch.tensor([0.6]), torch.tensor([0.4])
    (alpha, sigma), (alpha_s, sigma_s) = process.signal_noise(t.double()), process.signal_noise(s.double())
    gain = alpha / alpha_s
    kernel = sigma**2 - gain**2 * sigma_s**2  # variance of x_t given x_s
    precision = 1 / sigma_s**2 + gain**2 / kernel

    def net(x_t, t, s=None):
        return torch.full_like(x_t, x0)

    mean, variance = carried(Ancestral(), net, process, t.double(), s.double(), 1.1, 0.0)
    assert mean == pytest.approx(float((alpha_s * x0 / sigma_s**2 + gain * 1.1 / kernel) / precision), rel=1e-9)
    assert variance == pytest.approx(float(1 / precision), rel=1e-9)


@pytest.mark.parametrize("process", [*PROCESSES, *ENDLESS], ids=repr)
@pytest.mark.parametrize("name", SOLVERS)
def test_walks_from_t_max_to_zero_are_finite_and_end_on_x0(name, process):
    times = torch.linspace(process.t_max, 0, 5)
    x_T = process.prior(torch.randn(6, 2, generator=Key(1).generator("start")))
    net = ExactMap(process) if name in ("flow_map", "gamma") else Denoiser(process)
    *_, before, end = walk(net, process, SOLVERS[name](), times, x_T)
    assert torch.isfinite(end.x_t).all()
    torch.testing.assert_close(end.x_t, before.x0)  # the last step lands on its x0


@pytest.mark.parametrize("process", ENDLESS, ids=named)
@pytest.mark.parametrize("solver, bound", [(Euler(), 0.1), (Heun(), 0.02), (DpmPlusPlus(), 0.02)], ids=repr)
def test_walks_from_pure_noise_converge(solver, bound, process):
    times = torch.linspace(process.t_max, 0, 41, dtype=torch.float64)
    x_T = process.prior(torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None])
    truth = flow(process, x_T, times[:1].expand(5), times[-1:].expand(5))
    assert (sample(Denoiser(process), process, solver, times, x_T) - truth).abs().max() < bound
