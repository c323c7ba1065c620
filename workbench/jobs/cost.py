"""What a job used and cost, told at its end by the folders of its trainings and by the system."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.record.store import read_state

Uses = dict[str, dict[str, Any]]


def closing(folder: Path, record: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """The facts ``uses`` and ``cost`` of run.json; what cannot be read is left out."""
    used = uses(folder)
    before = (record.get("cost") or {}).get("peak_memory_mib") or 0
    peak = max(before, peak_memory() or 0) or None
    return {"uses": used, "cost": {"steps": total(used, "steps"), "teacher_calls": total(used, "teacher_calls"),
                                   "seconds": seconds, "peak_memory_mib": peak}}


def uses(folder: Path) -> Uses:
    """For each training in a job's folder, by its own folder's name: what was trained, from which weights, how far.

    ``given`` holds fingerprints of the frozen nets (the teacher's weights), ``weights_sha256`` the sum of the last
    checkpoint. A training whose run.json cannot be read is told by its ``error`` alone.
    """
    return {path.parent.relative_to(folder).as_posix(): use(path.parent) for path in sorted(folder.rglob("run.json"))
            if path.parent != folder}


def use(folder: Path) -> dict[str, Any]:
    try:
        state = read_state(folder)
    except (ValueError, OSError):
        return {"error": "its run.json is missing or torn"}
    recipe, last = mapping(state.get("recipe")), last_checkpoint(folder)
    found = {
        "status": state.get("status"), "bench": recipe.get("bench"),
        "method": mapping(recipe.get("method")).get("class"), "seed": recipe.get("seed"),
        "steps": state.get("step", last.get("step")), "of": recipe.get("steps"),
        "batch_size": recipe.get("batch_size"), "teacher_calls": last.get("teacher_calls"),
        "seconds": state.get("seconds"), "given": last.get("given"), "weights_sha256": last.get("sha256"),
        "data_sha256": state.get("data_sha256"), "parent": state.get("parent"),
    }
    return {name: value for name, value in found.items() if value is not None}


def last_checkpoint(folder: Path) -> dict[str, Any]:
    """What the newest checkpoint that can be read says of itself; nothing where there is none. No tensor is read."""
    for path in sorted((folder / "checkpoints").glob("[0-9]*.json"), reverse=True):
        try:
            return mapping(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue
    return {}


def mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def total(used: Uses, name: str) -> int:
    return sum(value for one in used.values() if isinstance(value := one.get(name), int))


def peak_memory() -> int | None:
    """MiB that the largest process this one started and saw end had at most; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(largest / (2**20 if sys.platform == "darwin" else 2**10))
