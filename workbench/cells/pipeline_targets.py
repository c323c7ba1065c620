"""``targets_of``: what a diffusers pipeline takes for the clean sample at every step, under any schedulers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from workbench.cells.pipeline import loaded
from workbench.cells.pipeline_target_stills import looks, stills
from workbench.cells.show import live_page, panel, run_folder
from workbench.cells.style import even
from workbench.cells.targets import diversity, rms
from workbench.teachers.from_diffusers.recorded import Recorded, record
from workbench.teachers.from_diffusers.schedulers import scheduler_of, under

COLUMNS = 12  # steps that the inspector has cells for
PROMPTS = ("a red circle", "a blue square on the left")


class Heard(NamedTuple):
    """One row: the recorded call, and the measures of its x0-predictions by step, in the units of its states.

    sigma (N,): noise over signal, infinite at pure noise. to_end (N,): root mean square distance to the state that the
    call ended with. change (N,): the same to the prediction one step before, NaN at first. diversity (N,): root mean
    square distance of two samples of one prompt, NaN with one sample a prompt. ``recorded.pictures(...)`` decodes.
    """

    sigma: np.ndarray
    to_end: np.ndarray
    change: np.ndarray
    diversity: np.ndarray
    recorded: Recorded


def targets_of(
    pipelines: Any = "", prompts: str | Sequence[str] = PROMPTS, *, schedulers: Sequence[Any] | Mapping[str, Any] = (),
    num_inference_steps: int | Mapping[str, int] = 8, guidance_scale: float | Mapping[str, float] | None = None,
    samples: int = 4, sample: int = 0, seed: int = 0, size: int | None = 64, **call: Any,
) -> dict[str, Heard]:  # fmt: skip
    """Record each pipeline under each scheduler from the same noise and show its x0-predictions; row name -> ``Heard``.

    pipelines: a folder, a loaded diffusers pipeline, or a mapping name -> one of these (teacher first, then students).
    "" is a small pipeline with random weights, to try this on. schedulers: class names of diffusers, e.g.
    ("DDIMScheduler", "UniPCMultistepScheduler"), or a mapping name -> scheduler; none: each pipeline's own.
    num_inference_steps and guidance_scale: for all, or by the pipeline's name; guidance None: the pipeline's default.
    ``samples`` are drawn for each prompt, ``sample`` (counted over all) is the one in the still. ``size``: the
    most that the longer side of a picture has, None for full size; latents are averaged where they shrink. ``call``:
    what else the pipelines are to be told (height, num_frames, ...). ValueError for what cannot be loaded, sampled or
    recorded.
    """
    named = pipelines if isinstance(pipelines, Mapping) else {"": pipelines}
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    if not 0 <= sample < samples * max(1, len(texts)):
        raise ValueError(f"sample {sample} is none of the {samples * len(texts)} that are drawn: 0 is the first")
    asked = dict(schedulers) if isinstance(schedulers, Mapping) else {short(one): one for one in schedulers}
    if len(asked) < len(schedulers):
        raise ValueError("two rows would have one name: give schedulers as a mapping name -> scheduler")
    found, roles = {}, {}
    for place, (name, given) in enumerate(named.items()):
        pipe = loaded(given)
        told, cond = said_to(pipe, texts, samples, picked(guidance_scale, name), call)
        for label, scheduler in (asked or {"": None}).items():
            row = ", ".join(part for part in (name, label) if part) or short(pipe.scheduler)
            found[row] = heard(pipe, scheduler, told, cond, picked(num_inference_steps, name), seed)
            roles[row] = place
    show(found, roles, texts, samples, sample, size)
    return found


def short(scheduler: Any) -> str:
    """"UniPCMultistep" of "UniPCMultistepScheduler"."""
    return (scheduler if isinstance(scheduler, str) else type(scheduler).__name__).removesuffix("Scheduler")


def picked(value: Any, name: str) -> Any:
    """What holds for the pipeline of that name; ValueError where a mapping forgets it."""
    if isinstance(value, Mapping) and name not in value:
        raise ValueError(f"{dict(value)} says nothing about pipeline {name!r}: give one value for all, or each its own")
    return value[name] if isinstance(value, Mapping) else value


def said_to(pipe: Any, texts: list[str], samples: int, guidance_scale: float | None,
            call: Mapping[str, Any]) -> tuple[dict[str, Any], Tensor | None]:  # fmt: skip
    """(what the pipeline is called with, which prompt each sample has (B,), or None where it takes no prompts)."""
    takes = signature(type(pipe).__call__).parameters
    if guidance_scale is not None and "guidance_scale" not in takes:
        raise ValueError(f"{type(pipe).__name__} takes no guidance_scale: leave it out")
    if "prompt" not in takes:
        return {"batch_size": samples, **call}, None
    told = {"prompt": [text for text in texts for _ in range(samples)], "output_type": "latent", **call}
    told |= {} if guidance_scale is None else {"guidance_scale": guidance_scale}
    return told, torch.arange(len(texts)).repeat_interleave(samples)


def heard(pipe: Any, scheduler: Any, told: dict[str, Any], cond: Tensor | None, steps: int, seed: int) -> Heard:
    """One recorded call and its measures."""
    pipe.set_progress_bar_config(disable=True)
    with under(pipe, scheduler_of(pipe, scheduler)):
        generator = torch.Generator().manual_seed(seed)
        kept = record(pipe, **told, num_inference_steps=steps, generator=generator, device="cpu")
    x0, end = kept.x0.double(), kept.end.double()
    change = [float("nan"), *(rms(x0[1:] - x0[:-1]).tolist() if len(x0) > 1 else [])]
    spread = torch.stack([diversity(one, cond) for one in x0])
    return Heard(kept.sigma.double().numpy(), rms(x0 - end).numpy(), np.array(change), spread.numpy(), kept)


def show(found: Mapping[str, Heard], roles: Mapping[str, int], texts: list[str], samples: int, sample: int,
         size: int | None) -> None:  # fmt: skip
    """The stills and, live or in a job, the inspector."""
    tints = looks(roles)
    first = next(iter(found.values())).recorded
    prompt = f"“{texts[sample // samples]}”" if first.asked.get("prompt") else ""
    figure = stills(found, tints, prompt, sample, size)
    numbers = {name: {key: getattr(one, key).tolist() for key in ("sigma", "to_end", "change", "diversity")}
               for name, one in found.items()}
    view = None
    if live_page() or run_folder() is not None:  # only then are the other samples decoded
        rows = [row_of(name, one, roles[name], tints[name][0], size) for name, one in found.items()]
        view = ("inspector", {"title": "", "kind": "images", "limits": (-1.0, 1.0), "notes": [], "rows": rows,
                              "can_branch": False})
    panel(figure, "x0 predictions", numbers, view=view)


def row_of(name: str, one: Heard, place: int, colour: str, size: int | None) -> dict[str, Any]:
    """The inspector's row: at most ``COLUMNS`` of its steps, evenly chosen, decoded small."""
    steps = list(even(len(one.sigma), COLUMNS))
    kept = one.recorded
    pictures = kept.pictures(steps, size=size).movedim(2, -1).numpy()
    part = {key: np.nan_to_num(getattr(one, key)[steps]) for key in ("to_end", "diversity")}
    return {"name": name, "role": "student" if place else "teacher", "colour": colour, "sigma": one.sigma[steps],
            "t": np.array([kept.steps[at].timestep for at in steps]), "x0": pictures, "change": one.change[steps],
            "final": kept.sample(size=size).movedim(1, -1).numpy(), "unit": unit(kept), **part}


def unit(kept: Recorded) -> str:
    return "data units" if getattr(kept.pipeline, "vae", None) is None else "latent units"
