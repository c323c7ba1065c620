"""The still of ``targets_of``: a row a scheduler, a column a step, and the measures against the noise level beneath."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from widgets.inspector import aligned
from workbench.cells.draw import picture
from workbench.cells.solvers import LOOKS
from workbench.cells.style import MARKERS, STUDENTS, TEACHER, bare, drawing, even, number, parted, side_title
from workbench.cells.target_stills import MEASURES

WIDTH = 8  # steps shown of a longer walk


def looks(roles: Mapping[str, int]) -> dict[str, tuple[str, str]]:
    """(colour, marker) by row; ``roles``: which pipeline a row is of, the first being the teacher.

    Rows of one pipeline differ like solvers; of several, the teacher's are black and each student's are of one blue.
    """
    if max(roles.values(), default=0) == 0:
        return {name: LOOKS[place % len(LOOKS)] for place, name in enumerate(roles)}
    found, seen = {}, dict.fromkeys(roles.values(), 0)
    for name, place in roles.items():
        colour = STUDENTS[(place - 1) % len(STUDENTS)] if place else TEACHER
        found[name] = (colour, MARKERS[seen[place] % len(MARKERS)])
        seen[place] += 1
    return found


@drawing
def stills(found: Mapping[str, Any], tints: Mapping[str, tuple[str, str]], prompt: str, sample: int,
           size: int | None) -> Figure:  # fmt: skip
    """``found`` holds ``Heard`` by row; pictures of one ``sample``, last the sample itself. Only these are decoded."""
    levels = next(iter(found.values())).sigma  # the first row's steps are the columns, as in the inspector
    width = min(WIDTH, len(levels))
    across = max(1.4 + 0.86 * (width + 1), 7.2)
    figure, above, below = parted(len(found), width + 1, len(MEASURES), lower=2.2,
                                  size=(across, 1.02 * len(found) + 0.45 + 2.2))  # fmt: skip
    for axes, (name, one) in zip(above, found.items(), strict=True):
        steps = list(even(len(levels), width))
        row(axes, one, steps if len(one.sigma) == len(levels) else aligned(one.sigma, levels[steps]), sample, size)
        side_title(axes[0], name, tints[name][0])
        axes[0].yaxis.label.set_parse_math(False)  # names and prompts are text, whatever is in them
    title = axes[0].figure.suptitle(prompt, fontsize=8)
    title.set_parse_math(False)
    curves(below, found, tints)
    return figure


def row(axes: Sequence[Axes], one: Any, cells: Sequence[int], sample: int, size: int | None) -> None:
    """Predictions of one sample at the steps of ``cells`` (-1: none), each under its level, and its end."""
    places = [place for place, at in enumerate(cells) if at >= 0]
    steps = [int(cells[place]) for place in places]
    shown = [*one.recorded.pictures(steps, sample, size=size)[:, 0], one.recorded.sample(size=size)[sample]]
    names = [*(f"σ {level(one.sigma[at])}" for at in steps), "sample"]
    for at, content, name in zip([*places, len(axes) - 1], shown, names, strict=True):
        picture(axes[at], content, -1.0, 1.0)
        axes[at].set_title(name, fontsize=8, loc="center", pad=2)
    for place, axis in enumerate(axes):
        bare(axis).set_visible(place == 0 or axis.has_data())  # the first one carries the row's name


def level(sigma: float) -> str:
    return "∞" if np.isinf(sigma) else number(float(sigma), 2)


def curves(axes: Sequence[Axes], found: Mapping[str, Any], tints: Mapping[str, tuple[str, str]]) -> None:
    """Each measure against the noise level, a line a row; pure noise has no place on the axis."""
    for axis, (name, title) in zip(axes, MEASURES.items(), strict=True):
        for row_name, one in found.items():
            colour, marker = tints[row_name]
            sigma = np.where(np.isfinite(one.sigma), one.sigma, np.nan)
            line = axis.plot(sigma, getattr(one, name), color=colour, marker=marker, markersize=3.5)[0]
            line.set_label(row_name)
        top = 1.06 * axis.dataLim.y1  # markers whole, too
        axis.set(xscale="log", xlabel="noise level σ; sampling runs left", title=title)
        axis.set_ylim(0, top if np.isfinite(top) and top > 0 else None)
        axis.grid(alpha=0.2, linewidth=0.5)
    axes[0].set_ylabel("RMS (units of the states)")
    for text in axes[0].legend().get_texts():
        text.set_parse_math(False)
