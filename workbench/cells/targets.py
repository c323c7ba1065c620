"""``targets``: what each net takes for the clean sample (the diffusion target), at every step of a path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from workbench.cells.draw import limits, pictures
from workbench.cells.hybrid import branched
from workbench.cells.model import Model, colours, listed
from workbench.cells.show import panel
from workbench.cells.style import AVERAGE
from workbench.cells.target_stills import stills
from workbench.cells.trajectories import seen, sigmas
from workbench.noise import move, speak
from workbench.types import Frame

PATHS = ("teacher", "own")


class Said(NamedTuple):
    """x0-predictions (N, B, ...) of one net down a path, with their measures by step, all in data units.

    sigma (N,): noise over signal. to_end (N,): root mean square distance to the path's end. change (N,): the same to
    the prediction one step before, NaN at first. diversity (N,): root mean square distance of two samples of one label
    (any two where there are no labels), per coordinate. end (B, ...): the sample that the path ends with.
    """

    sigma: np.ndarray
    x0: Tensor
    to_end: np.ndarray
    change: np.ndarray
    diversity: np.ndarray
    end: Tensor


def targets(
    teacher: Model,
    students: Model | Sequence[Model] = (),
    *,
    num_inference_steps: int = 8,
    path: str = "teacher",
    seed: int = 0,
    samples: int | None = None,
    sample: int = 3,
) -> dict[str, Said]:
    """Inspect the x0-predictions of teacher and students step by step; returns name -> ``Said``.

    ``path`` "teacher": all are asked at the states of one path, the teacher's. "own": each on its own path, the
    students in their own numbers of steps. Live, a click on a cell compares it with the teacher's, and goes on from
    there with another model (``branched``).
    """
    if path not in PATHS:
        raise ValueError(f"path must be one of {', '.join(PATHS)}, got {path!r}")
    everyone = listed([teacher, *([students] if isinstance(students, Model) else students)])
    noise, cond = teacher.bench.start(samples or (64 if pictures(teacher.bench) else 400), seed)
    base = everyone[0]
    frames = base.frames(noise, cond, num_inference_steps, seed)
    walks = {base.name: frames}
    if path == "own":
        walks |= {model.name: model.frames(noise, cond, None, seed) for model in everyone[1:]}
        found = {name: said([frame.x0 for frame in walk[:-1]], walk, one.process, cond)
                 for one, (name, walk) in zip(everyone, walks.items(), strict=True)}
    else:
        found = {one.name: said([asked(one, frame, base, cond) for frame in frames[:-1]], frames, base.process, cond)
                 for one in everyone}
    widget = inspected(everyone, found, frames, sample)
    if widget is not None:
        widget.on_event(lambda event: answer(widget, event, everyone, walks, base, cond, seed))
    return found


@torch.no_grad()
def asked(model: Model, frame: Frame, path: Model, cond: Tensor | None) -> Tensor:
    """What a model takes for x0 (B, ...) at a state of another's path: a student of two times, for where it lands."""
    x, t = move(frame.x_t, frame.t, path.process, model.process)
    net = speak(model.net, model.process, "x0")
    s = torch.zeros_like(t) if model.run and getattr(model.net, "second_time", False) else None
    scale = None if model.guidance_scale is None else torch.full(t.shape[:1], model.guidance_scale)
    return net(x, t, s, cond, scale)


def said(x0: Sequence[Tensor], frames: Sequence[Frame], process: Any, cond: Tensor | None) -> Said:
    """The predictions with their measures; ``frames`` are the path, its last one the sample."""
    every, end = torch.stack(list(x0)), frames[-1].x_t
    exact = every.double()
    change = [float("nan"), *(rms(exact[1:] - exact[:-1]).tolist() if len(exact) > 1 else [])]
    spread = torch.stack([diversity(one, cond) for one in exact])
    return Said(sigmas(frames[:-1], process), every, rms(exact - end.double()).numpy(), np.array(change),
                spread.numpy(), end)


def rms(x: Tensor) -> Tensor:
    """(N,) root mean squares of x (N, ...)."""
    return x.flatten(1).square().mean(1).sqrt()


def diversity(x: Tensor, cond: Tensor | None) -> Tensor:
    """Root mean square distance [] per coordinate of two different samples of x (B, ...) with the same label.

    The mean over pairs of |x_i - x_j|^2 is twice the unbiased variance; labels count by their numbers of pairs.
    """
    groups = [x] if cond is None else [x[cond == label] for label in cond.unique()]
    pairs = [len(group) * (len(group) - 1) for group in groups]
    squares = [2 * group.flatten(1).var(0).mean() * count for group, count in zip(groups, pairs, strict=True) if count]
    if not squares:
        return torch.full((), float("nan"))
    return (torch.stack(squares).sum() / sum(pairs)).sqrt()


def inspected(models: list[Model], found: Mapping[str, Said], frames: Sequence[Frame], sample: int) -> Any:
    """The stills and, live, the inspector."""
    bench, looks = models[0].bench, colours(models)
    rows = [row_of(one.name, one.role, looks[one.name][0], found[one.name], one.process, bench) for one in models]
    data = {"title": "", "kind": "images" if pictures(bench) else "points", "limits": limits(bench), "notes": [],
            "rows": rows, "can_branch": True}
    figure = stills(models, found, frames, sample)
    numbers = {name: {key: getattr(one, key).tolist() for key in ("sigma", "to_end", "change", "diversity")}
               for name, one in found.items()}
    return panel(figure, "x0 predictions", numbers, view=("inspector", data))


def row_of(name: str, role: str, colour: str, one: Said, process: Any, bench: Any) -> dict[str, Any]:
    times = [process.at_sigma(float(sigma)) for sigma in one.sigma]
    return {"name": name, "role": role, "colour": colour, "sigma": one.sigma, "t": np.array(times),
            "x0": seen(bench, one.x0), "to_end": one.to_end, "change": one.change, "diversity": one.diversity,
            "final": seen(bench, one.end[None])[0]}


def answer(widget: Any, event: dict[str, Any], models: list[Model], walks: Mapping[str, list[Frame]], base: Model,
           cond: Tensor | None, seed: int) -> None:
    """A cell was clicked and another model chosen: walk on from there with it and show the new row."""
    if event.get("event") != "branch" or not 0 <= event["row"] < len(models):
        return
    first = models[event["row"]]
    path = walks.get(first.name, walks[base.name])
    owner = first if first.name in walks else base
    then = next(model for model in models if model.name == event["with"])
    frame = path[event["step"]]
    walked = branched(owner, frame, then, cond, seed)
    name = f"{owner.name} {event['step']} steps, then {then.name}"
    one = said([f.x0 for f in walked[:-1]], walked, then.process, cond)
    widget.add(row_of(name, "average", AVERAGE, one, then.process, then.bench))
