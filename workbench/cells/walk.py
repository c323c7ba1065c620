"""``walk``: how samples come to be from noise; ``growth``: how one noise's samples change as a student learns."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import torch
from matplotlib.figure import Figure

from workbench.cells.draw import comparable, limits, picture, pictures, points, side_by_side, visible
from workbench.cells.model import Model, colours, listed
from workbench.cells.show import live_page, panel
from workbench.cells.style import DATA, STUDENT, bare, canvas, drawing, even, number, side_title
from workbench.cells.trajectories import moments_data, player_data
from workbench.train.checkpoint import BrokenCheckpoint, checkpoints, read
from workbench.types import Frame

COLUMNS = 9  # steps shown of a long walk; all of a short one


def sigma_of(frame: Frame, process) -> float:
    """Noise over signal of a frame's first sample: the level in EDM's units, the same in every process."""
    alpha, sigma = process.signal_noise(frame.t.reshape(-1)[:1])
    return float(sigma / alpha)


def walk(
    models: Model | Sequence[Model], *, num_inference_steps: int | None = None, seed: int = 0, sample: int = 3
) -> dict[str, list[Frame]]:
    """Walk each model from the same noise by its own sampler and show state and x0-prediction at every step.

    ``num_inference_steps`` None: each model's own. Live and in a job's HTML: the trajectory player. As a still,
    pictures: one ``sample`` as a strip; points: the paths of many.
    """
    models = listed(models)
    bench = models[0].bench
    noise, cond = bench.start(count(bench), seed)
    found = {model.name: model.frames(noise, cond, num_inference_steps, seed) for model in models}
    figure = strips(models, found, sample) if pictures(bench) else paths(models, found)
    panel(figure, "walk", view=("player", player_data(found, models)))
    return found


def count(bench) -> int:
    """Samples walked: many on a page that can show them, fewer in a file."""
    return (64 if live_page() else 16) if pictures(bench) else (2000 if live_page() else 600)


def growth(
    student: Model, *, num_inference_steps: int | None = None, seed: int = 0, sample: int = 3
) -> dict[int, list[Frame]]:
    """Walk the same noise by the student as it stood at each kept checkpoint; returns step -> frames.

    Keep more of them with ``w.distil(..., milestones=8)``. ValueError where the run has no folder or no checkpoint.
    """
    run = student.trained
    if run.folder is None or not checkpoints(run.folder):
        raise ValueError(f"{student.name} has no checkpoints: train it in a folder, with milestones=8")
    bench = student.bench
    noise, cond = bench.start(count(bench), seed)
    found = {}
    for path in checkpoints(run.folder):
        try:
            state, tensors = read(path)
        except BrokenCheckpoint:  # a run that still trains has dropped it meanwhile
            continue
        found[state["step"]] = as_at(student, tensors).frames(noise, cond, num_inference_steps, seed)
    moments = [(step, [student], {student.name: frames}) for step, frames in found.items()]
    ends = {f"step {step}": (frames[-1].x_t, STUDENT) for step, frames in found.items()}
    panel(side_by_side(bench, ends), "growth", view=("player", moments_data(moments)))
    return found


def as_at(student: Model, tensors: dict) -> Model:
    """The student with the weights of a checkpoint: its average's, where the method keeps one."""
    run = student.trained
    averages = sorted(name for name in run.averages if name.startswith("student.average"))
    start = f"nets/{averages[-1] if averages else 'student'}/"
    net = deepcopy(student.net)
    net.load_state_dict({name.removeprefix(start): one for name, one in tensors.items() if name.startswith(start)})
    return replace(student, net=net, live=None)


@drawing
def strips(models: list[Model], found: dict[str, list[Frame]], sample: int) -> Figure:
    low, high = limits(models[0].bench)
    chosen = {name: [frames[i] for i in even(len(frames), COLUMNS)] for name, frames in found.items()}
    width = max(map(len, chosen.values()))
    figure, axes = canvas(2 * len(models), width, size=(1.2 + 0.85 * width, 1.84 * len(models) + 0.1), tight=True)
    tints = colours(models)
    for turn, model in enumerate(models):
        for column in range(width):
            top, bottom = bare(axes[2 * turn][column]), bare(axes[2 * turn + 1][column])
            if column >= len(chosen[model.name]):
                continue
            frame = chosen[model.name][column]
            state = comparable(frame.x_t, frame.t, model.process, model.bench.sigma_data)
            picture(top, visible(model.bench, state[sample]), low, high)
            picture(bottom, visible(model.bench, frame.x0[sample]), low, high)
            top.set_title(
                "sample" if frame is found[model.name][-1] else f"σ {number(sigma_of(frame, model.process), 2)}",
                fontsize=8,
                loc="center",
                pad=2,
            )
        calls = found[model.name][-1].evaluations
        side_title(axes[2 * turn][0], f"{model.name}\nx_t, {calls} calls", tints[model.name][0])
        side_title(axes[2 * turn + 1][0], "x0 said", tints[model.name][0])
    return figure


@drawing
def paths(models: list[Model], found: dict[str, list[Frame]]) -> Figure:
    """Left to right, a model each: a few paths in grey, drawn at the data's variance, all samples where they landed."""
    low, high = limits(models[0].bench)
    figure, (axes,) = canvas(1, len(models), size=(3.1 * len(models), 3.2))
    for axis, model in zip(axes, models, strict=True):
        frames = found[model.name]
        states = torch.stack([comparable(f.x_t, f.t, model.process, model.bench.sigma_data) for f in frames])
        for index in range(40):
            axis.plot(states[:, index, 0], states[:, index, 1], color=DATA, linewidth=0.5, alpha=0.6, zorder=1)
        colour = colours(models)[model.name][0]
        points(axis, frames[-1].x_t, low, high, colour)
        axis.set_title(f"{model.name}, {frames[-1].evaluations} calls", color=colour)
        axis.set(xlabel="x1 (data units)", ylabel="x2 (data units)")
    return figure
