"""One look for every picture: Okabe-Ito colours with one meaning each, named axes, tabular numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

TEACHER, STUDENT, AVERAGE, CRITIC, DATA = "#000000", "#0072B2", "#009E73", "#D55E00", "#8A8A8A"
STUDENTS = (STUDENT, "#56B4E9", "#004A75")  # blues: the colour says student, the marker says which
MARKERS = ("o", "s", "^", "D")
CLOSE: dict[str, Any] = {"h_pad": 0.02, "w_pad": 0.02, "hspace": 0.0, "wspace": 0.0}  # inches between rows of pictures
LOOK: dict[Any, Any] = {
    "font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "legend.fontsize": 8, "xtick.labelsize": 8,
    "ytick.labelsize": 8, "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.7,
    "lines.linewidth": 1.4, "lines.markersize": 4.5, "legend.frameon": False, "figure.dpi": 144, "savefig.dpi": 144,
    "axes.titlelocation": "left", "image.cmap": "gray_r", "image.interpolation": "nearest", "axes.axisbelow": True,
}  # fmt: skip


def canvas(
    rows: int = 1, columns: int = 1, *, size: tuple[float, float], tight: bool = False, **options
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of ``size`` inches and its rows of axes (``tight``: rows of pictures), for use inside a ``drawing``."""
    layout = ConstrainedLayoutEngine(**CLOSE) if tight else ConstrainedLayoutEngine()
    figure = Figure(figsize=size, layout=layout)
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, [list(row) for row in axes]


def parted(
    rows: int, columns: int, charts: int, *, size: tuple[float, float], lower: float
) -> tuple[Figure, list[list[Axes]], list[Axes]]:
    """A figure of rows of pictures above and a row of charts ``lower`` inches high beneath."""
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(**CLOSE))
    top, bottom = figure.subfigures(2, 1, height_ratios=[size[1] - lower, lower])
    above = top.subplots(rows, columns, squeeze=False)
    below = bottom.subplots(1, charts, squeeze=False)
    return figure, [list(row) for row in above], list(below[0])


def drawing(function: Callable) -> Callable:
    """The function, run in our look; the person's own settings of matplotlib are as before after it."""

    @wraps(function)
    def styled(*arguments, **named):
        with matplotlib.rc_context(LOOK):
            return function(*arguments, **named)

    return styled


def bare(axis: Axes) -> Axes:
    """The axes without ticks and frame, for a picture."""
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set_visible(False)
    return axis


def side_title(axis: Axes, text: str, colour: str = TEACHER) -> None:
    """A row's name, to the left of its first picture."""
    axis.set_ylabel(text, rotation=0, ha="right", va="center", color=colour, labelpad=6)


def number(value: float, digits: int = 3) -> str:
    """A number to read in a table; ``n/a`` where there is none."""
    return "n/a" if value != value else f"{value:.{digits}g}"


def even(count: int, most: int) -> Sequence[int]:
    """At most ``most`` indices of ``count``, evenly spread, first and last among them."""
    if count <= most:
        return range(count)
    return sorted({round(i * (count - 1) / (most - 1)) for i in range(most)})
