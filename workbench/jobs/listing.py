"""Runs told for a person, from their folders alone: a list, one run whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workbench.jobs.folder import altered, listing, load, read

NUMERIC = ("python", "torch", "numpy", "distillation-workbench")  # of the versions, those that are shown


def rows(root: Path) -> list[str]:
    """A line for each run under root: status, start, seconds, folder, error. ValueError where there is no folder."""
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}: nothing was run here yet, or name the folder")
    return [row(folder, record) for folder, record in listing(root)]


def row(folder: Path, record: Mapping[str, Any]) -> str:
    seconds = "" if record.get("seconds") is None else f"{record['seconds']:.0f} s"
    started = (record["started"] or record.get("laid") or "")[:19]
    return f"{record['status']:<10} {started:<19}  {seconds:>8}  {folder}  {record.get('error') or ''}".rstrip()


def broken(root: Path) -> Iterator[str]:
    """A sentence on each folder whose run.json cannot be read."""
    for path in sorted([*root.glob("*/run.json"), *root.glob("*/jobs/*/run.json"), *root.glob("jobs/*/run.json")]):
        try:
            load(path.parent)
        except ValueError as error:
            yield str(error)


def whole(folder: Path) -> dict[str, Any]:
    """run.json, and the ``metrics`` beside it. ValueError for a folder that is no run's."""
    record = read(folder)
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        metrics = {}
    except (OSError, ValueError):
        record["warnings"] = [*(record.get("warnings") or []), "metrics.json is torn: its numbers are not shown"]
        metrics = {}
    changed = [f"{name} was altered since the run ended" for name in altered(folder, record)]
    record["warnings"] = [*(record.get("warnings") or []), *changed]
    return record | {"metrics": metrics if isinstance(metrics, dict) else {}}


def told(folder: Path, record: Mapping[str, Any]) -> list[str]:
    """The lines of ``workbench runs show``."""
    versions = {name: version for name, version in section(record, "versions").items() if name in NUMERIC}
    head = {
        "folder": folder, "status": record["status"], "error": record.get("error"), "notebook": record.get("notebook"),
        "repeats": section(record, "parent").get("folder"), "started": record.get("started"),
        "ended": record.get("ended"), "seconds": record.get("seconds"), "attempts": record.get("attempts"),
        "secrets": ", ".join(record.get("secrets") or ()),
    }
    given = record.get("given") or ()
    parameters = {name: f"{value!r}{'' if name in given else '  (default)'}"
                  for name, value in section(record, "parameters").items()}
    made = {"code": record.get("code"), "commit": record.get("commit"), "versions": each(versions),
            "packages": len(record.get("lock") or ()), "machine": each(section(record, "machine")),
            "key": record.get("key")}
    trainings = {name: each(brief(one)) for name, one in section(record, "uses").items() if isinstance(one, dict)}
    parts = [("", head), ("parameters", parameters), ("metrics", section(record, "metrics")),
             ("trainings", trainings), ("cost", section(record, "cost")), ("made of", made)]
    lines = [line for title, part in parts for line in block(title, part)]
    return lines + [f"warning: {one}" for one in record.get("warnings") or ()]


def brief(use: Mapping[str, Any]) -> dict[str, Any]:
    """A training in short: its method without the module, sums by their first 16 digits."""
    found = {name: value.rpartition(":")[2] if isinstance(value, str) else value for name, value in use.items()}
    return {name: value[:16] if name.endswith("sha256") else value for name, value in found.items()}


def section(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A mapping of the record; an empty one where it is missing or something else."""
    found = record.get(name)
    return found if isinstance(found, dict) else {}


def each(part: Mapping[str, Any]) -> str:
    """``name value`` of every entry that has a value, in one line."""
    return ", ".join(f"{name} {shown(value)}" for name, value in part.items() if value not in (None, [], {}))


def shown(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + each(value) + ")"
    if isinstance(value, list):
        return " and ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def block(title: str, part: Mapping[str, Any]) -> Iterator[str]:
    """A title, and under it aligned names and values; nothing where there is none."""
    kept = {name: value for name, value in part.items() if value not in (None, "", 0, {})
            or title not in ("", "made of")}
    if not kept:
        return
    if title:
        yield title
    width = max(map(len, kept)) + 2
    for name, value in kept.items():
        yield f"{'  ' if title else ''}{name:<{width}}{shown(value) if isinstance(value, float | dict) else value}"
