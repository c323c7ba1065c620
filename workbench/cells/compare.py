"""``compare``: quality and diversity against the number of network calls, as one chart and one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from workbench.cells.keep import keep
from workbench.cells.model import Model, colours, listed
from workbench.cells.show import Table, panel, tell
from workbench.cells.style import DATA, canvas, drawing, number

QUALITY = ("frechet", "energy_distance", "endpoint_error")  # less is better
DIVERSITY = ("recall", "coverage", "modes_hit", "diversity")  # more is better


class Point(NamedTuple):
    """One model at one number of steps: network calls a sample, seconds per 1000 samples, metric -> values by seed."""

    model: str
    num_inference_steps: int
    evaluations: int
    seconds: float
    values: dict[str, list[float]]


def compare(
    models: Model | Sequence[Model],
    *,
    num_inference_steps: Sequence[int] = (1, 2, 4, 8),
    n: int | None = None,
    seeds: int = 3,
    quality: str | None = None,
    diversity: str | None = None,
) -> list[Point]:
    """Sample every model at every number of steps and over ``seeds`` start noises; show chart and table.

    ``quality`` and ``diversity`` name metrics of the bench; by default the first it has of QUALITY and DIVERSITY.
    """
    models = listed(models)
    bench = models[0].bench
    names = chosen(bench, quality, QUALITY), chosen(bench, diversity, DIVERSITY)
    found = [measured(model, steps, n, seeds) for model in models for steps in counts(model, num_inference_steps)]
    keep(**{kept_name(point, name): mean(values) for name in order(bench, names) for point in found
            for values in [point.values[name]]})
    chart(models, found, names, seeds)
    tell(table(found, names))
    return found


def order(bench: Any, names: tuple[str, str]) -> list[str]:
    """The bench's metrics, the two that are shown first."""
    return [*names, *(name for name in bench.metrics if name not in names)]


def kept_name(point: Point, metric: str) -> str:
    """What a number is called in metrics.json: ``ctm, 2 steps: recall``."""
    steps = f"{point.num_inference_steps} step{'s' if point.num_inference_steps > 1 else ''}"
    return f"{point.model}, {steps}: {metric.replace('_', ' ')}"


def chosen(bench: Any, wanted: str | None, usual: Sequence[str]) -> str:
    """The metric asked for, or the bench's first of the usual ones; ValueError names those it has."""
    name = wanted or next((one for one in usual if one in bench.metrics), usual[0])
    if name not in bench.metrics:
        raise ValueError(f"{bench.name} does not measure {name}; it has {', '.join(bench.metrics)}")
    return name


def counts(model: Model, asked: Sequence[int]) -> list[int]:
    """The steps to measure: those asked for that the model can be asked for, and for a teacher its own as well."""
    own = [model.sampler.num_inference_steps or 1] if model.run is None else []
    return sorted({*(steps for steps in asked if model.sampler.admits(steps)), *own})


def measured(model: Model, steps: int, n: int | None, seeds: int) -> Point:
    """Sample and measure at every start seed from 0."""
    drawn = [model.generate(steps, n, seed) for seed in range(seeds)]
    rows = [model.bench.measure(generated) for generated in drawn]
    values = {name: [float(row[name]) for row in rows] for name in rows[0]}
    seconds = sum(generated.seconds or 0.0 for generated in drawn) / sum(len(generated.x) for generated in drawn)
    return Point(model.name, steps, drawn[0].evaluations or 0, 1000 * seconds, values)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


@drawing
def chart(models: list[Model], found: list[Point], names: tuple[str, str], seeds: int) -> None:
    figure, (axes,) = canvas(1, 2, size=(8.4, 3.1))
    for axis, name, better in zip(axes, names, ("less is better", "more is better"), strict=True):
        for model in models:
            colour, marker = colours(models)[model.name]
            rows = [point for point in found if point.model == model.name]
            calls, middle = [point.evaluations for point in rows], [mean(point.values[name]) for point in rows]
            spread = [
                [m - min(p.values[name]) for m, p in zip(middle, rows, strict=True)],
                [max(p.values[name]) - m for m, p in zip(middle, rows, strict=True)],
            ]
            axis.errorbar(calls, middle, yerr=spread, color=colour, marker=marker, capsize=2, label=model.name)
        known = models[0].bench.reference.get(name)
        if known is not None:
            axis.axhline(
                getattr(known, "mean", known), color=DATA, linestyle="--", linewidth=1, label="perfect sampler"
            )
        axis.set_xscale("log", base=2)
        ticks = sorted({point.evaluations for point in found})
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
        axis.set(xlabel="network calls a sample (NFE)", ylabel=name.replace("_", " "), title=better)
        axis.grid(alpha=0.2, linewidth=0.5)
    if all(mean(point.values[names[0]]) > 0 for point in found):
        axes[0].set_yscale("log")
    axes[0].legend()
    figure.suptitle(
        f"quality and diversity against calls; bars: lowest and highest of {seeds} start seeds",
        fontsize=9,
        x=0.01,
        ha="left",
    )
    panel(figure, "quality and diversity", [point._asdict() for point in found])


def table(found: list[Point], names: tuple[str, str]) -> Table:
    """A row a point: calls, both metrics as mean and half their spread, seconds."""
    rows = []
    for point in found:
        spread = [point.values[name] for name in names]
        cells = [f"{number(mean(values))} ± {number((max(values) - min(values)) / 2, 2)}" for values in spread]
        steps, calls = str(point.num_inference_steps), str(point.evaluations)
        rows.append([point.model, steps, calls, *cells, f"{point.seconds:.2f}"])
    caption = "mean ± half the range over the start seeds"
    return Table(
        ["model", "steps", "calls a sample", *(name.replace("_", " ") for name in names), "s per 1000"], rows, caption
    )
