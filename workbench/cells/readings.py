"""A run's events as the rows that the dashboard draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MARKS = {"checkpoint": "checkpoint", "change": "change", "fork": "fork", "paused": "stopped", "resumed": "resumed"}


def rows_of(events: list[dict[str, Any]], run: int, act: str = "") -> tuple[list[dict[str, Any]], str]:
    """The rows of these events, and the act they end in; ``act`` is the one before them."""
    rows: list[dict[str, Any]] = []
    for event in events:
        if event["kind"] == "step":
            if act and event["act"] != act:
                rows.append({"run": run, "step": event["step"], "mark": "act", "text": f"act: {event['act']}"})
            act = event["act"]
            rows.append(reading(event, run))
        elif event["kind"] in MARKS and "step" in event:
            mark = MARKS[event["kind"]]
            rows.append({"run": run, "step": event["step"], "mark": mark, "text": told(event)})
    return rows, act


def reading(event: dict[str, Any], run: int) -> dict[str, Any]:
    """One recorded step: everything that was measured, learning rates by who learns, error by time bin."""
    learning = [update for update in event["updates"] if update["trains"]]
    return {"run": run, "step": event["step"], "time": event["time"], "series": measured(event),
            "lr": {owner(update): update["lr"] for update in learning},
            "bins": {owner(update): update["time_bins"] for update in learning if "time_bins" in update}}


def measured(event: dict[str, Any]) -> dict[str, float | None]:
    """Every part of every update and its gradient norm, ``<who>: <part>``, and how far each average lags."""
    found: dict[str, float | None] = {}
    for update in event["updates"]:
        parts = update["parts"] or {"total": update["total"]}
        found |= {f"{owner(update)}: {part}": value for part, value in parts.items()}
        if update["trains"]:
            found[f"{owner(update)}: gradient norm"] = update["grad_norm"]
    return found | {f"{name}: gap": gap for name, gap in event.get("gaps", {}).items()}


def owner(update: dict[str, Any]) -> str:
    """Who learns by an update; "memory" where nobody does."""
    return ", ".join(update["trains"]) or "memory"


def told(event: dict[str, Any]) -> str:
    """A mark's text."""
    if event["kind"] == "change":
        return f"{event['name']}: {event['before']} → {event['value']}"
    if event["kind"] == "fork":
        return f"fork: {Path(event['folder']).name}"
    return event["kind"]


def speed(events: list[dict[str, Any]]) -> float | None:
    """Steps a second over the last readings, or None while there is only one."""
    steps = [event for event in events if event["kind"] == "step"][-20:]
    if len(steps) < 2 or steps[-1]["time"] <= steps[0]["time"]:
        return None
    return (steps[-1]["step"] - steps[0]["step"]) / (steps[-1]["time"] - steps[0]["time"])
