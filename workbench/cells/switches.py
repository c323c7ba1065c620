"""``switches``: how much of a student's lost diversity comes back when the teacher takes its first steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from workbench.cells.compare import DIVERSITY, QUALITY, chosen, mean
from workbench.cells.hybrid import hybrid
from workbench.cells.model import Model, listed
from workbench.cells.show import Table, panel, tell
from workbench.cells.style import AVERAGE, STUDENT, TEACHER, canvas, drawing, number
from workbench.cells.targets import diversity


class Switch(NamedTuple):
    """The student with its first ``switch`` steps left to the teacher: calls a sample, and measures by start seed."""

    switch: int
    evaluations: int
    quality: list[float]
    coverage: list[float]
    spread: list[float]  # RMS distance of two samples of one label, data units


def switches(
    teacher: Model, student: Model, *, n: int | None = None, seeds: int = 3, quality: str | None = None,
    coverage: str | None = None,
) -> list[Switch]:  # fmt: skip
    """Measure the hybrid at every switch: 0 the student alone, its number of steps the teacher alone.

    ``quality`` and ``coverage`` name metrics of the bench, by default those of ``w.compare``.
    """
    teacher, student = listed([teacher, student])
    bench = student.bench
    names = chosen(bench, quality, QUALITY), chosen(bench, coverage, DIVERSITY)
    count = student.sampler.num_inference_steps or 1
    found = [measured(teacher, student, switch, names, n, seeds) for switch in range(count + 1)]
    panel(chart(found, names, seeds), "switches", [one._asdict() for one in found])
    head = ["first steps by the teacher", "calls a sample", *(name.replace("_", " ") for name in names), "spread"]
    rows = [[str(one.switch), str(one.evaluations),
             *(number(mean(values)) for values in (one.quality, one.coverage, one.spread))] for one in found]
    tell(Table(head, rows, f"means over {seeds} start seeds; spread: RMS distance of two samples, data units"))
    return found


def measured(teacher: Model, student: Model, switch: int, names: tuple[str, str], n: int | None, seeds: int) -> Switch:
    drawn = [hybrid(teacher, student, switch).generate(None, n, seed) for seed in range(seeds)]
    rows = [student.bench.measure(generated) for generated in drawn]
    spread = [float(diversity(generated.x.double(), generated.y)) for generated in drawn]
    quality, coverage = ([float(row[name]) for row in rows] for name in names)
    return Switch(switch, drawn[0].evaluations or 0, quality, coverage, spread)


@drawing
def chart(found: Sequence[Switch], names: tuple[str, str], seeds: int):
    figure, (axes,) = canvas(1, 3, size=(9.0, 2.7))
    titles = (names[0].replace("_", " "), names[1].replace("_", " "), "spread (RMS of pairs, data units)")
    for axis, name, title in zip(axes, ("quality", "coverage", "spread"), titles, strict=True):
        for one in found:
            values = getattr(one, name)
            colour = STUDENT if one.switch == 0 else TEACHER if one is found[-1] else AVERAGE
            axis.plot([one.switch] * len(values), values, "o", color=colour, alpha=0.5, markersize=3.5)
        axis.plot([one.switch for one in found], [mean(getattr(one, name)) for one in found], color=AVERAGE, zorder=0)
        axis.set(xlabel="first steps by the teacher", title=title, xticks=[one.switch for one in found])
        axis.grid(alpha=0.2, linewidth=0.5)
        axis.set_ylim(min(0, axis.get_ylim()[0]), None)
    figure.suptitle(f"blue: student alone, green: hybrid, black: teacher alone; dots: {seeds} start seeds", fontsize=8,
                    x=0.01, ha="left")
    return figure
