"""The diffusion-target inspector: what each model takes for the clean sample, noise level by noise level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from widgets.player import BYTES, batch, coloured, falling, framed, light, numbers, spread
from widgets.view import View

COLUMNS = 12  # steps that get a cell
MOST = {"points": 2_000, "images": 512}  # samples that are kept
ROWS = 64
LEVELS = (1e-4, 1e5)  # noise levels are compared by their logarithm between these


class Inspector(View):
    """A table of predictions of x0: rows are models, columns noise levels from noise to data.

    ``Inspector(title, kind, limits, rows, samples=S, notes=[], can_branch=True)``; ``.show`` takes the same.

    - kind "points" | "images", limits (low, high): as for ``Player``. samples: S, alike in all rows (may be left out).
    - a row: name; role; colour (optional, role or hex); sigma (N,) noise over signal, falling; t (N,) the process's own
      time; x0 (N, S, 2) or (N, S, H, W, C), data units; to_end (N,) distance to the final sample; change (N,) distance
      to the prediction of the step before, NaN first; diversity (N,) over seeds; final (optional), like one step of x0;
      unit, what the three are measured in, "data units" if left out.
    - The first row is the reference. It gives the columns: at most 12 of its steps. A row with as many steps is aligned
      by step; of another each step stands in the column nearest in log sigma, and columns without one stay empty.

    Kept: the first 2,000 points or 512 images; a note says what was left out.
    Event: ``{"event": "branch", "row": int, "step": int, "with": name}``: walk on from that row's step (an index into
    its sigma) with the model of that name; answer with ``add(row)``. With can_branch False the page offers no branch.
    """

    module: ClassVar[str] = "inspector"

    def __init__(self, **data: Any) -> None:
        super().__init__(**prepared(data))

    def show(self, **data: Any) -> None:
        """Replace everything that is shown; takes what the class takes."""
        super().show(**prepared(data))

    def add(self, row: Mapping[str, Any]) -> None:
        """One more row below the others: the walk that was branched."""
        if len(self.data["rows"]) >= ROWS:
            raise ValueError(f"{ROWS} rows are shown already: call show(...) with the rows you still need")
        self.append(lightened(checked(row, self.data["kind"], self.data["given"]), self.data))

    def keep(self, rows: list[dict[str, Any]]) -> None:
        """Appended rows stay when a page is drawn anew."""
        self.data["rows"] += rows


def prepared(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data checked and made light enough to send: what ``Inspector`` holds, and what ``standalone`` takes."""
    kind, limits, notes = framed(data)
    rows = list(data.get("rows") or ())
    if not 0 < len(rows) <= ROWS:
        raise ValueError(f"there are {len(rows)} rows: pass 1 to {ROWS}, the reference (the teacher) first")
    given = data.get("samples")
    full = [checked(rows[0], kind, given)]
    given = full[0]["x0"].shape[1]
    full += [checked(row, kind, given) for row in rows[1:]]
    steps = len(full[0]["sigma"])
    chosen = spread(steps, COLUMNS)
    if len(chosen) < steps:
        notes.append(f"{len(chosen)} of {steps:,} steps have a cell, evenly chosen; the charts hold all.")
    each = int(np.prod(full[0]["x0"].shape[2:])) * (4 if kind == "points" else 1)
    samples = max(1, min(given, MOST[kind], BYTES // (len(rows) * (COLUMNS + 1) * each)))
    if samples < given:
        notes.append(f"The first {samples:,} of {given:,} samples are shown.")
    frame = {"title": str(data.get("title", "")), "kind": kind, "limits": limits, "notes": notes, "samples": samples,
             "given": given, "steps": steps, "can_branch": bool(data.get("can_branch", True)),
             "picked": chosen.astype(np.int32), "columns": full[0]["sigma"][chosen]}
    return {**frame, "rows": [lightened(row, frame) for row in full]}


def checked(row: Mapping[str, Any], kind: str, samples: int | None) -> dict[str, Any]:
    """A row with all that it needs, in the right shapes."""
    name = str(row.get("name", ""))
    of, needs = f"row {name!r}: ", ("name", "sigma", "t", "x0", "to_end", "change", "diversity")
    if missing := [key for key in needs if row.get(key) is None]:
        raise ValueError(f"{of}{' and '.join(missing)} missing: give every row {', '.join(needs)}")
    sigma, x0 = falling(row["sigma"], of + "sigma"), row["x0"]
    x0 = batch(x0, of + "x0", kind, len(sigma))
    if samples is not None and x0.shape[1] != samples:
        raise ValueError(f"{of}x0 holds {x0.shape[1]} samples, not {samples}: walk every row from the same noise")
    one = f"pass one number per entry of sigma, {len(sigma)}"
    change = np.array(row["change"], dtype=np.float64)
    numbers(np.where(np.arange(change.size) == 0, 0, change.reshape(-1)), of + "change", (len(sigma),), one)
    final = row.get("final")
    if final is not None:
        final = numbers(final, of + "final", x0.shape[1:], "pass final like one step of x0")[None]
    exact = {key: numbers(row[key], of + key, (len(sigma),), one).astype(float) for key in ("t", "to_end", "diversity")}
    return {"name": name, "role": str(row.get("role") or "student"), "colour": coloured(row, of), **exact,
            "sigma": sigma, "change": change, "x0": x0, "final": final, "unit": str(row.get("unit") or "data units")}


def lightened(row: dict[str, Any], frame: Mapping[str, Any]) -> dict[str, Any]:
    """The row with the predictions of those steps that have a cell: ``cells`` (K,) says which step, -1 for none."""
    cells = frame["picked"] if len(row["sigma"]) == frame["steps"] else aligned(row["sigma"], frame["columns"])
    kept = np.unique(cells[cells >= 0])
    place = np.where(cells < 0, -1, np.searchsorted(kept, cells)).astype(np.int32)
    samples, kind, limits = frame["samples"], frame["kind"], frame["limits"]
    final, x0 = row["final"], light(row["x0"][kept, :samples], kind, limits)
    return {**row, "cells": cells.astype(np.int32), "place": place, "x0": x0,
            "final": None if final is None else light(final[:, :samples], kind, limits)}


def aligned(sigma: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """For each column the step that is nearest in log sigma, of those steps that have no nearer column; else -1."""
    away = np.abs(np.log(np.clip(sigma, *LEVELS))[:, None] - np.log(np.clip(columns, *LEVELS)))
    home, cells = away.argmin(axis=1), np.full(len(columns), -1, dtype=np.int32)
    for column in range(len(columns)):
        here = np.flatnonzero(home == column)
        if len(here):
            cells[column] = here[away[here, column].argmin()]
    return cells
