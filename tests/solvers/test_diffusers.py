"""Step by step, the solvers are diffusers' schedulers: same network, same noise, 1e-5 relative at every step.

The network is a fixed function speaking the scheduler's own form; a walk and a scheduler run freely beside each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
)
from torch import Tensor

from workbench.noise import Edm, LinearFlow, Process, spread
from workbench.noise.times import karras
from workbench.randomness import Key
from workbench.solvers import Ancestral, Consistency, DpmPlusPlus, Euler, Heun, walk

KEY = Key(seed=11)


def raw(x: Tensor, feature: Tensor | float) -> Tensor:
    """Any smooth network: mixes channels, depends on the level."""
    weights = torch.tensor([[0.6, -0.4, 0.2], [0.1, 0.7, -0.3], [-0.5, 0.2, 0.4]], dtype=x.dtype)
    return torch.tanh(x @ weights + 0.1 * feature) + 0.2 * torch.sin(x)


@dataclass
class Net:
    """A network as the workbench sees it: ``output(x_t, t)`` in its own form and process."""

    process: Process
    form: str
    output: object

    def __call__(self, x_t, t, s=None, cond=None, guidance=None):
        return self.output(x_t, spread(t, x_t))


@dataclass(frozen=True)
class Discrete(Process):
    """The chain of a DDPM scheduler: t = 0 is clean, t = n is its train timestep n - 1."""

    alphas_cumprod: tuple[float, ...] = field(default=(), repr=False)

    def signal_noise(self, t):
        bars = torch.tensor((1.0, *self.alphas_cumprod), dtype=t.dtype)[t.round().long()]
        return bars.sqrt(), (1 - bars).sqrt()

    def rates(self, t):
        return torch.ones_like(t), -torch.ones_like(t)  # a chain has no time derivative; velocities are not looked at

    @property
    def t_max(self):
        return float(len(self.alphas_cumprod))


def chain(scheduler) -> Discrete:
    return Discrete(alphas_cumprod=tuple(scheduler.alphas_cumprod.double().tolist()))


def start(scale: float = 1.0) -> Tensor:
    return scale * torch.randn(5, 3, generator=KEY.generator("start"), dtype=torch.float64)


def noise_of(step: int) -> torch.Generator:
    """What step ``step`` of a walk under KEY draws its noise from."""
    return KEY.generator(f"walk/{step}/noise")


def agree(frames, states: list[Tensor]) -> None:
    """The walk's states, but the first, are the scheduler's previous samples."""
    seen = [frame.x_t for frame in frames][1:]
    assert len(seen) == len(states)
    for ours, theirs in zip(seen, states, strict=True):
        error = (ours - theirs.double()).abs().max() / theirs.abs().max()
        assert error < 1e-5, f"relative error {error:.2e}"


@pytest.mark.parametrize("steps", [1, 4, 10])
@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("form", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim(eta, form, schedule, steps):
    scheduler = DDIMScheduler(beta_schedule=schedule, clip_sample=False, prediction_type=form)
    scheduler.set_timesteps(steps)
    x, states = start(), []
    for step, t in enumerate(scheduler.timesteps):
        x = scheduler.step(raw(x, float(t) / 1000), t, x, eta=eta, generator=noise_of(step)).prev_sample
        states.append(x)
    process = chain(scheduler)
    ours = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}[form]
    net = Net(process, ours, lambda x, t: raw(x, (t - 1) / 1000))
    times = torch.cat([scheduler.timesteps + 1, torch.zeros(1, dtype=torch.long)])
    solver = Ancestral(eta) if eta else Euler()
    agree(walk(net, process, solver, times, start(), key=KEY), states)


@pytest.mark.parametrize("steps", [5, 20])
def test_ddpm_is_ancestral_with_eta_one(steps):
    scheduler = DDPMScheduler(clip_sample=False, variance_type="fixed_small")
    scheduler.set_timesteps(steps)
    x, states = start(), []
    for step, t in enumerate(scheduler.timesteps):
        x = scheduler.step(raw(x, float(t) / 1000), t, x, generator=noise_of(step)).prev_sample
        states.append(x)
    process = chain(scheduler)
    net = Net(process, "eps", lambda x, t: raw(x, (t - 1) / 1000))
    times = torch.cat([scheduler.timesteps + 1, torch.zeros(1, dtype=torch.long)])
    agree(walk(net, process, Ancestral(), times, start(), key=KEY), states)


@pytest.mark.parametrize("steps", [6, 20])
def test_dpm_solver_multistep_in_vp(steps):
    scheduler = DPMSolverMultistepScheduler(algorithm_type="dpmsolver++", solver_order=2, final_sigmas_type="zero",
                                            beta_schedule="scaled_linear")
    scheduler.set_timesteps(steps)
    x, states = start(), []
    for t in scheduler.timesteps:
        x = scheduler.step(raw(x, float(t) / 1000), t, x).prev_sample
        states.append(x)
    process = chain(scheduler)
    net = Net(process, "eps", lambda x, t: raw(x, (t - 1) / 1000))
    times = torch.cat([scheduler.timesteps + 1, torch.zeros(1, dtype=torch.long)])
    agree(walk(net, process, DpmPlusPlus(), times, start()), states)


@pytest.mark.parametrize("steps", [2, 8, 18])
@pytest.mark.parametrize("scheduler, solver", [(EDMEulerScheduler(), Euler()),
                                               (EDMDPMSolverMultistepScheduler(solver_order=2), DpmPlusPlus())])
def test_edm_schedulers(scheduler, solver, steps):
    """EDM preconditioning is written out here; the grid is our ``karras``."""
    scheduler.set_timesteps(steps)
    x, states = start(80.0), []
    for t in scheduler.timesteps:
        x = scheduler.step(raw(scheduler.scale_model_input(x, t), float(t)), t, x).prev_sample
        states.append(x)

    def x0(x, t):
        total = t**2 + 0.5**2
        return 0.25 / total * x + 0.5 * t / total.sqrt() * raw(x / total.sqrt(), 0.25 * torch.log(t))

    process = Edm(0.002, 80.0, 0.5)
    times = karras(process, steps)
    torch.testing.assert_close(times, scheduler.sigmas, rtol=2e-6, atol=0)
    agree(walk(Net(process, "x0", x0), process, solver, times, start(80.0)), states)


@pytest.mark.parametrize("scheduler, solver", [
    (EulerDiscreteScheduler(), Euler()), (HeunDiscreteScheduler(), Heun()),
    (EulerAncestralDiscreteScheduler(), Ancestral())], ids=["euler", "heun", "ancestral"])
def test_k_diffusion_schedulers_in_noise_levels(scheduler, solver):
    """Their eps network takes x / sqrt(1 + sigma^2); ours is asked in Edm and does so itself."""
    scheduler.set_timesteps(12)
    sigmas = torch.unique(scheduler.sigmas).flip(0)  # Heun's scheduler lists inner levels twice
    x, states = start(float(sigmas[0])), []
    for index, t in enumerate(scheduler.timesteps):
        sigma = scheduler.sigmas[index]
        output = raw(scheduler.scale_model_input(x, t), float(sigma.log()))
        extra = {"generator": noise_of(index)} if isinstance(solver, Ancestral) else {}
        x = scheduler.step(output, t, x, **extra).prev_sample
        if getattr(scheduler, "state_in_first_order", True):  # a whole step is done
            states.append(x)
    if isinstance(solver, Heun):  # after its last, single evaluation the scheduler waits for a second one
        states.append(x)
    process = Edm(sigma_max=float(sigmas[0]))
    net = Net(process, "eps", lambda x, t: raw(x / (1 + t**2).sqrt(), t.log()))
    frames = list(walk(net, process, solver, sigmas, start(float(sigmas[0])), key=KEY))
    agree(frames, states)
    assert frames[-1].evaluations == len(scheduler.timesteps)


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("kind, solver", [(FlowMatchEulerDiscreteScheduler, Euler()),
                                          (FlowMatchHeunDiscreteScheduler, Heun())])
def test_flow_matching(kind, solver, shift):
    scheduler = kind(shift=shift)
    scheduler.set_timesteps(9)
    times = torch.unique(scheduler.sigmas).flip(0)
    x, states = start().float(), []
    for index, t in enumerate(scheduler.timesteps):
        x = scheduler.step(raw(x, float(scheduler.sigmas[index])), t, x).prev_sample
        if getattr(scheduler, "state_in_first_order", True):
            states.append(x)
    if isinstance(solver, Heun):
        states.append(x)
    process = LinearFlow()
    net = Net(process, "velocity", raw)
    assert math.isclose(float(times[0]), process.t_max, rel_tol=1e-6)
    agree(walk(net, process, solver, times, start()), states)


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_lcm_is_the_consistency_sampler(steps):
    """LCM's boundary scaling c_skip x + c_out x0 turns its network into a consistency function: part of our net."""
    scheduler = LCMScheduler(clip_sample=False)
    scheduler.set_timesteps(steps)
    x, states = start(), []
    for step, t in enumerate(scheduler.timesteps):
        x = scheduler.step(raw(x, float(t) / 1000), t, x, generator=noise_of(step)).prev_sample
        states.append(x)
    process = chain(scheduler)

    def consistency_function(x, t):
        alpha, sigma = process.signal_noise(t)
        scaled = 10.0 * (t - 1)
        c_skip, c_out = 0.25 / (scaled**2 + 0.25), scaled / (scaled**2 + 0.25).sqrt()
        return c_out * (x - sigma * raw(x, (t - 1) / 1000)) / alpha + c_skip * x

    times = torch.cat([scheduler.timesteps + 1, torch.zeros(1, dtype=torch.long)])
    agree(walk(Net(process, "x0", consistency_function), process, Consistency(), times, start(), key=KEY), states)
