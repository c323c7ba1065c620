"""``straightness``: how far a path is from the line that one step would take, and where it bends."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from workbench.cells.model import Model, colours
from workbench.cells.show import panel
from workbench.cells.style import DATA, canvas, drawing, number
from workbench.cells.trajectories import sigmas
from workbench.noise import LinearFlow, move


class Bends(NamedTuple):
    """straightness (S,): chord over length of each sample's path, 1 for a line. turns (N-1,): mean angle between two
    steps that follow each other, in degrees; sigma (N-1,): the noise level between them."""

    straightness: Tensor
    turns: Tensor
    sigma: Tensor


def straightness(model: Model, *, num_inference_steps: int | None = None, samples: int = 400, seed: int = 0) -> Bends:
    """Measure and show how straight the model's paths are, in the coordinates x_t = (1 - t) x0 + t eps.

    There a line is what one Euler step of a flow model follows (2209.03003). Few steps flatter a path: ask for many.
    """
    model = model.now()
    noise, cond = model.bench.start(samples, seed)
    frames, linear = model.frames(noise, cond, num_inference_steps, seed), LinearFlow()
    if len(frames) < 3:
        raise ValueError(f"{model.name} walks {len(frames) - 1} step: give num_inference_steps of 2 or more")
    path = torch.stack([move(frame.x_t, frame.t, model.process, linear)[0].double().flatten(1) for frame in frames])
    steps = path[1:] - path[:-1]
    lengths = steps.norm(dim=2)
    found = Bends((path[-1] - path[0]).norm(dim=1) / lengths.sum(0), turns(steps),
                  torch.as_tensor(sigmas(frames, model.process))[1:-1])
    panel(chart(model, found), "straightness", {"straightness": found.straightness.tolist(),
                                                "turns": found.turns.tolist(), "sigma": found.sigma.tolist()})
    return found


def turns(steps: Tensor) -> Tensor:
    """(N-1,) mean angle in degrees between steps (N, S, D) that follow each other."""
    cosine = torch.cosine_similarity(steps[1:], steps[:-1], dim=2).clamp(-1, 1)
    return cosine.acos().mean(1) * (180 / math.pi)


@drawing
def chart(model: Model, found: Bends):
    figure, (axes,) = canvas(1, 2, size=(8.0, 2.7))
    colour = colours([model])[model.name][0]
    axes[0].hist(found.straightness.numpy(), bins=30, color=DATA)
    middle = float(found.straightness.mean())
    axes[0].axvline(middle, color=colour, linewidth=1.2, label=f"mean {number(middle)}")
    axes[0].set(xlabel="chord over length of a path (1: a line)", ylabel="paths", title="straightness")
    axes[0].legend()
    axes[1].plot(found.sigma, found.turns, color=colour, marker="o", markersize=3)
    axes[1].set(xscale="log", xlabel="noise level σ; sampling runs left", ylabel="mean turn (degrees a step)",
                title=f"where the paths of {model.name} bend", ylim=(0, None))
    axes[1].grid(alpha=0.2, linewidth=0.5)
    return figure
