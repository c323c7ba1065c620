"""A diffusers scheduler read as a noise process, a prediction form and a grid of times."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from workbench.noise import LinearFlow, Process, VpTable

FORM_OF = {"epsilon": "eps", "v_prediction": "v", "sample": "x0", "flow_prediction": "velocity"}


def read(scheduler: Any, sigma_data: float = 1.0) -> tuple[Process, str]:
    """(process, form) that a pipeline's network was trained in, from its scheduler's config.

    Betas give a ``VpTable``, flow matching a ``LinearFlow``. ValueError for a schedule or prediction that is neither.
    """
    config = scheduler.config
    if flows(scheduler):
        return LinearFlow(sigma_data=sigma_data), "velocity"
    if getattr(scheduler, "betas", None) is None:
        raise ValueError(f"{type(scheduler).__name__} has neither betas nor flow matching: give the pipeline the "
                         "scheduler it was trained with, e.g. DDIMScheduler.from_config(...)")
    form = FORM_OF.get(config.get("prediction_type", "epsilon"))
    if form is None:
        raise ValueError(f"unknown prediction_type {config.prediction_type!r}; known: {', '.join(FORM_OF)}")
    given = config.get("trained_betas")
    return VpTable(sigma_data=sigma_data, beta_schedule=config.beta_schedule, beta_start=config.beta_start,
                   beta_end=config.beta_end, num_train_timesteps=config.num_train_timesteps,
                   zero_terminal_snr=bool(config.get("rescale_betas_zero_snr", False)),
                   betas=None if given is None else tuple(float(beta) for beta in given)), form


def flows(scheduler: Any) -> bool:
    """Whether its states are (1 - sigma) x0 + sigma eps."""
    config = scheduler.config
    return ("FlowMatch" in type(scheduler).__name__ or config.get("prediction_type") == "flow_prediction"
            or bool(config.get("use_flow_sigmas", False)))


def shifted(pipe: Any, shape: tuple[int, ...]) -> dict[str, float]:
    """What flow pipelines tell their scheduler of a picture's size: ``mu``, linear in the number of tokens."""
    config = pipe.scheduler.config
    if not config.get("use_dynamic_shifting", False):
        return {}
    tokens = shape[-1] * shape[-2] // 4
    low, high = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    slope = (config.get("max_shift", 1.15) - config.get("base_shift", 0.5)) / (high - low)
    return {"mu": tokens * slope + config.get("base_shift", 0.5) - slope * low}


def grid(scheduler: Any, num_inference_steps: int, **asked: Any) -> Tensor:
    """(N+1,) falling times of the scheduler's own steps, in t of the process that ``read`` gives.

    ``asked`` goes to ``set_timesteps``. Flow matching: its sigmas. Betas: its timesteps, each t = k + 1, then where its
    last step lands: clean, or the first timestep's level where its config says so (``set_alpha_to_one`` False,
    ``final_sigmas_type`` "sigma_min").
    """
    if "sigmas" not in asked:
        asked["num_inference_steps"] = num_inference_steps
    scheduler.set_timesteps(**asked)
    if flows(scheduler):
        return scheduler.sigmas.detach().double().cpu()
    times = scheduler.timesteps.detach().double().cpu() + 1
    config = scheduler.config
    stays = config.get("set_alpha_to_one") is False or config.get("final_sigmas_type") == "sigma_min"
    end = torch.tensor([1.0 if stays else 0.0], dtype=torch.float64)
    return torch.cat([times, end])
