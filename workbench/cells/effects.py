"""What each varied parameter of a sweep does to a metric: paired differences, rank correlations, and their picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from scipy import stats

from workbench.cells.style import DATA, STUDENT, canvas
from workbench.record.sweep import Row

FEW = 8  # values of a parameter up to which they are compared one by one


def effects_of(found: Sequence[Row], metric: str) -> list[dict[str, Any]]:
    """{"parameter", "value", "effect", "low", "high", "n"} of every comparison that the jobs allow."""
    good = [row for row in found if row.status == "succeeded"]
    told = []
    for name in varied_names(good):
        values = list(dict.fromkeys(repr(row.varied[name]) for row in good))
        if len(values) <= FEW and name not in drawn_names(good):
            told += [difference(good, name, values[0], value, metric) for value in values[1:]]
        elif all(isinstance(row.varied[name], int | float) for row in good):
            told.append(correlation(good, name, metric))
    return told


def varied_names(found: Sequence[Row]) -> list[str]:
    """The parameters that were varied, the seed left out."""
    names = list(dict.fromkeys(name for row in found for name in row.setting))
    return [name for name in names if len({repr(row.varied.get(name)) for row in found}) > 1]


def drawn_names(found: Sequence[Row]) -> set[str]:
    """Parameters whose value hardly comes twice: they were drawn, and no two jobs share them."""
    return {name for name in varied_names(found) if len({repr(row.varied.get(name)) for row in found}) > len(found) / 2}


def difference(found: Sequence[Row], name: str, base: str, value: str, metric: str) -> dict[str, Any]:
    """Mean of metric(value) - metric(base) over pairs of jobs that share every other listed value, the seed too."""
    apart = drawn_names(found)
    groups: dict[str, dict[str, float]] = {}
    for row in found:
        others = repr({k: v for k, v in row.varied.items() if k != name and k not in apart})
        groups.setdefault(others, {})[repr(row.varied[name])] = row.metrics[metric]
    pairs = [group[value] - group[base] for group in groups.values() if {value, base} <= group.keys()]
    middle, half = spread(pairs)
    return {"parameter": name, "value": f"{value.strip(chr(39))} - {base.strip(chr(39))}", "effect": middle,
            "low": middle - half, "high": middle + half, "n": len(pairs)}


def correlation(found: Sequence[Row], name: str, metric: str) -> dict[str, Any]:
    """Spearman's rank correlation of parameter and metric, its interval by Fisher's transformation."""
    rho = float(stats.spearmanr([row.varied[name] for row in found], [row.metrics[metric] for row in found]).statistic)
    half = 1.96 * math.sqrt(1.06 / (len(found) - 3)) if len(found) > 3 else math.inf
    centre = math.atanh(max(-0.999999, min(0.999999, rho)))
    return {"parameter": name, "value": "rank correlation", "effect": rho, "low": math.tanh(centre - half),
            "high": math.tanh(centre + half), "n": len(found)}


def spread(values: Sequence[float]) -> tuple[float, float]:
    """(mean, half of its 95 % interval by Student's t); NaN for what too few values cannot tell."""
    if not values:
        return math.nan, math.nan
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, math.nan
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
    return mean, float(stats.t.ppf(0.975, len(values) - 1)) * error


def effects_figure(found: Sequence[Row], metric: str) -> Figure:
    """A chart a parameter: every job as a dot at its value, means with their 95 % intervals where values repeat."""
    good = [row for row in found if row.status == "succeeded"]
    names = varied_names(good) or ["job"]
    figure, (axes,) = canvas(1, len(names), size=(max(4.0, 2.9 * len(names)), 2.8), sharey=True)
    for axis, name in zip(axes, names, strict=True):
        values = [row.varied.get(name, 0) for row in good]
        numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        kinds = list(dict.fromkeys(map(repr, values)))
        continuous = numeric and len(kinds) > FEW
        places = values if continuous else [kinds.index(repr(value)) for value in values]
        axis.plot(places, [row.metrics[metric] for row in good], "o", color=DATA, alpha=0.6, markersize=3.5,
                  label="a job")
        if continuous:
            axis.set_xscale("log" if min(values) > 0 and max(values) > 30 * min(values) else "linear")
        else:
            means = [spread([row.metrics[metric] for row in good if repr(row.varied.get(name, 0)) == kind])
                     for kind in kinds]
            axis.errorbar(range(len(kinds)), [mean for mean, _ in means],
                          yerr=[0.0 if math.isnan(half) else half for _, half in means], fmt="s", color=STUDENT,
                          capsize=3, label="mean, 95 %")
            axis.set_xticks(range(len(kinds)), [kind.strip("'") for kind in kinds],
                            rotation=20 if max(map(len, kinds)) > 8 else 0)
            axis.set_xlim(-0.5, len(kinds) - 0.5)
        axis.set_xlabel(name)
        axis.grid(alpha=0.2, linewidth=0.5)
    axes[0].set_ylabel(metric)
    axes[0].legend()
    return figure
