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
    """One recorded step: every part and gradient norm by its owner (who learns), learning rates, error by time bin."""
    series, rates, bins = {}, {}, {}
    for update in event["updates"]:
        who = ", ".join(update["trains"]) or "memory"
        parts = update["parts"] or {"total": update["total"]}
        series |= {f"{who}: {part}": value for part, value in parts.items()}
        if update["trains"]:
            series[f"{who}: gradient norm"] = update["grad_norm"]
            rates[who] = update["lr"]
        if "time_bins" in update:
            bins[who] = update["time_bins"]
    return {"run": run, "step": event["step"], "time": event["time"], "series": series, "lr": rates, "bins": bins}


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
