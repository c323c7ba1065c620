"""The folder of a notebook's run: named, laid out, read back, locked. ``run.json`` is the truth; there is no index."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from workbench.files import sealed, sound, write_json
from workbench.jobs.provenance import alive

FORMAT = 2
STATUSES = ("queued", "running", "succeeded", "failed", "killed")


class Taken(ValueError):
    """Another process works in this folder."""


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


def load(folder: Path) -> dict[str, Any]:
    """run.json as it stands; ValueError with a sentence when it is missing, torn, foreign or of a newer format."""
    path = folder / "run.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ValueError(f"{folder} is not a run folder: it has no run.json that can be read") from None
    except ValueError:
        raise ValueError(f"{path} is torn or not JSON: restore it, or start the run anew") from None
    if not isinstance(record, dict) or not isinstance(record.get("format"), int) or "status" not in record:
        raise ValueError(f"{path} was not written by this package")
    if record["format"] > FORMAT:
        raise ValueError(f"{path} has format {record['format']}, this version reads up to {FORMAT}: update the package")
    if not sound(record):
        raise ValueError(f"{path} was altered since it was written: restore it, or start the run anew")
    return record


def read(folder: Path) -> dict[str, Any]:
    """run.json of a notebook's or a training's folder; ``running`` without a living process reads as ``killed``."""
    record = load(folder)
    if isinstance(record.setdefault("started", None), float):
        record["started"] = datetime.fromtimestamp(record["started"], UTC).isoformat(timespec="milliseconds")
    process = record.get("process") or {"id": record.get("pid"), "host": record.get("host")}
    if record["status"] == "running" and process.get("host") == socket.gethostname() and not alive(process):
        record["status"] = "killed"
    return record


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; Taken when another one does. The system lets go of it if this one is killed."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Taken(f"{folder} is being run by another process: wait for it, or name another folder") from None
    try:
        yield
    finally:
        lock.release()


def event(folder: Path, kind: str, **values: Any) -> None:
    """Append a line to the folder's ``events.jsonl``, after dropping a torn one that a killed writer left."""
    path = folder / "events.jsonl"
    line = json.dumps({"kind": kind, "time": now(), **values}).encode() + b"\n"
    with open(path, "ab+") as file:
        if file.tell():
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        file.write(line)


def events(folder: Path) -> list[dict[str, Any]]:
    """The lines of ``events.jsonl`` that can be read; a torn or altered one is left out."""
    try:
        lines = (folder / "events.jsonl").read_bytes().split(b"\n")[:-1]
    except OSError:
        return []
    found = []
    for line in lines:
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


def write(folder: Path, record: dict[str, Any], **facts: Any) -> None:
    """Set facts of run.json and write it whole and sealed."""
    record |= facts
    write_json(folder / "run.json", sealed(record))


def manifest(folder: Path) -> dict[str, str]:
    """sha256 of what a job leaves for others to read, by name: its notebook, metrics and figures."""
    found = sorted([*folder.glob("*.ipynb"), *folder.glob("metrics.json"), *folder.glob("figures/*")])
    return {path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest() for path in found}


def altered(folder: Path, record: dict[str, Any]) -> list[str]:
    """Names of the files that are not as the job left them when it ended."""
    now = manifest(folder)
    return [name for name, known in (record.get("files") or {}).items() if now.get(name) != known]


def listing(root: Path) -> list[tuple[Path, dict[str, Any]]]:
    """(folder, run.json) of every run under root and in its sweeps, oldest first; torn and foreign ones left out."""
    found = []
    for path in [*root.glob("*/run.json"), *root.glob("*/jobs/*/run.json"), *root.glob("jobs/*/run.json")]:
        try:
            record = read(path.parent)
            found.append((record["started"] or record.get("laid") or "", path.parent, record))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return [(folder, record) for _, folder, record in sorted(found, key=lambda row: (row[0], str(row[1])))]
