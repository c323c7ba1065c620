"""``losses``: every part of every update over the steps, its gradient norm, and the error by noise level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from workbench.cells.model import Model
from workbench.cells.readings import measured
from workbench.cells.show import panel
from workbench.cells.style import AVERAGE, CRITIC, DATA, STUDENT, STUDENTS, bare, canvas, drawing
from workbench.record.store import read_events, read_state

DASHES = ("-", "--", ":", "-.")  # of runs that share a chart
Series = dict[str, list[tuple[int, float]]]


def losses(models: Model | Path | str | Sequence[Model | Path | str]) -> dict[str, Series]:
    """Show the recorded readings of one run or several; returns name -> series -> [(step, value)]."""
    found = {}
    for name, folder in folders(models).items():
        found[name] = series(read_events(folder, "step"))
    panel(drawn(found), f"{next(iter(found))} losses" if len(found) == 1 else "losses", found)
    return found


def folders(runs: Model | Path | str | Sequence[Model | Path | str]) -> dict[str, Path]:
    """Name -> folder of students or of folders; ValueError for a teacher, a run without a folder, no run folder."""
    found: dict[str, Path] = {}
    for run in [runs] if isinstance(runs, Model | Path | str) else runs:
        if isinstance(run, Model):
            name, folder = run.name, run.trained.folder
            if folder is None:
                raise ValueError(f"{name} was trained without a folder: nothing of it was recorded")
        else:
            folder = Path(run)
            read_state(folder)
            name = folder.name
        found[name if name not in found else f"{name} ({folder})"] = Path(folder)
    if not found:
        raise ValueError("give at least one run: what w.distil returned, or a run's folder")
    return found


def series(events: Any) -> Series:
    """``<who>: <part>``, ``<who>: gradient norm`` and averages' gaps over the steps, as the dashboard has them."""
    found: Series = {}
    for event in events:
        for name, value in measured(event).items():
            if value is not None:
                found.setdefault(name, []).append((event["step"], value))
    return found


def smooth(values: Sequence[float], window: int) -> list[float]:
    """Mean of the last ``window`` values, at each."""
    return [sum(values[max(0, i + 1 - window) : i + 1]) / min(i + 1, window) for i in range(len(values))]


@drawing
def drawn(runs: Mapping[str, Series]) -> Figure:
    """A small chart for each series, the runs laid over each other; each run has its own dash."""
    titles = list(dict.fromkeys(title for lines in runs.values() for title in lines))
    if not titles:
        return nothing_yet(", ".join(runs))
    columns = min(4, len(titles))
    rows = -(-len(titles) // columns)
    figure, axes = canvas(rows, columns, size=(max(5.4, 2.5 * columns), 1.9 * rows + 0.1))
    flat = [axis for row in axes for axis in row]
    for axis, title in zip(flat, titles, strict=False):
        for (name, lines), dash, shade in zip(runs.items(), cycle(DASHES), cycle(STUDENTS), strict=False):
            line(axis, title, lines.get(title, []), name, dash, shade)
        scaled(axis)
    for axis in flat[len(titles) :]:
        axis.set_visible(False)
    for axis in flat[max(0, len(titles) - columns) : len(titles)]:
        axis.set_xlabel("step")
    if len(runs) > 1:
        flat[0].legend()
    figure.suptitle(f"{', '.join(runs)}: what each update sees (faint: as recorded, bold: running mean)", fontsize=9,
                    x=0.01, ha="left")
    return figure


def line(axis: Axes, title: str, points: Sequence[tuple[int, float]], name: str, dash: str, shade: str) -> None:
    """One run's series: every reading faint, their running mean bold; students in the run's blue."""
    colour = AVERAGE if ".average" in title else shade if title.startswith("student") else CRITIC
    steps, values = [step for step, _ in points], [value for _, value in points]
    axis.plot(steps, values, color=colour, alpha=0.3, linewidth=0.8)
    axis.plot(steps, smooth(values, max(1, len(values) // 12)), color=colour, linestyle=dash, label=name)
    axis.set_title(title, color=AVERAGE if ".average" in title else STUDENT if colour == shade else CRITIC)


def scaled(axis: Axes) -> None:
    """A logarithmic axis where the settled readings need it, a light grid."""
    settled = [value for line in axis.lines for value in list(line.get_ydata())[len(line.get_ydata()) // 10 :]]
    everything = [value for line in axis.lines for value in line.get_ydata()]
    if everything and min(everything) > 0 and max(settled) > 20 * min(settled):
        axis.set_yscale("log")
        axis.yaxis.set_minor_formatter(NullFormatter())
    axis.grid(alpha=0.2, linewidth=0.5)


def nothing_yet(name: str) -> Figure:
    figure, ((axis,),) = canvas(size=(5.0, 0.6))
    bare(axis).text(0, 0.5, f"{name}: no reading was recorded yet", va="center", color=DATA)
    return figure
