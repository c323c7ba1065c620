"""The folder of a notebook's run: named, made at once, and read back. ``run.json`` is the truth; there is no index."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import secrets
import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from workbench.files import write_json

PACKAGES = ("distillation-workbench", "torch", "numpy", "scipy", "scikit-learn", "POT", "matplotlib", "papermill")


def now() -> str:
    """The time as ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def make(stem: str, out: Path | None) -> Path:
    """A new, empty run folder: ``out`` itself, or ``runs/<time>-<stem>-<id>``. ValueError if it holds anything."""
    if out is None:
        out = Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{stem}-{secrets.token_hex(2)}"
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} exists and is not an empty folder: name another with --out")
    out.mkdir(parents=True, exist_ok=True)
    return out


def born(notebook: Path, digest: str, parameters: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The first content of run.json: what is to be run, with what, where, since when."""
    me = psutil.Process()
    return {
        "format": 1, "status": "running", "notebook": notebook.name, "notebook_sha256": digest,
        "parameters": parameters, "given": sorted(given), "seed": parameters.get("seed"),
        "started": now(), "ended": None, "seconds": None, "error": None,
        "versions": versions(), "commit": commit(), "machine": machine(),
        "process": {"id": me.pid, "started": me.create_time(), "host": socket.gethostname()},
    }


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"system": f"{platform.system()} {platform.machine()}", "cores": usable,
            "threads": os.environ.get("OMP_NUM_THREADS"), "memory_gib": round(psutil.virtual_memory().total / 2**30, 1)}


def commit() -> str | None:
    """Commit of the checkout this package runs from, with ``+`` when files differ from it; None outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        asked = ["git", "-C", str(root), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
        found = subprocess.run(asked, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def read(folder: Path) -> dict[str, Any]:
    """run.json of a notebook's or a training's folder; ``running`` without a living process reads as ``killed``."""
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    if isinstance(record["started"], float):
        record["started"] = datetime.fromtimestamp(record["started"], UTC).isoformat(timespec="milliseconds")
    process = record.get("process") or {"id": record.get("pid"), "host": record.get("host")}
    if record["status"] == "running" and process["host"] == socket.gethostname() and not alive(process):
        record["status"] = "killed"
    return record


def alive(process: dict[str, Any]) -> bool:
    """Whether the process still runs; one that merely got its number again does not count where its start is known."""
    if process["id"] is None:
        return False
    try:
        born_at = psutil.Process(process["id"]).create_time()
    except psutil.Error:
        return False
    return abs(born_at - process.get("started", born_at)) < 1


def close(folder: Path, record: dict[str, Any], status: str, error: str | None, seconds: float) -> None:
    """Write the end of a run: its status, the sentence of its error, how long it took."""
    record |= {"status": status, "error": error, "ended": now(), "seconds": round(seconds, 2)}
    write_json(folder / "run.json", record)


def listing(root: Path) -> list[tuple[Path, dict[str, Any]]]:
    """(folder, run.json) of every run under root, oldest first; a torn or foreign one is left out."""
    found = []
    for path in root.glob("*/run.json"):
        try:
            record = read(path.parent)
            found.append((record["started"], path.parent, record))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return [(folder, record) for _, folder, record in sorted(found, key=lambda row: (row[0], str(row[1])))]
