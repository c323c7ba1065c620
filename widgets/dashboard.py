"""The live dashboard of losses: one run or several laid over each other, row by row as they are recorded.

``Dashboard(runs=[...], title="", notes=[], rows=[])``. A run is {"name": str, "steps": int, "role": one of ROLES,
"colour": "#rrggbb" or a role, "status": one of STATUSES, "started": unix seconds}. ``append(*rows)`` takes rows:

- a recorded step: {"run": index, "step": int, "time": unix seconds, "lr": {owner: value},
  "series": {"owner: part": value}, "bins": {owner: {"t": [n], "error": [n]}}}; lr, series and bins may be missing,
  values None or NaN where none is known (drawn as gaps). The steps of a run do not fall. Parts named "gradient norm"
  share one chart, as do the learning rates.
- a mark: {"run", "step", "mark": one of MARKS, "text": str}
- a status: {"run", "status": one of STATUSES, "message": str}
- a cut: {"run", "cut": step}: what was recorded after that step is forgotten (``cut(run, step)`` appends it)

``whole()`` is what a page or ``standalone("dashboard", whole, title)`` draws: series beyond MOST points keep the newest
as recorded, and of the older lowest, highest and mean of equal shares.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from math import isfinite, nan
from numbers import Real
from typing import Any

import numpy as np

from widgets.view import View

MARKS = ("checkpoint", "change", "fork", "act", "stopped", "resumed")
STATUSES = ("running", "paused", "stopped", "finished", "diverged", "failed", "lost")
ROLES = ("teacher", "student", "average", "critic", "data")
NUMBERS = (float, int, Real, np.number)
MOST = 4000  # points of one series of one run that a page is sent: half of them as recorded, half lowest and highest
READINGS, FLAGS = 200, 500  # readings by time bin of one owner, and marks, that are kept


class Column:
    """One series of one run: steps and values, as recorded."""

    def __init__(self) -> None:
        self.steps, self.values = array("d"), array("d")

    def add(self, step: float, value: float | None) -> None:
        self.steps.append(step)
        self.values.append(nan if value is None or not isfinite(value) else value)

    def cut(self, step: float) -> None:
        end = bisect_right(self.steps, step)
        del self.steps[end:], self.values[end:]

    def whole(self) -> dict[str, np.ndarray]:
        """{"step", "mean"} of all, or with {"low", "high", "count"} of the thinned."""
        steps, values = np.array(self.steps), np.array(self.values)
        if len(steps) <= MOST:
            return {"step": steps, "mean": values}
        return thinned(steps, values, shares=MOST // 4, fresh=MOST // 2)


def thinned(steps: np.ndarray, values: np.ndarray, shares: int, fresh: int) -> dict[str, np.ndarray]:
    """The newest ``fresh`` as they are; the rest in ``shares`` (nearly) equal runs of rows, each at its last step."""
    old = len(steps) - fresh
    starts = np.append(np.linspace(0, old, shares, endpoint=False).astype(int), np.arange(old, len(steps)))
    known = np.isfinite(values)
    count = np.add.reduceat(known.astype(float), starts)
    some = np.where(count > 0, 1.0, nan)
    low = np.minimum.reduceat(np.where(known, values, np.inf), starts)
    high = np.maximum.reduceat(np.where(known, values, -np.inf), starts)
    mean = np.add.reduceat(np.where(known, values, 0.0), starts) / np.maximum(count, 1)
    ends = np.append(starts[1:], len(steps)) - 1
    low, high = np.where(count > 0, low, nan), np.where(count > 0, high, nan)
    return {"step": steps[ends], "mean": mean * some, "low": low, "high": high, "count": count}


class Dashboard(View):
    """Losses, gradient norms, learning rates and error by time bin of runs, live; see the module for the rows."""

    module = "dashboard"

    def __init__(self, **data: Any) -> None:
        super().__init__(**self._begin(**data))
        self.keep(self.first)

    def show(self, **data: Any) -> None:
        """Begin anew with other runs (same fields as when made)."""
        with self.guard:
            self.data, self.waiting = self._begin(**data), []
            self.keep(self.first)
            self._post("show", self.whole())

    def cut(self, run: int, step: int) -> None:
        """Forget what ``run`` recorded after ``step``: it was resumed from there and does those steps again."""
        self.append({"run": run, "cut": step})

    def keep(self, rows: list[dict[str, Any]]) -> None:
        """Store rows; all are checked before the first is stored."""
        steps = [clock.steps[-1] if clock.steps else 0 for clock in self.clocks]
        for row in rows:
            self._check(row, steps)
        for row in rows:
            self._store(row)

    def whole(self) -> dict[str, Any]:
        """{"title", "notes", "runs", "lines", "clocks", "bins", "marks"}; lines and clocks in columns, thinned."""
        lines = [{"run": run, "name": name, **line.whole()} for (run, name), line in self.lines.items()]
        clocks = [{"run": run, **clock.whole()} for run, clock in enumerate(self.clocks)]
        bins = [{"run": run, "owner": owner, **one} for (run, owner), found in self.bins.items() for one in found]
        notes, longest = list(self.data["notes"]), max((len(line.steps) for line in self.lines.values()), default=0)
        if longest > MOST:
            notes.append(f"of up to {longest:,} rows of a series the newest {MOST // 2:,} are shown as recorded, "
                         f"the older as lowest, highest and mean of {MOST // 4:,} shares")
        return {**self.data, "notes": notes, "lines": lines, "clocks": clocks, "bins": bins, "marks": list(self.marks)}

    def _begin(self, runs: Any = (), title: str = "", notes: Any = (), rows: Any = ()) -> dict[str, Any]:
        if not len(runs):
            raise ValueError('a dashboard needs runs: pass runs=[{"name": ..., "steps": ...}]')
        self.clocks = [Column() for _ in runs]
        self.lines: dict[tuple[int, str], Column] = {}
        self.bins: dict[tuple[int, str], list[dict[str, Any]]] = {}
        self.marks: list[dict[str, Any]] = []
        self.first = list(rows)
        return {"title": str(title), "notes": [str(note) for note in notes], "runs": [a_run(run) for run in runs]}

    def _check(self, row: Mapping[str, Any], newest: list[float]) -> None:
        run = row.get("run")
        if not isinstance(run, int) or not 0 <= run < len(newest):
            raise ValueError(f"row {short(row)}: run must be an index into the {len(newest)} runs, it is {run!r}")
        if "cut" in row:
            newest[run] = min(newest[run], finite(row, "cut"))
        elif "mark" in row:
            finite(row, "step")
            one_of(row, "mark", MARKS)
        elif "status" in row:
            one_of(row, "status", STATUSES)
        else:
            step, _ = finite(row, "step"), finite(row, "time")
            if step < newest[run]:
                raise ValueError(f"run {run}: step {step:g} comes after step {newest[run]:g}; "
                                 f"call cut({run}, {step - 1:g}) first if the run was resumed")
            newest[run] = step
            check_readings(row)

    def _store(self, row: Mapping[str, Any]) -> None:
        run = row["run"]
        if "cut" in row:
            self._forget(run, row["cut"])
        elif "mark" in row:
            self.marks = (self.marks + [dict(row)])[-FLAGS:]
        elif "status" in row:
            told = {"status": row["status"], "message": str(row.get("message", ""))}
            self.data["runs"][run] |= told
        else:
            self.clocks[run].add(row["step"], row["time"])
            for name, value in values_of(row):
                self.lines.setdefault((run, name), Column()).add(row["step"], value)
            for owner, one in (row.get("bins") or {}).items():
                found = self.bins.setdefault((run, owner), [])
                t, error = np.asarray(one["t"], float), np.asarray(one["error"], float)
                found.append({"step": row["step"], "t": t, "error": error})
                if len(found) > READINGS:
                    del found[1 : READINGS * 3 // 4 : 2]

    def _forget(self, run: int, step: float) -> None:
        for line in [self.clocks[run], *(line for (which, _), line in self.lines.items() if which == run)]:
            line.cut(step)
        for (which, _), found in self.bins.items():
            if which == run:
                found[:] = [one for one in found if one["step"] <= step]
        self.marks = [mark for mark in self.marks if mark["run"] != run or mark["step"] <= step]


def a_run(run: Mapping[str, Any]) -> dict[str, Any]:
    """A run with everything a page needs; ValueError says what is wrong with it."""
    full = {"name": "run", "steps": 0, "role": "student", "status": "running", "started": None, "message": "", **run}
    full.setdefault("colour", full["role"])
    one_of(full, "role", ROLES)
    one_of(full, "status", STATUSES)
    if not (full["colour"] in ROLES or re.fullmatch("#[0-9a-fA-F]{6}", str(full["colour"]))):
        raise ValueError(f"run {full['name']!r}: colour must be #rrggbb or one of {', '.join(ROLES)}")
    return full | {"name": str(full["name"]), "steps": int(finite(full, "steps"))}


def values_of(row: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    yield from (row.get("series") or {}).items()
    yield from ((f"{owner}: learning rate", value) for owner, value in (row.get("lr") or {}).items())


def check_readings(row: Mapping[str, Any]) -> None:
    for name, value in values_of(row):
        if value is not None and not isinstance(value, NUMBERS):
            raise ValueError(f"step {row['step']}: {name!r} is a {type(value).__name__}; pass float(value) or None")
    for owner, one in (row.get("bins") or {}).items():
        if not {"t", "error"} <= one.keys() or np.shape(one["t"]) != np.shape(one["error"]) or not np.size(one["t"]):
            raise ValueError(f'step {row["step"]}: bins of {owner!r} need "t" and "error" of one length, at least 1')


def finite(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    if not isinstance(value, NUMBERS) or not isfinite(float(value)):
        raise ValueError(f"row {short(row)}: {name} must be a finite number, it is {value!r}")
    return float(value)


def one_of(row: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> None:
    if row.get(name) not in allowed:
        raise ValueError(f"row {short(row)}: {name} must be one of {', '.join(allowed)}, it is {row.get(name)!r}")


def short(row: Mapping[str, Any]) -> str:
    return repr(dict(row))[:80]
