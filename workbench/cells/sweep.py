"""``sweep``, ``effects``, ``failures``, ``cost``: what many jobs of one notebook came to, read from their folder."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.cells.effects import effects_figure, effects_of, spread
from workbench.cells.show import Table, panel, png, tell
from workbench.cells.style import canvas, drawing, number
from workbench.record.sweep import Row, common_metrics, rows

MORE = ("recall", "precision", "density", "coverage", "modes_hit", "recognised", "accuracy",
        "diversity", "agreement", "balance")  # of these more is better
MOST = 20  # settings in a table


def sweep(folder: Path | str, *, metric: str | None = None, more_is_better: bool | None = None) -> list[Row]:
    """Read a sweep's folder; show how its jobs ended and its settings, best first. Returns its jobs.

    ``metric`` is by default the first number that all succeeded jobs kept; whether more of it is better is known for
    the benches' own. ValueError for a folder that is no sweep's and for a metric that was not kept.
    """
    found = rows(folder)
    chosen = chosen_metric(found, metric)
    counts = Counter(row.status for row in found)
    print(f"{len(found)} jobs: " + ", ".join(f"{count} {status}" for status, count in counts.items()))
    tell(settings_table(found, chosen, more_is_better))
    return found


def effects(found: Sequence[Row], *, metric: str | None = None) -> list[dict[str, Any]]:
    """Chart and table of what each varied parameter does to a metric, with 95 % intervals, paired where possible.

    A parameter with few values: the mean difference to its first value, over jobs that share all else. One that was
    drawn at random: the rank correlation.
    """
    chosen = chosen_metric(found, metric)
    if chosen is None:
        print("no job kept a number: end the notebook with w.compare(...) or w.keep(name=value)")
        return []
    told = effects_of(found, chosen)
    panel(drawn_effects(found, chosen), "effects", told)
    if not told:
        print("no parameter has two values with succeeded jobs: nothing to compare")
        return []
    tell(Table(["parameter", "value", "effect", "95 % interval", "pairs"], [
        [one["parameter"], one["value"], number(one["effect"]), f"{number(one['low'])} to {number(one['high'])}",
         str(one["n"])] for one in told], f"on {chosen}; differences to the first value, or rank correlation"))
    return told


def failures(found: Sequence[Row]) -> list[Row]:
    """The jobs that did not succeed, with the sentence of each."""
    bad = [row for row in found if row.status != "succeeded"]
    if bad:
        tell(failures_table(bad))
    else:
        print("every job succeeded")
    return bad


def cost(found: Sequence[Row]) -> dict[str, float]:
    """What the sweep took: seconds in all and by job, attempts, most memory."""
    seconds = [row.seconds for row in found if row.seconds]
    memory = [(row.record.get("cost") or {}).get("peak_memory_mib") or 0.0 for row in found]
    told = {"jobs": float(len(found)), "seconds": math.fsum(seconds), "attempts": float(sum(r.attempts for r in found)),
            "median_seconds": sorted(seconds)[len(seconds) // 2] if seconds else 0.0,
            "most_seconds": max(seconds, default=0.0),
            "peak_memory_mib": max(memory, default=0.0)}
    drawn_cost(list(found), told)
    return told


@drawing
def drawn_cost(found: list[Row], told: dict[str, float]) -> None:
    figure, ((axis,),) = canvas(1, 1, size=(6.4, 2.2))
    colours = {"succeeded": "#0072B2", "failed": "#D55E00", "killed": "#D55E00"}
    axis.bar(range(len(found)), [row.seconds for row in found],
             color=[colours.get(row.status, "#8A8A8A") for row in found])
    axis.set(xlabel="job, in the sweep's order", ylabel="seconds", xlim=(-0.6, len(found) - 0.4))
    axis.set_title(f"{told['seconds']:.0f} s in {len(found)} jobs (vermilion: did not succeed)")
    panel(figure, "cost", told)


def chosen_metric(found: Sequence[Row], metric: str | None) -> str | None:
    kept = common_metrics(list(found))
    if metric is not None and metric not in kept:
        raise ValueError(f"no metric {metric!r} that all succeeded jobs kept; there is {', '.join(kept) or 'none'}")
    return metric or next((name for name in kept if not name.startswith("teacher")), kept[0] if kept else None)


def more_wanted(metric: str) -> bool:
    return any(metric.endswith(one.replace("_", " ")) or metric.endswith(one) for one in MORE)


def settings_table(found: Sequence[Row], metric: str | None, more_is_better: bool | None = None) -> Table:
    """A row a setting: its values, jobs that succeeded, mean of the metric with its 95 % interval, seconds a job."""
    settings: dict[str, list[Row]] = {}
    for row in found:
        settings.setdefault(repr(row.setting), []).append(row)
    names = list(dict.fromkeys(name for row in found for name in row.setting))
    more = more_wanted(metric or "") if more_is_better is None else more_is_better
    lines = []
    for group in settings.values():
        good = [row for row in group if row.status == "succeeded"]
        middle, half = spread([row.metrics[metric] for row in good]) if metric else (math.nan, math.nan)
        said = "" if math.isnan(middle) else number(middle) + ("" if math.isnan(half) else f" ± {number(half, 2)}")
        seconds = math.fsum(row.seconds for row in good) / len(good) if good else math.nan
        cells = [*(shown(group[0].setting.get(name)) for name in names), f"{len(good)} of {len(group)}", said,
                 "" if math.isnan(seconds) else f"{seconds:.1f}"]
        lines.append((math.inf if math.isnan(middle) else -middle if more else middle, cells))
    lines.sort(key=lambda line: line[0])
    caption = f"± half the 95 % interval of the mean; {'more' if more else 'less'} is better" if metric else ""
    if len(lines) > MOST:
        caption += f"; the best {MOST} of {len(lines)} settings"
    head = [*names, "succeeded", metric or "no metric kept", "s a job"]
    return Table(head, [cells for _, cells in lines[:MOST]], caption)


def failures_table(found: Sequence[Row]) -> Table:
    bad = [row for row in found if row.status != "succeeded"]
    return Table(["job", "settings", "status", "attempts", "error"], [
        [row.folder.name, ", ".join(f"{name} = {shown(value)}" for name, value in row.varied.items()), row.status,
         str(row.attempts), row.error or "-"] for row in bad[:MOST]],
        f"{len(bad)} of {len(found)}; log.txt in each folder has the traceback")


def shown(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


@drawing
def drawn_effects(found: Sequence[Row], metric: str) -> Any:
    return effects_figure(found, metric)


def effects_chart(found: Sequence[Row], metric: str) -> bytes:
    """The chart of ``effects`` as a PNG."""
    return png(drawn_effects(found, metric))
