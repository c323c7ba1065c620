"""Which stock scheduler of diffusers samples as a student does, and at which timesteps."""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

import torch

from workbench.noise import LinearFlow
from workbench.noise.times import from_sigma
from workbench.solvers import Consistency, Euler, Sampler

PLAIN = {"eps": "epsilon", "v": "v_prediction", "x0": "sample", "velocity": "flow_prediction"}
KEPT = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "rescale_betas_zero_snr")


class Plan(NamedTuple):
    """A scheduler with its settings, and what the pipeline is to be called with."""

    scheduler: Any
    call: dict[str, Any]
    times: torch.Tensor  # (N+1,) the same levels in the network's own t, as rounded


def plan(sampler: Sampler, process: Any, network: Any, pipe: Any, num_inference_steps: int | None = None) -> Plan:
    """The plan of a student of ``pipe``, trained in ``process``, whose network speaks its own process and form.

    Consistency sampling: LCMScheduler, or FlowMatchEulerDiscreteScheduler with fresh noise. Euler's steps: DPM-Solver++
    of first order, which they are, and FlowMatchEuler. A table's timesteps are whole, so its levels are rounded.
    ValueError for a sampler that no stock scheduler knows: two-time jumps, higher orders.
    """
    renoises = isinstance(sampler.solver, Consistency)
    if not renoises and not isinstance(sampler.solver, Euler):
        raise ValueError(f"no stock scheduler samples as {type(sampler.solver).__name__} does: such a student is "
                         "sampled by this package alone")
    times = sampler.grid(process, num_inference_steps)[:-1].double()
    alpha, sigma = process.signal_noise(times)
    own = from_sigma(network.process, sigma / alpha)
    made = of_flow if isinstance(network.process, LinearFlow) else of_table
    chosen, call, own = made(own, network, pipe, renoises)
    return Plan(chosen, {**call, "num_inference_steps": len(own)}, torch.cat([own.float(), torch.zeros(1)]))


def of_flow(own: torch.Tensor, network: Any, pipe: Any, renoises: bool) -> tuple[Any, dict[str, Any], torch.Tensor]:
    """(scheduler, call, levels) of a flow: its sigmas are given in the call, or where that takes none, by its ends."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    if "sigmas" in inspect.signature(type(pipe).__call__).parameters:
        levels = [round(float(t), 7) for t in own]
        scheduler = FlowMatchEulerDiscreteScheduler(shift=1.0, stochastic_sampling=renoises)
        return scheduler, {"sigmas": levels}, torch.tensor(levels)
    if len(own) > 2:
        raise ValueError(f"{type(pipe).__name__} takes no sigmas in its call, so stock schedulers reach the trained "
                         f"levels in one or two steps alone, not in {len(own)}: export with num_inference_steps=2")
    levels = [1.0, *(round(float(t), 7) for t in own[1:])]
    end = {"shift_terminal": levels[1]} if len(levels) == 2 else {}
    return FlowMatchEulerDiscreteScheduler(shift=1.0, stochastic_sampling=renoises, **end), {}, torch.tensor(levels)


def of_table(own: torch.Tensor, network: Any, pipe: Any, renoises: bool) -> tuple[Any, dict[str, Any], torch.Tensor]:
    """The same of a table: timesteps are whole."""
    import diffusers

    own = own.round().clamp(1, network.process.t_max)
    takes = "timesteps" in inspect.signature(type(pipe).__call__).parameters
    if not takes and (len(own) > 1 or not renoises):
        raise ValueError(f"{type(pipe).__name__} takes no timesteps in its call, so stock schedulers reach the trained "
                         "level in one step alone: export with num_inference_steps=1")
    steps = [int(t) - 1 for t in own]
    if len(set(steps)) < len(steps):
        raise ValueError(f"two of the {len(steps)} steps fall on one timestep: ask for fewer")
    given = {name: value for name, value in pipe.scheduler.config.items() if name in KEPT}
    given |= {"prediction_type": PLAIN[network.form]}
    if renoises:
        chosen = diffusers.LCMScheduler(**given, clip_sample=False, timestep_scaling=1000.0)
    else:  # its first order is DDIM's step, and it takes timesteps of our choice
        chosen = diffusers.DPMSolverMultistepScheduler(**given, solver_order=1, final_sigmas_type="zero")
    return chosen, {"timesteps": steps} if takes else {}, own
