"""Where a scheduler's state stands and what the network says of it, read off the scheduler's own attributes.

Every state is x = alpha x0 + sigma eps, and every prediction is linear: x0 = a x + b output. Which alpha and sigma:

- ``scale_model_input`` shrinks the state: variance exploding, alpha = 1, sigma in ``sigmas`` (or between two of them).
- ``sigmas`` and ``alphas_cumprod``: variance preserving, ``sigmas`` are noise over signal (``use_flow_sigmas``: flow).
- ``sigmas`` alone: flow matching, alpha = 1 - sigma.
- ``alphas_cumprod`` alone: variance preserving, by the timestep.

Sources: DDPM 2006.11239, v 2202.00512, EDM 2206.00364 (its preconditioning where the config has ``sigma_data``),
consistency models 2303.01469 (boundary scalings), flow 2210.02747, TrigFlow 2410.11081.
"""

from __future__ import annotations

from inspect import signature
from typing import Any, NamedTuple

import torch
from torch import Tensor

from workbench.noise.convert import x0_weights
from workbench.noise.process import LinearFlow, TrigFlow

FORMS = {"epsilon": "eps", "v_prediction": "v", "sample": "x0", "original_sample": "x0", "flow_prediction": "velocity",
         "trigflow": "F"}  # fmt: skip


class Level(NamedTuple):
    """alpha, sigma of a state, and the weights of its prediction x0 = a x + b output; each [] or spread to fit x."""

    alpha: Tensor
    sigma: Tensor
    a: Tensor
    b: Tensor


class Before(NamedTuple):
    """What must be read before a step: whether it finishes another, and sigma of a state whose input is scaled."""

    inner: bool
    sigma: Tensor | None


def check(scheduler: Any) -> None:
    """ValueError, that says what is missing, for a scheduler whose steps, states or predictions cannot be read."""
    name, other = type(scheduler).__name__, "give the pipeline another one, e.g. DDIMScheduler.from_config(...)"
    taken = signature(scheduler.step).parameters if hasattr(scheduler, "step") else {}
    if missing := [word for word in ("model_output", "timestep", "sample") if word not in taken]:
        raise ValueError(f"{name} has no step that takes {', '.join(missing)}: {other}")
    said, sigmas = scheduler.config.get("prediction_type"), hasattr(scheduler, "sigmas")
    if said is not None and said not in FORMS:
        raise ValueError(f"{name} predicts {said!r}, which is none of {', '.join(FORMS)}: {other}")
    if said != "trigflow" and not sigmas and not hasattr(scheduler, "alphas_cumprod"):
        raise ValueError(f"{name} has neither sigmas nor alphas_cumprod, so its noise levels are unknown: {other}")
    if said is None and (hasattr(scheduler, "alphas_cumprod") or not sigmas):
        raise ValueError(f"{name} has no prediction_type in its config, so its output cannot be read: {other}")


def before(scheduler: Any, timestep: Any) -> Before:
    """To be asked right before ``scheduler.step``; changes nothing that the step does not set itself."""
    return Before(inner(scheduler), scaled(scheduler, timestep))


def inner(scheduler: Any) -> bool:
    """Whether this evaluation only completes a step: second order's second one, PNDM's corrections."""
    if hasattr(scheduler, "state_in_first_order"):
        return not scheduler.state_in_first_order
    if hasattr(scheduler, "prk_timesteps"):  # four evaluations in each of its first steps, or two in the very first
        warm = 0 if scheduler.config.skip_prk_steps else len(scheduler.prk_timesteps)
        return scheduler.counter % 4 != 0 if scheduler.counter < warm else warm == 0 and scheduler.counter == 1
    return False


def scaled(scheduler: Any, timestep: Any) -> Tensor | None:
    """sigma [] of a state that the network sees scaled to unit variance; None where it sees the state itself.

    How much an input of one shrinks tells sigma; the nearest of the scheduler's own sigmas is that number exactly.
    """
    one = torch.ones((), dtype=torch.float64)
    shrunk = one if not hasattr(scheduler, "scale_model_input") else scheduler.scale_model_input(one, timestep)
    if shrunk is one:
        return None
    sigma = (shrunk.cpu().double() ** -2 - scheduler.config.get("sigma_data", 1.0) ** 2).clamp(min=0).sqrt()
    own = [getattr(scheduler, name, None) for name in ("sigmas", "sigmas_interpol", "mid_point_sigma")]
    every = torch.cat([one.detach().cpu().double().reshape(-1) for one in own if one is not None])
    every = every[every.isfinite()]  # interpolated ones begin with a logarithm of nothing
    return every[(every - sigma).abs().argmin()]


def level(scheduler: Any, known: Before, timestep: Any, tokens: Tensor | None = None) -> Level:
    """The level of the state that ``scheduler.step`` has just left; ``tokens``: its per_token_timesteps (B, T), if any.

    A scheduler's ``step_index`` counts up in the step, so the state stood one before it.
    """
    config = scheduler.config
    said, trained = config.get("prediction_type"), getattr(scheduler, "alphas_cumprod", None)
    if said == "trigflow":
        t = scheduler.timesteps[scheduler.step_index - 1].double().cpu()
        return Level(torch.cos(t), torch.sin(t), *x0_weights("F", TrigFlow(sigma_data=1.0), t))
    if known.sigma is not None:
        one = torch.ones_like(known.sigma)
        if config.get("sigma_data") is not None:
            return Level(one, known.sigma, *preconditioned(config, known.sigma))
        return Level(one, known.sigma, *weights(FORMS[said], one, known.sigma))
    if not hasattr(scheduler, "sigmas"):
        kept = trained[timestep].double().cpu()
        return Level(kept.sqrt(), (1 - kept).sqrt(), *weights(FORMS[said], kept.sqrt(), (1 - kept).sqrt()))
    sigma = scheduler.sigmas[scheduler.step_index - 1].double().cpu()
    if trained is None or said == "flow_prediction" or config.get("use_flow_sigmas"):
        return flowing(scheduler, sigma, said, tokens)
    alpha = (sigma * sigma + 1).rsqrt()
    return Level(alpha, sigma * alpha, *weights(FORMS[said], alpha, sigma * alpha))


def flowing(scheduler: Any, sigma: Tensor, said: str | None, tokens: Tensor | None) -> Level:
    """Flow matching: x = (1 - sigma) x0 + sigma eps. With ``invert_sigmas`` sigma is the share of data instead."""
    config, sign = scheduler.config, 1.0
    if tokens is not None:
        sigma = (tokens / config.num_train_timesteps)[..., None].double()
    if config.get("invert_sigmas"):
        sigma, sign = 1 - sigma, -1.0
    a, b = weights(FORMS[said or "flow_prediction"], 1 - sigma, sigma)
    if said == "v_prediction":  # not of unit norm here: as the schedulers have it
        a, b = 1 - sigma, -sigma
    return Level(1 - sigma, sigma, a, sign * b)


def weights(form: str, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """(a, b), as tensors."""
    a, b = x0_weights(form, LinearFlow(), sigma, (alpha, sigma))
    return torch.as_tensor(a, dtype=alpha.dtype), torch.as_tensor(b, dtype=alpha.dtype)


def preconditioned(config: Any, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """(c_skip, c_out) of EDM; or of a consistency model, without a prediction type and clean at sigma_min."""
    said, data = config.get("prediction_type"), config.sigma_data
    above = sigma if said else sigma - config.sigma_min
    sign = -1.0 if said == "v_prediction" else 1.0
    skip = data**2 / (above**2 + data**2)
    return skip, sign * above * data / (sigma**2 + data**2).sqrt()


def rising(scheduler: Any) -> None:
    """ValueError for an inversion: the state that its step is given stands at another level than the timestep says."""
    times = scheduler.timesteps
    if not scheduler.config.get("invert_sigmas") and len(times) > 1 and bool(times[0] < times[-1]):
        raise ValueError(f"{type(scheduler).__name__} walks from data to noise; only sampling, from noise to data, is "
                         "recorded")
