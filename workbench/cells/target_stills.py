"""The still twin of the inspector: rows of predictions, and their measures against the noise level beneath."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.cells.draw import comparable, limits, picture, pictures, points, visible
from workbench.cells.model import Model, colours
from workbench.cells.style import DATA, bare, drawing, even, number, parted, side_title
from workbench.types import Frame

MEASURES = {"to_end": "distance to the end", "change": "change since the last step", "diversity": "diversity"}


@drawing
def stills(models: list[Model], found: Mapping[str, Any], frames: Sequence[Frame], sample: int) -> Figure:
    """One row a model, one column a noise level: pictures of one sample, or the points of all; ``found`` holds Said."""
    flat, looks, rows = not pictures(models[0].bench), colours(models), 1 + len(models)
    width = min(6 if flat else 12, max(len(one.sigma) for one in found.values()))
    cell = 1.45 if flat else 0.86
    across = max(1.2 + cell * width, 7.2)
    figure, above, below = parted(rows, width, len(MEASURES), size=(across, cell * rows + 0.35 + 2.2), lower=2.2)
    first = models[0]
    for column, index in enumerate(even(len(frames) - 1, width)):
        frame = frames[index]
        cell_of(above[0][column], comparable(frame.x_t, frame.t, first.process, first.bench.sigma_data), first, sample,
                DATA)
        title = f"σ {number(found[first.name].sigma[index], 2)}"
        above[0][column].set_title(title, fontsize=8, loc="center", pad=2)
    for row, model in enumerate(models, 1):
        one = found[model.name]
        for column, index in enumerate(even(len(one.sigma), width)):
            cell_of(above[row][column], one.x0[index], model, sample, looks[model.name][0])
    for axis in [axis for row in above for axis in row]:
        bare(axis) if not flat else axis.set(xticks=[], yticks=[])
        axis.set_visible(axis.has_data())
    side_title(above[0][0], "x_t", DATA)
    for row, model in enumerate(models, 1):
        side_title(above[row][0], f"x0 said by\n{model.name}", looks[model.name][0])
    curves(below, found, looks)
    return figure


def cell_of(axis: Axes, x: Any, model: Model, sample: int, colour: str) -> None:
    low, high = limits(model.bench)
    if pictures(model.bench):
        picture(axis, visible(model.bench, x[sample]), low, high)
    else:
        points(axis, x, low, high, colour)


def curves(axes: Sequence[Axes], found: Mapping[str, Any], looks: Mapping[str, tuple[str, str]]) -> None:
    """Each measure against the noise level, a line a model."""
    for axis, (name, title) in zip(axes, MEASURES.items(), strict=True):
        for model, one in found.items():
            colour, marker = looks[model]
            axis.plot(one.sigma, getattr(one, name), color=colour, marker=marker, markersize=3.5, label=model)
        axis.set(xscale="log", xlabel="noise level σ; sampling runs left", title=title, ylim=(0, None))
        axis.grid(alpha=0.2, linewidth=0.5)
    axes[0].set_ylabel("RMS (data units)")
    axes[0].legend()
