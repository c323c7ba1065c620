"""``walk`` and ``predictions``: how samples come to be, and what each net takes for the clean sample on the way."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workbench.cells.draw import comparable, limits, picture, pictures, points
from workbench.cells.model import Model, colours, listed
from workbench.cells.show import panel
from workbench.cells.style import DATA, bare, canvas, drawing, even, number, side_title
from workbench.noise import move, speak
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

    ``num_inference_steps`` None: each model's own. Pictures: one ``sample`` as a strip; points: the paths of many.
    """
    models = listed(models)
    bench = models[0].bench
    noise, cond = bench.start(16 if pictures(bench) else 600, seed)
    found = {model.name: model.frames(noise, cond, num_inference_steps, seed) for model in models}
    if pictures(bench):
        strips(models, found, sample)
    else:
        paths(models, found)
    return found


@drawing
def strips(models: list[Model], found: dict[str, list[Frame]], sample: int) -> None:
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
            picture(top, state[sample], low, high)
            picture(bottom, frame.x0[sample], low, high)
            top.set_title(
                "sample" if frame is found[model.name][-1] else f"σ {number(sigma_of(frame, model.process), 2)}",
                fontsize=8,
                loc="center",
                pad=2,
            )
        calls = found[model.name][-1].evaluations
        side_title(axes[2 * turn][0], f"{model.name}\nx_t, {calls} calls", tints[model.name][0])
        side_title(axes[2 * turn + 1][0], "x0 said", tints[model.name][0])
    panel(figure, "walk")


@drawing
def paths(models: list[Model], found: dict[str, list[Frame]]) -> None:
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
    panel(figure, "walk")


def predictions(
    teacher: Model,
    students: Model | Sequence[Model],
    *,
    num_inference_steps: int = 8,
    seed: int = 0,
    samples: int | None = None,
    sample: int = 3,
) -> dict[str, list[float]]:
    """The x0-prediction of teacher and students at every step of one path, the teacher's, and how far they end apart.

    Returns name -> root mean square distance (data units) of the prediction to the path's end, by step.
    """
    everyone = listed([teacher, *listed(students)])
    noise, cond = teacher.bench.start(samples or (64 if pictures(teacher.bench) else 400), seed)
    frames = teacher.frames(noise, cond, num_inference_steps, seed)
    said = {model.name: [asked(model, frame, teacher, cond) for frame in frames[:-1]] for model in everyone}
    end = frames[-1].x_t
    apart = {name: [float((x0 - end).square().mean().sqrt()) for x0 in row] for name, row in said.items()}
    sigmas = [sigma_of(frame, teacher.process) for frame in frames[:-1]]
    if pictures(teacher.bench):
        rows_of_pictures(everyone, frames, said, sigmas, sample)
    else:
        rows_of_points(everyone, frames, said, sigmas)
    curves(everyone, apart, sigmas)
    return apart


@torch.no_grad()
def asked(model: Model, frame: Frame, path: Model, cond: Tensor | None) -> Tensor:
    """What a model takes for x0 (B, ...) at a state of another's path: a student of two times, for where it lands."""
    x, t = move(frame.x_t, frame.t, path.process, model.process)
    net = speak(model.net, model.process, "x0")
    s = torch.zeros_like(t) if model.run and getattr(model.net, "second_time", False) else None
    scale = None if model.guidance_scale is None else torch.full(t.shape[:1], model.guidance_scale)
    return net(x, t, s, cond, scale)


@drawing
def rows_of_pictures(
    models: list[Model], frames: list[Frame], said: dict[str, list[Tensor]], sigmas: list[float], sample: int
) -> None:
    low, high = limits(models[0].bench)
    shown, tints = even(len(sigmas), 12), colours(models)
    figure, axes = canvas(
        1 + len(models), len(shown), size=(1.2 + 0.8 * len(shown), 0.84 * (1 + len(models)) + 0.2), tight=True
    )
    for column, index in enumerate(shown):
        state = comparable(frames[index].x_t, frames[index].t, models[0].process, models[0].bench.sigma_data)
        picture(axes[0][column], state[sample], low, high)
        axes[0][column].set_title(f"σ {number(sigmas[index], 2)}", fontsize=8, loc="center", pad=2)
        for row, model in enumerate(models, 1):
            picture(axes[row][column], said[model.name][index][sample], low, high)
    side_title(axes[0][0], "x_t", DATA)
    for row, model in enumerate(models, 1):
        side_title(axes[row][0], f"x0 said by\n{model.name}", tints[model.name][0])
    panel(figure, "x0 predictions")


@drawing
def rows_of_points(
    models: list[Model], frames: list[Frame], said: dict[str, list[Tensor]], sigmas: list[float]
) -> None:
    low, high = limits(models[0].bench)
    shown, tints = even(len(sigmas), 6), colours(models)
    figure, axes = canvas(1 + len(models), len(shown), size=(0.8 + 1.5 * len(shown), 1.55 * (1 + len(models)) + 0.2))
    for column, index in enumerate(shown):
        state = comparable(frames[index].x_t, frames[index].t, models[0].process, models[0].bench.sigma_data)
        for row, x in enumerate([state, *(said[model.name][index] for model in models)]):
            points(axes[row][column], x, low, high, DATA if row == 0 else tints[models[row - 1].name][0])
            axes[row][column].set(xticks=[], yticks=[])
        axes[0][column].set_title(f"σ {number(sigmas[index], 2)}", fontsize=8, loc="center", pad=2)
    side_title(axes[0][0], "x_t", DATA)
    for row, model in enumerate(models, 1):
        side_title(axes[row][0], f"x0 said by\n{model.name}", tints[model.name][0])
    panel(figure, "x0 predictions")


@drawing
def curves(models: list[Model], apart: dict[str, list[float]], sigmas: list[float]) -> None:
    figure, ((axis,),) = canvas(size=(5.2, 2.5))
    for name, (colour, marker) in colours(models).items():
        axis.plot(sigmas, apart[name], color=colour, marker=marker, label=name)
    axis.set(
        xscale="log",
        xlabel="noise level σ (noise over signal); sampling runs to the left",
        ylabel="RMS distance of x0 said\nto the path's end (data units)",
        ylim=(0, None),
    )
    axis.legend()
    axis.grid(alpha=0.2, linewidth=0.5)
    panel(figure, "x0 distance to the end", {"sigma": sigmas, **apart})
