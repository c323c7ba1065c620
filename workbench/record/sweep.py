"""A sweep's folder, read: ``sweep.json`` (what was to be run) and each job's run.json and metrics.json beside it."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from workbench.files import sound

FORMAT = 1


class Row(NamedTuple):
    """One job of a sweep: its varied values, how it stands, the numbers it kept, what it cost."""

    folder: Path
    varied: dict[str, Any]
    status: str
    error: str
    seconds: float
    attempts: int
    metrics: dict[str, float]
    record: dict[str, Any]

    @property
    def setting(self) -> dict[str, Any]:
        """The varied values but for the seed: jobs of one setting are repetitions."""
        return {name: value for name, value in self.varied.items() if name != "seed"}


def read_sweep(folder: Path | str) -> dict[str, Any]:
    """sweep.json; ValueError with a sentence for a folder that is no sweep's."""
    path = Path(folder) / "sweep.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        known = int(found["format"])
    except OSError:
        raise ValueError(f"{folder} is not a sweep's folder: it has no sweep.json that can be read") from None
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is torn or was not written by this package: run the sweep's command again") from None
    if known > FORMAT:
        raise ValueError(f"{path} has format {known}, this version reads up to {FORMAT}: update the package")
    if not sound(found):
        raise ValueError(f"{path} was altered since it was written: run the sweep's command again")
    return found


def rows(folder: Path | str) -> list[Row]:
    """The sweep's jobs in its order; one not laid out yet is ``queued``, one that cannot be read ``broken``."""
    return [row(Path(folder) / one["folder"], one["varied"]) for one in read_sweep(folder)["jobs"]]


def row(folder: Path, varied: dict[str, Any]) -> Row:
    record = content(folder / "run.json")
    status, error = record.get("status", "queued" if not folder.exists() else "broken"), record.get("error") or ""
    numbers, known = content(folder / "metrics.json"), (record.get("files") or {}).get("metrics.json")
    if status == "broken" or not sound(record) or (known and known != digest(folder / "metrics.json")):
        status, numbers = "broken", {}
        error = "its run.json or metrics.json was altered: remove its folder to run it anew"
    metrics = {name: float(value) for name, value in numbers.items() if isinstance(value, int | float)}
    return Row(folder, varied, status, error, float(record.get("seconds") or 0.0),
               int(record.get("attempts") or 0), metrics, record)


def digest(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def content(path: Path) -> dict[str, Any]:
    """A JSON object, or nothing where the file is missing or torn."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def common_metrics(found: list[Row]) -> list[str]:
    """Names of the numbers that every succeeded job kept, in the first one's order."""
    kept = [row.metrics for row in found if row.status == "succeeded"]
    return [name for name in kept[0] if all(name in one for one in kept)] if kept else []
