"""Another scheduler for a pipeline, by its name, configured from the one that it was trained with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

from workbench.naming import unknown
from workbench.teachers.from_diffusers.schedule import flows


def scheduler_of(pipeline: Any, asked: Any = None) -> Any:
    """A scheduler for the pipeline: ``asked`` by its class's name in diffusers ("DDIM" or "DDIMScheduler"), itself, or
    None: the pipeline's own.

    A named one takes over betas, prediction type, spacing and shift of the pipeline's own; solvers that can do both are
    told where it flows. Clipping, which some classes switch on by themselves, stays as the pipeline's own has it.
    ValueError for an unknown name, and for a scheduler of states that the network was not trained on.
    """
    import diffusers

    own = pipeline.scheduler
    if not isinstance(asked, str):
        return own if asked is None else asked
    names = [name for name in dir(diffusers) if name.endswith("Scheduler") and not name.startswith("Flax")]
    whole = asked if asked in names else f"{asked}Scheduler"
    if whole not in names:
        raise ValueError(unknown("scheduler", asked, names))
    kind = getattr(diffusers, whole)
    try:
        takes = signature(kind.__init__).parameters
        config = {name: value for name, value in own.config.items() if name in takes or name.startswith("_")}
        made = kind.from_config(config, **taken_over(own, takes))
    except (ImportError, TypeError) as error:
        said = str(error).strip().splitlines()[0]
        raise ValueError(f"{asked} cannot be made from {type(own).__name__}'s config: {said}") from error
    if family(made) != family(own):
        raise ValueError(f"{asked} is for networks trained on {family(made)}, and {type(pipeline).__name__} was "
                         f"trained on {family(own)}: ask for a scheduler of the same kind as {type(own).__name__}")
    return made


def taken_over(own: Any, takes: Any) -> dict[str, Any]:
    """Settings that ``from_config`` alone would lose or leave to a default that changes the result."""
    config, found = own.config, {}
    if flows(own):
        shift = config.get("shift", config.get("flow_shift", 1.0))
        found = {"shift": shift, "flow_shift": shift, "use_flow_sigmas": True}
        found |= {"prediction_type": "flow_prediction"} if "use_flow_sigmas" in takes else {}
    found["clip_sample"] = bool(config.get("clip_sample", False))
    return {name: value for name, value in found.items() if name in takes}


def family(scheduler: Any) -> str:
    """What a network must have been trained on to be sampled by it."""
    betas = hasattr(scheduler, "alphas_cumprod")
    if scheduler.config.get("use_flow_sigmas") or (flows(scheduler) and not betas):
        return "flow matching"
    return "betas" if betas else f"the levels of {type(scheduler).__name__}"


@contextmanager
def under(pipeline: Any, scheduler: Any) -> Iterator[Any]:
    """The pipeline sampling by ``scheduler`` while this is open, and by its own again after it."""
    own = pipeline.scheduler
    pipeline.scheduler = scheduler
    try:
        yield pipeline
    finally:
        pipeline.scheduler = own
