"""What the trajectory player shows, as arrays: states at the data's variance, x0-predictions, flow, known density."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.cells.draw import comparable, limits, pictures, visible
from workbench.cells.model import Model, colours
from workbench.noise import speak
from workbench.types import Frame

GRID = 15  # arrows along each axis
DENSITY = 96  # places along each axis where the known density is read


def sigmas(frames: Sequence[Frame], process: Any) -> np.ndarray:
    """(N+1,) noise over signal of the frames' first sample: EDM's sigma, the same in every process."""
    t = torch.stack([frame.t.reshape(-1)[0] for frame in frames]).double()
    alpha, sigma = process.signal_noise(t)
    return (sigma / alpha).numpy()


def player_data(walks: Mapping[str, Sequence[Frame]], models: Sequence[Model], title: str = "") -> dict[str, Any]:
    """The player's data of one walk for each model, by name."""
    return moments_data([(None, models, walks)], title)


def moments_data(moments: Sequence[tuple], title: str = "") -> dict[str, Any]:
    """The player's data of several moments of training: (step, models, walks by name) each."""
    bench = moments[0][1][0].bench
    flat = not pictures(bench)
    grid = arrows(bench) if flat and bench.shape == (2,) else None
    told = [{"step": step, "models": [model_data(model, walks[model.name], colours(models), grid) for model in models]}
            for step, models, walks in moments]
    data = {"title": title, "kind": "points" if flat else "images", "limits": limits(bench), "notes": [],
            "moments": told}
    if flat and len(bench.shape) == 1 and bench.shape[0] > 2:
        data["notes"].append(f"the first two of {bench.shape[0]} coordinates are shown")
    if grid is not None:
        data |= {"grid": grid.numpy(), "density": density(bench)}
    return data


def model_data(model: Model, frames: Sequence[Frame], looks: Mapping[str, tuple[str, str]],
               grid: Tensor | None) -> dict[str, Any]:
    """One model's walk as the player wants it."""
    states = torch.stack([comparable(frame.x_t, frame.t, model.process, model.bench.sigma_data) for frame in frames])
    data = {"name": model.name, "role": model.role, "colour": looks[model.name][0],
            "sigma": sigmas(frames, model.process), "t": np.array([float(f.t.reshape(-1)[0]) for f in frames]),
            "evaluations": np.array([frame.evaluations for frame in frames]),
            "states": seen(model.bench, states), "x0": seen(model.bench, torch.stack([frame.x0 for frame in frames]))}
    if grid is not None and frames[0].kind == "x0":
        data["velocity"] = flow(model, frames, grid).numpy()
    return data


def seen(bench: Any, x: Tensor) -> np.ndarray:
    """``shown`` of what is visible of samples (N, S, ...)."""
    return shown(visible(bench, x))


def shown(x: Tensor) -> np.ndarray:
    """(N, S, 2) of points' first two coordinates, (N, S, H, W, C) of pictures."""
    x = x.detach().float().cpu()
    return (x[..., :2] if x.ndim == 3 else x.permute(0, 1, 3, 4, 2)).numpy()


def arrows(bench: Any) -> Tensor:
    """(G, 2) places on a square grid inside the limits."""
    low, high = limits(bench)
    side = torch.linspace(0.9 * low, 0.9 * high, GRID)
    return torch.cartesian_prod(side, side)


@torch.no_grad()
def flow(model: Model, frames: Sequence[Frame], grid: Tensor) -> Tensor:
    """(N+1, G, 2): how far the step from each frame moves what stands on the grid, in the drawn coordinates."""
    net, process, sd = speak(model.net, model.process, "x0"), model.process, model.bench.sigma_data
    found = []
    for frame in frames:
        t, s = (time.reshape(-1)[:1].expand(len(grid)) for time in (frame.t, frame.s))
        if bool((t == s).all()):
            found.append(torch.zeros_like(grid))
            continue
        scale = comparable(torch.ones(1, 1), t[:1], process, sd)
        x = grid / scale
        moved = process.jump(x, t, s, net(x, t, None, None, None))
        found.append(comparable(moved, s[:1], process, sd) - grid)
    return torch.stack(found)


def density(bench: Any) -> dict[str, np.ndarray] | None:
    """The known density of clean data on a grid, where the bench knows it."""
    truth = getattr(bench, "truth", None)
    if truth is None:
        return None
    low, high = limits(bench)
    side = torch.linspace(low, high, DENSITY)
    places = torch.cartesian_prod(side, side)
    value = truth.log_likelihood(places).exp().reshape(DENSITY, DENSITY).T
    return {"x": side.numpy(), "y": side.numpy(), "value": value.float().numpy()}
