"""The trajectory player: the same noise on its way to samples, through several models, step by step."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from widgets.view import View

KINDS = ("points", "images")
MOST = {"points": 20_000, "images": 512}  # samples that are kept
STEPS, MOMENTS = 240, 64  # steps per model and training steps that are kept
BYTES = 96 << 20  # what one message may weigh


def spread(count: int, most: int) -> np.ndarray:
    """At most ``most`` of ``count`` indices, evenly, with the first and the last."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def numbers(value: Any, what: str, shape: tuple[int | None, ...], fix: str) -> np.ndarray:
    """``value`` as finite numbers of this shape (None: any length but 0), or a sentence that says what to do."""
    array = np.asarray(value)
    alike = array.ndim == len(shape) and all(want in (None, have) for want, have in zip(shape, array.shape))  # noqa: B905
    if not alike or array.size == 0:
        wanted = "(" + ", ".join("any" if one is None else str(one) for one in shape) + ")"
        raise ValueError(f"{what} has shape {array.shape}, not {wanted}: {fix}")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{what} holds {array.dtype}, not numbers: {fix}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{what} holds NaN or infinity: leave those steps or samples out, or pass np.nan_to_num of it")
    return array


def batch(value: Any, what: str, kind: str, steps: int) -> np.ndarray:
    """States of shape (steps, S, 2) or (steps, S, H, W, C), checked."""
    if kind == "points":
        return numbers(value, what, (steps, None, 2), "pass (steps, samples, 2), one entry per entry of sigma")
    array = numbers(value, what, (steps, None, None, None, None), "pass (steps, samples, height, width, channels)")
    if array.shape[-1] not in (1, 3):
        raise ValueError(f"{what} has {array.shape[-1]} channels: put the channels last, and pass 1 or 3 of them")
    return array


def light(array: np.ndarray, kind: str, limits: Sequence[float]) -> np.ndarray:
    """What is sent: points as float32; images as bytes, 0 at the lower limit and 255 at the upper one."""
    if kind == "points":
        return array.astype(np.float32)
    low, high = limits
    out = np.empty(array.shape, np.uint8)
    for one, into in zip(array, out, strict=True):  # step by step, so that no second float copy of all is made
        into[...] = np.clip((one.astype(np.float32) - low) * (255 / (high - low)) + 0.5, 0, 255)
    return out


def framed(data: Mapping[str, Any]) -> tuple[str, tuple[float, float], list[str]]:
    """The kind, limits and notes every view of samples has, checked."""
    kind, limits = data.get("kind"), data.get("limits", ())
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}: say one of {', '.join(KINDS)}")
    low, high = numbers(limits, "limits", (2,), "pass (low, high) in data units").astype(float).tolist()
    if not low < high:
        raise ValueError(f"limits are ({low:g}, {high:g}): pass (low, high) with low below high")
    return kind, (low, high), [str(note) for note in data.get("notes") or ()]


def coloured(model: Mapping[str, Any], of: str) -> str:
    """A role or a plain CSS colour: nothing else may reach a style."""
    colour = str(model.get("colour") or model.get("role") or "student")
    if not re.fullmatch(r"[a-z]+|#[0-9a-fA-F]{3,8}", colour):
        raise ValueError(f"{of}colour is {colour!r}: pass a role, a colour's name or #rrggbb")
    return colour


def falling(value: Any, what: str) -> np.ndarray:
    """Noise levels: none negative, never rising; pure noise (no signal at all) is infinity."""
    sigma = np.array(value, dtype=np.float64)
    numbers(np.where(sigma == np.inf, 1.0, sigma), what, (None,), "pass one noise level per step")
    if (sigma < 0).any() or (sigma[1:] > sigma[:-1]).any():
        raise ValueError(f"{what} must fall from noise to data, none below 0: reverse it, or take noise over signal")
    return sigma


class Player(View):
    """Plays sampling: how the same noise becomes samples under each model, on one clock of noise levels.

    ``Player(title, kind, limits, moments, notes=[], density=None, grid=None, labels=None)``; ``.show`` takes the same.

    - kind "points" | "images"; limits (low, high) in data units: the reach of both axes, or the values drawn as paper
      and as ink (one channel) or as 0 and full (three channels).
    - moments: ``[{"step": int | None, "models": [...]}]``; several are successive training steps, same noise.
    - a model: name; role "teacher" | "student" | "average" | "critic"; colour (optional, role or hex); sigma (N+1,)
      noise over signal, falling, the last may be 0; t (N+1,) the process's own time; evaluations (N+1,) of the network
      so far; states (N+1, S, 2) or (N+1, S, H, W, C) with C 1 or 3, data units, noisy ones rescaled to the data's
      variance; x0 (optional) of the same shape, what the network takes for the clean sample; velocity (N+1, G, 2)
      (optional), data units: how far each step moves what stands on grid. N is each model's own; S is one for all.
    - density (points): {"x": (nx,), "y": (ny,), "value": (ny, nx)}; grid (points): (G, 2); labels: S strings.

    Kept: the first 20,000 points or 512 images, 240 steps and 64 moments; a note says what was left out.
    The page tells no events; hovering and scrubbing move the page's shared clock only.
    """

    module: ClassVar[str] = "player"

    def __init__(self, **data: Any) -> None:
        super().__init__(**prepared(data))

    def show(self, **data: Any) -> None:
        """Replace everything that is shown; takes what the class takes."""
        super().show(**prepared(data))


def prepared(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data checked and made light enough to send: what ``Player`` holds, and what ``standalone`` takes."""
    kind, limits, notes = framed(data)
    moments: list[dict[str, Any]] = list(data.get("moments") or ())
    if not moments or not all(moment.get("models") for moment in moments):
        raise ValueError('moments is empty or holds a moment without models: pass [{"step": None, "models": [...]}]')
    grid = data.get("grid")
    if grid is not None:
        grid = numbers(grid, "grid", (None, 2), "pass the positions of the arrows as (G, 2)").astype(np.float32)
    if len(moments) > MOMENTS:
        notes.append(f"{MOMENTS} of {len(moments)} training steps are shown, evenly chosen.")
        moments = [moments[index] for index in spread(len(moments), MOMENTS)]
    checked = [[model_checked(model, kind, grid) for model in moment["models"]] for moment in moments]
    counts = {model["states"].shape[1] for models in checked for model in models}
    if len(counts) > 1:
        raise ValueError(f"the models hold {sorted(counts)} samples: start all of them from the same noise, S alike")
    labels, count = data.get("labels"), counts.pop()
    if labels is not None and len(labels) != count:
        raise ValueError(f"there are {len(labels)} labels for {count} samples: pass one label per sample, or none")
    keep = kept(checked, kind, count, notes)
    sent = [{"step": moment.get("step"), "models": [lightened(model, kind, limits, keep, notes) for model in models]}
            for moment, models in zip(moments, checked, strict=True)]
    density = density_checked(data.get("density")) if kind == "points" else None
    return {"title": str(data.get("title", "")), "kind": kind, "limits": limits, "notes": list(dict.fromkeys(notes)),
            "moments": sent, "grid": grid, "density": density,
            "labels": None if labels is None else [str(label) for label in labels[:keep]]}


def kept(checked: list[list[dict[str, Any]]], kind: str, count: int, notes: list[str]) -> int:
    """How many samples are sent: a picture must stay quick to open."""
    weight = 0
    for model in (model for models in checked for model in models):
        steps, _, *shape = model["states"].shape
        each = int(np.prod(shape)) * (4 if kind == "points" else 1)
        weight += min(steps, STEPS) * each * (1 if model["x0"] is None else 2)
    keep = max(1, min(count, MOST[kind], BYTES // weight))
    if keep < count:
        notes.append(f"The first {keep:,} of {count:,} samples are shown.")
    return keep


def model_checked(model: Mapping[str, Any], kind: str, grid: np.ndarray | None) -> dict[str, Any]:
    name = str(model.get("name", ""))
    of = f"model {name!r}: "
    if missing := [key for key in ("name", "sigma", "t", "evaluations", "states") if model.get(key) is None]:
        raise ValueError(f"{of}{' and '.join(missing)} missing: give name, sigma, t, evaluations and states")
    sigma = falling(model["sigma"], of + "sigma")
    steps, role = len(sigma), str(model.get("role") or "student")
    one = f"pass one number per entry of sigma, {steps}"
    states = batch(model["states"], of + "states", kind, steps)
    x0, velocity = model.get("x0"), model.get("velocity")
    if x0 is not None:
        x0 = numbers(x0, of + "x0", states.shape, "pass x0 of the same shape as states")
    if velocity is not None:
        if grid is None:
            raise ValueError(f"{of}velocity without grid: pass grid (G, 2), the positions of the arrows")
        velocity = numbers(velocity, of + "velocity", (steps, len(grid), 2), "pass (steps, len(grid), 2)")
    return {"name": name, "role": role, "colour": coloured(model, of), "sigma": sigma, "states": states,
            "t": numbers(model["t"], of + "t", (steps,), one).astype(np.float64), "x0": x0, "velocity": velocity,
            "evaluations": numbers(model["evaluations"], of + "evaluations", (steps,), one).astype(np.int32)}


def lightened(model: dict[str, Any], kind: str, limits: Sequence[float], keep: int, notes: list[str]) -> dict[str, Any]:
    total = len(model["sigma"])
    chosen = spread(total, STEPS) if total > STEPS else slice(None)
    if total > STEPS:
        notes.append(f"{model['name']}: {STEPS} of {total:,} steps are shown, evenly chosen, both ends included.")
    slim: dict[str, Any] = {key: model[key][chosen] for key in ("sigma", "t", "evaluations")}
    for key in ("states", "x0"):
        slim[key] = None if model[key] is None else light(model[key][chosen, :keep], kind, limits)
    slim["velocity"] = None if model["velocity"] is None else model["velocity"][chosen].astype(np.float32)
    return {**model, **slim, "steps": total - 1,
            "index": np.arange(total, dtype=np.int32)[chosen]}


def density_checked(density: Mapping[str, Any] | None) -> dict[str, np.ndarray] | None:
    """The known density on a grid of at most 256 x 256 places."""
    if density is None:
        return None
    if missing := {"x", "y", "value"} - set(density):
        raise ValueError(f"density lacks {', '.join(sorted(missing))}: pass x (nx,), y (ny,) and value (ny, nx)")
    x = numbers(density["x"], "density x", (None,), "pass the places of the columns")
    y = numbers(density["y"], "density y", (None,), "pass the places of the rows")
    value = numbers(density["value"], "density value", (len(y), len(x)), "pass (len(y), len(x)): rows are y")
    across, down = spread(len(x), 256), spread(len(y), 256)
    return {"x": x[across].astype(np.float64), "y": y[down].astype(np.float64),
            "value": value[np.ix_(down, across)].astype(np.float32)}
