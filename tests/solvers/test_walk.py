"""The walk: what its frames say, branching, vector times, what it refuses; and the sampler's grids."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from workbench.noise import Edm, LinearFlow, Process, TrigFlow, VpCosine, VpLinear, from_x0, spread
from workbench.noise.times import SPACINGS
from workbench.randomness import Key
from workbench.solvers import SOLVERS, Ancestral, Consistency, DpmPlusPlus, Euler, Gamma, Heun, Sampler, sample, walk
from workbench.types import Frame

PROCESSES = [Edm(), LinearFlow(), TrigFlow(), VpCosine(), VpLinear()]
EVERY = [cls() for cls in SOLVERS.values()] + [Ancestral(0.5), Gamma(0.5), Gamma(1.0)]


class Net(torch.nn.Module):
    """A TrigFlow "F" network that looks at everything it is given and counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.process, self.form, self.calls, self.asked = TrigFlow(), "F", 0, []
        self.weight = torch.nn.Parameter(torch.tensor([[0.5, -0.2], [0.3, 0.4]]))

    def forward(self, x_t, t, s=None, cond=None, guidance=None):
        self.calls += 1
        self.asked.append((s, cond, guidance))
        shift = torch.sin(spread(t, x_t)) + (0 if s is None else 0.3 * torch.cos(spread(s, x_t)))
        for extra in (cond, guidance):
            shift = shift + (0 if extra is None else 0.1 * spread(extra, x_t))
        return torch.tanh(x_t @ self.weight.to(x_t) + shift)


def noise(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=Key(5).generator("start"), dtype=dtype)


def same(one: Frame, other: Frame) -> bool:
    def equal(a, b) -> bool:
        if isinstance(a, torch.Tensor):
            return isinstance(b, torch.Tensor) and torch.equal(a, b)
        if isinstance(a, tuple):
            return len(a) == len(b) and all(map(equal, a, b))
        return a == b

    return all(equal(getattr(one, name), getattr(other, name))
               for name in ("step", "x_t", "t", "s", "x0", "kind", "velocity", "memory", "key"))


@pytest.mark.parametrize("solver", EVERY, ids=repr)
def test_frames_tell_the_walk(solver):
    process, net = Edm(), Net()
    times, x_T = Sampler(solver, "karras", 4).grid(process), process.prior(noise(3, 2))
    frames = list(walk(net, process, solver, times, x_T, key=Key(7)))
    assert [frame.step for frame in frames] == [0, 1, 2, 3, 4]
    assert torch.equal(frames[0].x_t, x_T) and frames[0].memory is None
    for frame, t, s in zip(frames, times, [*times[1:], times[-1]], strict=True):
        assert torch.equal(frame.t, t.expand(3)) and torch.equal(frame.s, s.expand(3)) and frame.key == Key(7)
        assert frame.x0.shape == frame.x_t.shape and not frame.x_t.requires_grad
    for frame in frames[:-1]:
        if frame.velocity is not None:  # dx/dt that x0 implies
            torch.testing.assert_close(frame.velocity, from_x0(frame.x0, "velocity", process, frame.x_t, frame.t))
    assert torch.equal(frames[-1].x0, frames[-1].x_t)
    assert torch.equal(frames[-1].x_t, sample(net, process, solver, times, x_T, key=Key(7)))


@pytest.mark.parametrize("solver", EVERY, ids=repr)
def test_a_branch_continues_bit_for_bit(solver):
    process, net, cond = VpCosine(), Net(), torch.tensor([0, 1, 2])
    times = Sampler(solver, "trig", 6).grid(process)
    whole = list(walk(net, process, solver, times, process.prior(noise(3, 2)), cond=cond, guidance=1.5, key=Key(2)))
    for start in range(7):
        branch = list(walk(net, process, solver, times, whole[start], cond=cond, guidance=1.5))
        assert len(branch) == 7 - start and all(map(same, branch, whole[start:]))


def test_a_changed_branch_differs_and_a_new_key_only_moves_the_stochastic():
    process, net = Edm(), Net()
    times = Sampler(Euler(), "karras", 5).grid(process)
    for solver, stochastic in ((Euler(), False), (Ancestral(), True), (Consistency(), True)):
        whole = list(walk(net, process, solver, times, process.prior(noise(3, 2)), key=Key(2)))
        other = sample(net, process, solver, times, whole[2], key=Key(3))
        assert torch.equal(other, whole[-1].x_t) is not stochastic
        edited = sample(net, process, solver, times, replace(whole[2], x_t=whole[2].x_t + 1))
        assert not torch.equal(edited, whole[-1].x_t)


def test_a_branch_may_take_another_way_down():
    process, net, solver = Edm(), Net(), DpmPlusPlus()
    times = Sampler(solver, "karras", 6).grid(process)
    frame = list(walk(net, process, solver, times, process.prior(noise(3, 2))))[3]
    shorter = torch.cat([times[:4], torch.zeros(1)])
    assert [f.step for f in walk(net, process, solver, shorter, frame)] == [3, 4]


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("solver", EVERY, ids=repr)
def test_each_sample_may_have_its_own_times(solver, process):
    """Per-sample walks equal the scalar walks sample by sample; the noise is that of the whole batch."""
    net, x_T = Net(), process.prior(noise(3, 2, dtype=torch.float64))
    grids = [torch.linspace(top * process.t_max, end * process.t_max, 5, dtype=torch.float64)
             for top, end in ((1.0, 0.0), (0.9, 0.3), (0.5, 0.0))]
    together = list(walk(net, process, solver, torch.stack(grids, dim=1), x_T, key=Key(4)))
    for index, grid in enumerate(grids):
        alone = list(walk(net, process, solver, grid, x_T, key=Key(4)))
        for one, other in zip(together, alone, strict=True):
            torch.testing.assert_close(one.x_t[index], other.x_t[index], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("solver", EVERY, ids=repr)
def test_each_frame_may_have_its_own_times_and_stand_still(solver):
    """A pyramid (B, F): every frame falls later than the one before, and rests at 0 when it is clean."""
    process, net, x_T = LinearFlow(), Net(), noise(2, 3, 2, dtype=torch.float64)
    fall = torch.tensor([1.0, 0.6, 0.3, 0.0], dtype=torch.float64)
    pyramid = torch.ones(6, 3, dtype=torch.float64)
    for frame in range(3):
        pyramid[frame:frame + 4, frame], pyramid[frame + 4:, frame] = fall, 0
    frames = list(walk(net, process, solver, pyramid[:, None].expand(6, 2, 3), x_T, key=Key(4)))
    for seen in frames:
        assert torch.isfinite(seen.x_t).all()
        assert seen.velocity is None or torch.isfinite(seen.velocity).all()
    for before, after in zip(frames, frames[1:], strict=False):
        rest = before.t == before.s
        assert torch.equal(after.x_t[rest], before.x_t[rest])
    if solver in (Euler(), Heun(), DpmPlusPlus()):  # no noise: frame 0 alone is a plain walk
        alone = sample(net, process, solver, fall, x_T[:, 0])
        torch.testing.assert_close(frames[3].x_t[:, 0], alone, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("solver", EVERY, ids=repr)
def test_steps_have_finite_gradients_at_both_ends(solver, process):
    net, t = Net(), torch.tensor([process.t_max, 0.5 * process.t_max, 0.0])
    x_T = process.prior(noise(3, 2)).requires_grad_()
    times = torch.stack([t, t / 3, torch.zeros(3)])
    out = sample(net, process, solver, times, x_T, grad=True)
    out.square().sum().backward()
    assert torch.isfinite(x_T.grad).all() and torch.isfinite(net.weight.grad).all() and net.weight.grad.abs().sum() > 0


def test_no_gradient_is_kept_and_the_callers_mode_is_its_own():
    process, net = Edm(), Net()
    times, x_T = Sampler(Heun(), "karras", 3).grid(process), process.prior(noise(3, 2)).requires_grad_()
    for frame in walk(net, process, Heun(), times, x_T):
        assert torch.is_grad_enabled()  # not held across yields
        assert not frame.x0.requires_grad


@pytest.mark.parametrize("solver", EVERY, ids=repr)
def test_evaluations_are_the_networks_calls(solver):
    process, net = TrigFlow(), Net()
    frames = list(walk(net, process, solver, Sampler(solver, "trig", 5).grid(process), process.prior(noise(3, 2))))
    assert frames[-1].evaluations == net.calls == (9 if solver == Heun() else 5)  # Heun: 2 N - 1
    assert frames[0].evaluations == (2 if solver == Heun() else 1)


def test_a_net_may_say_what_a_call_costs():
    process, solver, net = Edm(), Euler(), Net()
    times, x_T = Sampler(solver, "karras", 4).grid(process), process.prior(noise(3, 2))
    for cost in (1, 2):
        net.evaluations = cost  # teachers.guidance.Guided says 2
        assert [frame.evaluations for frame in walk(net, process, solver, times, x_T)] == [
            cost, 2 * cost, 3 * cost, 4 * cost, 4 * cost]


def test_the_net_is_asked_with_labels_guidance_and_second_time():
    process, cond = TrigFlow(), torch.tensor([2, 0, 1])
    for name, two in (("euler", False), ("heun", False), ("consistency", False), ("flow_map", True), ("gamma", True)):
        net, solver = Net(), SOLVERS[name]()
        sample(net, process, solver, Sampler(solver, "trig", 2).grid(process), process.prior(noise(3, 2)), cond=cond,
               guidance=2.5)
        for s, asked, guidance in net.asked:
            assert (s is not None) is two and torch.equal(asked, cond) and torch.equal(guidance, torch.full((3,), 2.5))


def test_randomness_is_counted_never_global():
    process, net, solver = Edm(), Net(), Ancestral()
    times, x_T = Sampler(solver, "karras", 4).grid(process), process.prior(noise(3, 2))
    before = torch.get_rng_state()
    one = sample(net, process, solver, times, x_T, key=Key(1))
    assert torch.equal(before, torch.get_rng_state())
    torch.randn(7)
    assert torch.equal(one, sample(net, process, solver, times, x_T, key=Key(1)))
    assert not torch.equal(one, sample(net, process, solver, times, x_T, key=Key(1, step=1)))


@pytest.mark.parametrize("times, says", [
    ([0.0, 1.0], "fall"), ([1.0, 0.5, 0.5, 0.0], "fall"), ([1.0, float("nan"), 0.0], "must lie in"),
    ([float("inf"), 0.0], "must lie in"), ([1.2, 0.0], "raise sigma_max"), ([1.0, -0.5], "must lie in"),
    ([1.0], "N >= 1"), ([[1.0, 1.0], [0.0, 0.0]], "B=3"), ([[1.0, 0.5, 0.2], [0.0, 0.6, 0.1]], "fall"),
    ([[[1.0] * 4] * 3, [[0.0] * 4] * 3], "do not fit")])
def test_bad_times_are_refused_at_the_call(times, says):
    with pytest.raises(ValueError, match=says):
        walk(Net(), LinearFlow(), Euler(), torch.tensor(times), noise(3, 2))


def test_bad_branches_and_missing_randomness_are_refused():
    process, net = LinearFlow(), Net()
    times = torch.linspace(1, 0, 5)
    frame = list(walk(net, process, Euler(), times, noise(3, 2)))[3]
    with pytest.raises(ValueError, match="stands at step 3"):
        walk(net, process, Euler(), times[:3], frame)
    with pytest.raises(ValueError, match="not the frame's t"):
        walk(net, process, Euler(), times**2, frame)
    with pytest.raises(ValueError, match="pass rng"):
        Consistency().step(lambda x, t, s=None: x, process, noise(3, 2), torch.ones(3), torch.full((3,), 0.5))


@pytest.mark.parametrize("cls", [Ancestral, Gamma])
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_shares_of_noise_lie_in_the_unit_interval(cls, value):
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        cls(value)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_a_sampler_names_its_grid(process: Process, spacing):
    sampler = Sampler(Euler(), spacing, 4)
    assert torch.equal(sampler.grid(process), SPACINGS[spacing](process, 4))
    assert len(sampler.grid(process, 2)) == 3


def test_explicit_times_are_noise_levels_in_any_process():
    sampler = Sampler(Consistency(), times=(80.0, 24.4, 5.84, 0.0))
    assert sampler.num_inference_steps == 3
    torch.testing.assert_close(sampler.grid(Edm()), torch.tensor([80.0, 24.4, 5.84, 0.0]))
    torch.testing.assert_close(sampler.grid(LinearFlow()), torch.tensor([80 / 81, 24.4 / 25.4, 5.84 / 6.84, 0.0]))
    assert torch.equal(sampler.grid(Edm(), 2), SPACINGS["karras"](Edm(), 2))  # another count: the named spacing
    endless = Sampler(Euler(), times=(math.inf, 1.0, 0.0)).grid(LinearFlow())
    torch.testing.assert_close(endless, torch.tensor([1.0, 0.5, 0.0]))


def test_bad_samplers_are_refused():
    with pytest.raises(ValueError, match="did you mean 'karras'"):
        Sampler(Euler(), "karas", 4)
    for options in ({}, {"num_inference_steps": 0}, {"num_inference_steps": 2, "times": (80.0, 0.0)}):
        with pytest.raises(ValueError, match="num_inference_steps"):
            Sampler(Euler(), **options)
    with pytest.raises(ValueError, match="1 or more"):
        Sampler(Euler(), "karras", 4).grid(Edm(), 0)
