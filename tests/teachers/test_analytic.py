"""The mixture against hand-worked numbers, autograd, closed forms and its own contracts."""

import math

import pytest
import torch

from workbench.benches import load
from workbench.noise import Edm, LinearFlow, TrigFlow, move, speak
from workbench.teachers.analytic import Mixture
from workbench.teachers.flow import transport


def uneven() -> Mixture:
    """Three unlike components in three dimensions, two classes."""
    means = [[1.0, 0.0, 0.5], [-1.0, 0.3, 0.0], [0.2, -1.5, 1.0]]
    return Mixture(means, [0.2, 0.5, 0.9], [0.5, 0.3, 0.2], [0, 1, 0])


def states(mixture, count=64, seed=0, high=3.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    t = high * torch.rand(count, generator=generator, dtype=dtype) + 0.01
    x, y = mixture.sample(count, generator)
    return x.to(dtype) + t[:, None] * torch.randn(count, mixture.dim, generator=generator, dtype=dtype), t, y


def density(mixture, x, t, keep):
    """log p_t(x) by the definition, component by component, for the kept components."""
    parts, total = [], sum(mixture.weights[m] for m in keep)
    for m in keep:
        law = torch.distributions.Normal(mixture.means[m], (mixture.stds[m] ** 2 + t**2).sqrt()[:, None])
        parts.append(law.log_prob(x).sum(1) + (mixture.weights[m] / total).log())
    return torch.logsumexp(torch.stack(parts), 0)


def test_two_modes_on_a_line_by_hand():
    # variance 1/2 + 1/2 = 1, responsibilities sigmoid(2 x): 0.5 * 0.5 + 0.5 * tanh(0.5)
    mixture = Mixture([[1.0], [-1.0]], math.sqrt(0.5))
    x, t = torch.tensor([[0.5]], dtype=torch.float64), torch.tensor([math.sqrt(0.5)], dtype=torch.float64)
    assert mixture.posterior(x, t)[0, 0].item() == pytest.approx(0.7310585786300049, abs=1e-15)
    assert mixture(x, t).item() == pytest.approx(0.25 + 0.5 * math.tanh(0.5), abs=1e-15)
    assert mixture.process.sigma_data == pytest.approx(math.sqrt(1.5), abs=1e-15)


def test_score_denoiser_and_velocity_are_derivatives_of_the_density():
    mixture = uneven()
    x, t, y = states(mixture)
    for cond, keep in ((None, (0, 1, 2)), (torch.zeros_like(y), (0, 2)), (torch.ones_like(y), (1,))):
        leaf = x.clone().requires_grad_()
        log_p = density(mixture, leaf, t, keep)
        (score,) = torch.autograd.grad(log_p.sum(), leaf)
        assert torch.allclose(mixture.log_likelihood(x, t, cond), log_p, atol=1e-12)
        assert torch.allclose(mixture.score(x, t, cond), score, atol=1e-10)
        assert torch.allclose(mixture(x, t, None, cond), x + t[:, None] ** 2 * score, atol=1e-10)
        assert torch.allclose(mixture.velocity(x, t, cond), -t[:, None] * score, atol=1e-10)


def test_posterior_stays_within_the_class_and_null_is_none():
    mixture = uneven()
    x, t, y = states(mixture)
    posterior = mixture.posterior(x, t, y)
    assert torch.allclose(posterior.sum(1), torch.ones(64, dtype=x.dtype))
    assert (posterior[y == 1][:, [0, 2]] == 0).all() and (posterior[y == 0][:, 1] == 0).all()
    null = torch.full_like(y, mixture.num_classes)
    assert torch.equal(mixture(x, t, None, null), mixture(x, t))


def test_equal_and_unequal_widths_take_the_same_path_to_the_same_number():
    means = torch.randn(5, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    shared, split = Mixture(means, 0.3), Mixture(means, [0.3, 0.3, 0.3, 0.3, 0.3 + 1e-13])
    x, t, _ = states(shared)
    assert len(shared.tables(x.dtype).std) == 1 and len(split.tables(x.dtype).std) == 5
    assert torch.allclose(shared(x, t), split(x, t), atol=1e-9)
    assert torch.allclose(shared.score(x, t), split.score(x, t), atol=1e-9)


def test_guidance_is_linear_and_needs_labels():
    mixture = uneven()
    x, t, y = states(mixture)
    cond, uncond = mixture(x, t, None, y), mixture(x, t)
    assert torch.allclose(mixture(x, t, None, y, 3.0), uncond + 3 * (cond - uncond))
    scales = torch.linspace(0, 4, 64, dtype=x.dtype)
    assert torch.allclose(mixture(x, t, None, y, scales), uncond + scales[:, None] * (cond - uncond))
    assert torch.equal(mixture(x, t, guidance=1.0), uncond)
    with pytest.raises(ValueError, match="needs labels"):
        mixture(x, t, guidance=2.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_ends_of_time_are_finite_and_right(dtype):
    for mixture in (load("gmm2d").teacher(), uneven()):
        x = torch.randn(8, mixture.dim, generator=torch.Generator().manual_seed(0)).to(dtype)
        zero, huge = torch.zeros(8, dtype=dtype), torch.full((8,), 1e8, dtype=dtype)
        assert torch.allclose(mixture(x, zero), x, atol=1e-6) and mixture.score(x, zero).isfinite().all()
        assert (mixture.velocity(x, zero) == 0).all() and mixture.log_likelihood(x, zero).isfinite().all()
        mean = (mixture.weights @ mixture.means).to(dtype)
        for far in (huge, huge * math.inf):
            assert torch.allclose(mixture(x * far[:, None], far), mean.expand(8, -1), atol=1e-4)
        assert mixture(x, zero).dtype == mixture.flow_map(x, zero + 1, zero).dtype == dtype
        spoken = speak(mixture, LinearFlow(0.0, math.inf, 1.0), "x0")  # t = 1: no signal at all
        assert torch.allclose(spoken(x, zero + 1), mean.expand(8, -1), atol=1e-4)


def test_one_gaussian_flows_in_closed_form():
    mixture = Mixture([[0.7, -0.2]], 0.3)
    x, t, _ = states(mixture, high=20.0)
    for s in (0 * t, 0.3 * t, 2 * t, t):
        ratio = torch.sqrt((0.09 + s**2) / (0.09 + t**2))[:, None]
        assert torch.allclose(mixture.flow_map(x, t, s), mixture.means + ratio * (x - mixture.means), atol=1e-7)


@pytest.mark.parametrize("guidance", [None, 3.0])
def test_the_ring_s_flow_map_holds_a_millionth_by_step_doubling(guidance):
    bench = load("gmm2d")
    noise, _ = bench.start(256, 0)
    x, t = 10 * noise.double(), torch.full((256,), 10.0, dtype=torch.float64)
    y = None if guidance is None else torch.arange(256) % 4
    teacher = bench.teacher()
    fine = transport(lambda z, s: teacher.velocity(z, s, y, guidance), x, t, 0 * t, 0.08, step=0.01)
    assert (teacher.flow_map(x, t, 0 * t, y, guidance) - fine).abs().max() < 1e-6


def test_flow_maps_compose_and_invert():
    teacher = load("gmm2d").teacher()
    x, t, _ = states(teacher, count=32)
    half = teacher.flow_map(x, t, 0.4 * t)
    assert torch.allclose(teacher.flow_map(half, 0.4 * t, 0 * t), teacher.flow_map(x, t, 0 * t), atol=1e-6)
    assert torch.allclose(teacher.flow_map(half, 0.4 * t, t), x, atol=1e-6)


@pytest.mark.parametrize("process", [Edm(0.002, 10.0, 0.7), TrigFlow(0.002, 10.0, 0.7), LinearFlow(0.0, 10.0, 0.7)])
def test_the_pointer_makes_a_jump_land_where_the_flow_does(process):
    teacher = load("gmm2d").teacher()
    x, sigma, _ = states(teacher, count=32)
    x_t, t = move(x, sigma, Edm(), process)
    for share in (0.0, 0.2, 0.9):
        landed, s = move(teacher.flow_map(x, sigma, share * sigma), share * sigma, Edm(), process)
        pointer = speak(teacher, process, "x0")(x_t, t, s)
        assert torch.allclose(process.jump(x_t, t, s, pointer), landed, atol=1e-9)
    zero = torch.zeros_like(sigma)
    assert torch.allclose(teacher(x, sigma, zero), teacher.flow_map(x, sigma, zero), atol=1e-12)
    assert torch.allclose(teacher(x, sigma, sigma), teacher(x, sigma), atol=1e-12)
    assert torch.allclose(teacher(x, sigma, sigma * (1 - 1e-5)), teacher(x, sigma), atol=1e-3)
    assert torch.allclose(teacher(x, zero, zero), x)


def test_likelihood_through_the_flow_is_the_jacobian_s():
    teacher = load("gmm2d").teacher()
    x, t, _ = states(teacher, count=2, high=1.0)
    for i in range(2):
        one, at = x[i : i + 1], t[i : i + 1]
        jacobian = torch.autograd.functional.jacobian(lambda z, at=at: teacher.flow_map(z[None], at, 0 * at)[0], one[0])
        assert teacher.log_volume(one, at, 0 * at).item() == pytest.approx(jacobian.logdet().item(), abs=1e-4)


def test_densities_integrate_to_one():
    teacher = load("gmm2d").teacher()
    line = torch.linspace(-6, 6, 601, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    for t, cond in ((0.0, None), (0.5, None), (0.5, torch.full((len(grid),), 2))):
        assert teacher.log_likelihood(grid, t, cond).exp().sum().item() * 0.02**2 == pytest.approx(1, abs=1e-6)


def test_samples_have_the_exact_moments_weights_and_classes():
    mixture = uneven()
    x, y = mixture.sample(40_000, torch.Generator().manual_seed(0))
    assert torch.allclose(torch.cov(x.T).double(), mixture.covariance(), atol=0.03)
    assert (y == 1).double().mean().item() == pytest.approx(0.3, abs=0.01)
    asked = torch.arange(1000) % 2
    x, y = mixture.sample(1000, torch.Generator().manual_seed(0), asked)
    assert torch.equal(y, asked) and (x[y == 1].mean(0) - mixture.means[1]).abs().max() < 0.1
    assert x.dtype == torch.float32


def test_it_is_frozen_and_moves_with_its_tables():
    mixture = uneven()
    x, t, _ = states(mixture)
    assert not list(mixture.parameters())
    before = mixture(x, t)
    assert torch.equal(mixture.to("cpu").double()(x, t), before)


def test_mixed_precision_leaves_the_truth_exact():
    mixture = load("gmm2d").teacher()
    x, t, y = states(mixture, dtype=torch.float32)
    plain = mixture(x, t, None, y, 2.0), mixture.score(x, t), mixture.posterior(x, t)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = mixture(x, t, None, y, 2.0), mixture.score(x, t), mixture.posterior(x, t)
    assert all(torch.equal(a, b) for a, b in zip(plain, mixed, strict=True))


def test_bad_input_is_refused():
    for arguments in (([[0.0]], 0.0), ([[0.0], [1.0]], 1.0, [1.0]), ([[0.0]], 1.0, [-1.0])):
        with pytest.raises(ValueError, match="positive stds"):
            Mixture(*arguments)
    with pytest.raises(ValueError, match="without a gap"):
        Mixture([[0.0], [1.0]], 1.0, None, [0, 2])
    with pytest.raises(ValueError, match="means must be"):
        Mixture([0.0, 1.0], 1.0)
