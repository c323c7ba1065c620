"""A comparison kept and told: ``comparisons/<bench>.json``, its table as lines to read and for the README. Light.

An entry is one (paper, seed): what it was trained by and a point for each number of sampling steps. It counts as long
as the record's settings and the bench are those it was measured with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from workbench.papers import catalogue

TEACHER = "teacher"
COUNTS = (1, 2, 4)  # sampling steps asked of every student that admits them
# In few steps the even angle serves a teacher better than EDM's levels, so that is what students are held against.
# One step of Heun is one of Euler.
TEACHER_WALKS = (("euler", "trig", 1), ("euler", "trig", 2), ("euler", "trig", 4), ("euler", "trig", 8),
                 ("heun", "trig", 2), ("heun", "trig", 4), ("heun", "trig", 8), ("heun", "karras", 40))
Entries = dict[tuple[str, int], dict[str, Any]]


class Row(NamedTuple):
    """One method at one number of steps; values and costs per seed, None where the training diverged."""

    label: str
    steps: int
    evaluations: int | None
    values: dict[str, list[float | None]]
    seconds: list[float]
    training_steps: int
    teacher_calls: int

    @property
    def seeds(self) -> int:
        return len(self.seconds)


def path(bench: str, folder: Path = catalogue.FOLDER) -> Path:
    return folder / "comparisons" / f"{bench}.json"


def takes_part(data: dict[str, Any], bench: str) -> bool:
    """Whether a record (TOML) runs and is entered for this bench."""
    return bool(data.get("method")) and bench in data.get("benches", {})


def settings(data: dict[str, Any], bench: str) -> dict[str, Any]:
    """The method's settings on this bench: the record's, under the bench's own."""
    return {**data.get("settings", {}), **data["benches"][bench]}


def fingerprint(data: dict[str, Any] | None, bench: str, bench_settings: dict[str, Any]) -> str:
    """Hash of all that an entry was measured with, but for the seed; ``data`` is a record's TOML, None the teacher."""
    asked = {"walks": TEACHER_WALKS} if data is None else {
        "method": data["method"], "settings": settings(data, bench), "counts": COUNTS}
    said = json.dumps([asked, bench, bench_settings], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def entrants(bench: str, folder: Path = catalogue.FOLDER) -> dict[str, dict[str, Any]]:
    """The records (TOML) that take part, by slug."""
    tables = {slug: catalogue.table(slug, folder) for slug in catalogue.slugs(folder)}
    return {slug: data for slug, data in tables.items() if takes_part(data, bench)}


def read(bench: str, folder: Path = catalogue.FOLDER) -> dict[str, Any] | None:
    """The comparison on disk, or None."""
    file = path(bench, folder)
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def valid(found: dict[str, Any] | None, bench: str, bench_settings: dict[str, Any], folder: Path) -> Entries:
    """The entries that still count, by (slug, seed): the teacher's, and those of records as they stand."""
    keys = {slug: fingerprint(data, bench, bench_settings) for slug, data in entrants(bench, folder).items()}
    keys[TEACHER] = fingerprint(None, bench, bench_settings)
    entries = found["entries"] if found else []
    return {(one["slug"], one["seed"]): one for one in entries if keys.get(one["slug"]) == one["record"]}


def selected(found: dict[str, Any], slugs: Collection[str], seeds: int) -> dict[str, Any]:
    """The comparison with the entries of these slugs and of seeds 0 to ``seeds`` - 1 alone."""
    kept = [one for one in found["entries"] if one["slug"] in slugs and one["seed"] < seeds]
    return {**found, "entries": kept}


def rows(found: dict[str, Any]) -> list[Row]:
    """The teacher's rows, then each paper's by its steps."""
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for entry in sorted(found["entries"], key=lambda one: (one["slug"] != TEACHER, one["slug"], one["seed"])):
        for point in entry["points"]:
            label = f"teacher, {point['solver']}" if entry["slug"] == TEACHER else entry["slug"]
            groups.setdefault((label, point["num_inference_steps"]), []).append(point)
    return [row(label, count, points, found["metrics"]) for (label, count), points in groups.items()]


def row(label: str, count: int, points: list[dict[str, Any]], metrics: list[str]) -> Row:
    known = [point["evaluations"] for point in points if point["evaluations"] is not None]
    values = {name: [point["figures"].get(name) for point in points] for name in metrics}
    return Row(label, count, max(known, default=None), values, [point["seconds"] for point in points],
               max(point["steps"] for point in points), max(point["teacher_calls"] for point in points))


def heading(found: dict[str, Any]) -> list[str]:
    metrics = [name.replace("_", " ") for name in found["metrics"]]
    return ["method", "steps", "NFE", *metrics, "training s", "training steps", "teacher calls"]


def cells(found: dict[str, Any], gap: str = " ") -> list[list[str]]:
    """The table's body as text; ``gap`` stands between a mean and its [lowest, highest] over the seeds."""
    table, most = [], len({entry["seed"] for entry in found["entries"]})
    for one in rows(found):
        label = one.label + (f" ({one.seeds} of {most} seeds)" if one.seeds < most else "")
        taught = [f"{sum(one.seconds) / one.seeds:.0f}", str(one.training_steps), f"{one.teacher_calls:.2g}"]
        spent = ["", "", ""] if one.label.startswith("teacher, ") else taught
        figures = [spread(values, gap) for values in one.values.values()]
        table.append([label, str(one.steps), str(one.evaluations or ""), *figures, *spent])
    return table


def spread(values: list[float | None], gap: str) -> str:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return f"no value in {len(values) - len(known)} of {len(values)}"
    mean, low, high = sum(known) / len(known), min(known), max(known)
    return f"{mean:.3g}" if low == high else f"{mean:.3g}{gap}[{low:.3g}, {high:.3g}]"


def caption(found: dict[str, Any]) -> str:
    seeds, budget = sorted({entry["seed"] for entry in found["entries"]}), found["budget"]
    return (f"Mean [lowest, highest] over seeds {', '.join(map(str, seeds))}. Every student had at most "
            f"{budget['teacher_calls']:g} teacher calls, and no more steps than that many samples make at batches of "
            f"{budget['batch_size']}, on one thread; NFE: evaluations of the network a sample.")


def lines(found: dict[str, Any]) -> list[str]:
    """The table in columns."""
    table = [heading(found), *cells(found)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [*("  ".join(text.ljust(width) for text, width in zip(one, widths, strict=True)).rstrip() for one in table),
            caption(found)]


def markdown(bench: str, folder: Path = catalogue.FOLDER) -> str:
    """The README's table, of the entries that still count."""
    found = read(bench, folder)
    entries = list(valid(found, bench, found["bench_settings"], folder).values()) if found else []
    if not entries:
        return f"Not measured yet: `workbench compare {bench}`."
    found = {**found, "entries": entries}
    head, body = heading(found), cells(found, "<br>")
    table = [f"| {' | '.join(one)} |" for one in [head, ["---"] * len(head), *body]]
    return "\n".join([caption(found), "", *table])
