"""The panel of a run: how far it is, whether it is alive, and the buttons and fields that steer it between steps.

``Panel(name=..., status=..., ...)`` takes the fields below, all but ``name`` with a default; ``update(**some)`` changes
some. Fields of the run that may be changed: {"name": str, "kind": one of KINDS, "value", "low", "high" (numbers, may be
missing), "choices": [str] (of a choice), "doc": str}; ``update(values={name: value})`` says what they are now.

Events (to ``on_event`` listeners), each with "at", milliseconds since 1970 by the page's clock when the user acted:
{"event": "stop" | "pause" | "resume" | "step" | "save"}, {"event": "fork", "checkpoint": int or None for here},
{"event": "change", "name", "value"}. A button says "asked" until an update shows it happened: another status for stop,
pause and resume, another step for step, other checkpoints for save, the field's value for change, or for any of them
another message.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from math import inf, isfinite
from numbers import Real
from typing import Any

import numpy as np

from widgets.view import View

STATUSES = ("running", "paused", "stopped", "finished", "diverged", "failed", "lost")
COMMANDS = ("stop", "pause", "step", "save", "fork", "change")
KINDS = ("float", "int", "bool", "choice")
MOST = 200  # checkpoints that are offered
EMPTY: dict[str, Any] = {
    "name": "", "folder": "", "status": "running", "step": 0, "steps": 0,
    "rate": None,  # steps a second
    "eta": None,  # seconds until the last step
    "beat": None,  # unix seconds of the run's last sign of life
    "now": None,  # unix seconds of the same clock when this is sent; filled in when not given
    "stale_after": 15.0,  # seconds without a beat after which the page warns
    "fields": (), "checkpoints": (), "message": "", "can": (),
    "folded": False,  # whether the fields are out of sight, until the user opens them
}  # fmt: skip


class Panel(View):
    """Progress, heartbeat, commands and changeable fields of one run; see the module for fields and events."""

    module = "panel"

    def __init__(self, **data: Any) -> None:
        self.ahead = 0.0
        super().__init__(**checked({**EMPTY, **data}))
        self._clock(self.data)

    def show(self, **data: Any) -> None:
        """Show another run, or this one anew (same fields as when made)."""
        with self.guard:
            self.data, self.waiting = checked({**EMPTY, **data}), []
            self._clock(self.data)
            self._post("show", self.whole())

    def update(self, **some: Any) -> None:
        """Change some fields; what changed also ends the "asked" of a button."""
        with self.guard:
            some = changed(some, self.data)
            self._clock(some)
            self.append(some)

    def keep(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            self.data |= row

    def whole(self) -> dict[str, Any]:
        """All fields, ``now`` being this moment."""
        found = self.data["checkpoints"]
        notes = [f"the newest {MOST} of {len(found)} checkpoints are offered"] if len(found) > MOST else []
        return {**self.data, "checkpoints": found[-MOST:], "notes": notes, "now": time.time() + self.ahead}

    def _clock(self, some: dict[str, Any]) -> None:
        """Fill in ``now``; a given one says how far the caller's clock is ahead of ours."""
        if some.get("now") is not None:
            self.ahead = some["now"] - time.time()
        some["now"] = time.time() + self.ahead


def changed(some: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """The update with its ``values`` put into fields; all checked against ``data``."""
    some = dict(some)
    if "values" in some:
        values, fields = some.pop("values"), some.get("fields", data["fields"])
        missing = set(values) - {field["name"] for field in fields}
        if missing:
            raise ValueError(f"there are no fields {sorted(missing)}; pass fields=[...] with them first")
        some["fields"] = [{**field, "value": values.get(field["name"], field["value"])} for field in fields]
    whole = checked({**data, **some})
    return {name: whole[name] for name in some}


def checked(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they are kept; ValueError names the one that is wrong and what it must be."""
    if unknown := set(data) - set(EMPTY):
        raise ValueError(f"a panel has no {', '.join(sorted(unknown))}; its fields are {', '.join(EMPTY)}")
    if data["status"] not in STATUSES:
        raise ValueError(f"status must be one of {', '.join(STATUSES)}, it is {data['status']!r}")
    if wrong := set(data["can"]) - set(COMMANDS):
        raise ValueError(f"can must be among {', '.join(COMMANDS)}; it holds {', '.join(map(str, sorted(wrong)))}")
    for name in ("step", "steps", "stale_after"):
        if not number(data[name]) or data[name] < 0:
            raise ValueError(f"{name} must be a number of at least 0, it is {data[name]!r}")
    for name in ("rate", "eta", "beat", "now"):
        if data[name] is not None and not number(data[name]):
            raise ValueError(f"{name} must be a finite number, or None where it is not known; it is {data[name]!r}")
    return {**data, "name": str(data["name"]), "folder": str(data["folder"]), "message": str(data["message"]),
            "can": list(data["can"]), "checkpoints": sorted(int(one) for one in data["checkpoints"]),
            "fields": [a_field(field) for field in data["fields"]]}


def a_field(field: Mapping[str, Any]) -> dict[str, Any]:
    """A field with all its keys; its value must be one that the page would accept."""
    full = {"value": None, "low": None, "high": None, "choices": [], "doc": "", **field}
    name, kind, value = full.get("name"), full.get("kind"), full["value"]
    if not name or kind not in KINDS:
        raise ValueError(f"field {name!r}: needs a name, and a kind that is one of {', '.join(KINDS)}, not {kind!r}")
    if kind == "choice" and value not in full["choices"]:
        raise ValueError(f"field {name!r}: its value {value!r} is not among its choices {list(full['choices'])}")
    if kind == "bool" and not isinstance(value, bool | np.bool_):
        raise ValueError(f"field {name!r}: a bool's value must be True or False, it is {value!r}")
    if kind in ("float", "int"):
        low, high = (-inf if full["low"] is None else full["low"]), (inf if full["high"] is None else full["high"])
        if not number(value) or not low <= value <= high or (kind == "int" and value != int(value)):
            raise ValueError(f"field {name!r}: its value {value!r} must be of kind {kind}, from {low} to {high}")
    return {**full, "name": str(name), "doc": str(full["doc"]), "choices": list(full["choices"])}


def number(value: Any) -> bool:
    return isinstance(value, Real | np.number) and not isinstance(value, bool) and isfinite(float(value))
