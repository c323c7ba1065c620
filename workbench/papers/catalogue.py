"""Which papers there are and where each stands. Light: TOML and JSON only, so that a listing needs no torch.

Statuses: ``missing`` (no method, or its file is not there), ``present`` (it runs; no evidence for the record as it
stands), ``held-in-part`` (some claims held, or an identity out of bounds), ``verified`` (everything held).
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

from workbench.naming import unknown

FOLDER = Path(__file__).parent
METHODS = FOLDER.parent / "methods"
STATUSES = ("missing", "present", "held-in-part", "verified")
# What the figures depend on: words, and the author's own verdict, may be edited without measuring again.
MEASURED = {
    "claim": ("bench", "bench_settings", "measure", "on", "off", "expect", "seeds", "budget"),
    "identity": ("check", "bound"),
}


def slugs(folder: Path = FOLDER) -> list[str]:
    """All records' names, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def find(slug: str, folder: Path = FOLDER) -> Path:
    """The file of a record; ValueError with the nearest slug when there is none."""
    if slug not in (known := slugs(folder)):
        raise ValueError(unknown("paper", slug, known, show=6) + " (`workbench papers` lists all)")
    return folder / f"{slug}.toml"


def table(slug: str, folder: Path = FOLDER) -> dict[str, Any]:
    """The record's TOML as it stands, not validated."""
    return tomllib.loads(find(slug, folder).read_text(encoding="utf-8"))


def record(slug: str, folder: Path = FOLDER):
    """The validated ``Record``."""
    from workbench.papers.record import read

    return read(find(slug, folder))


def fingerprint(data: dict[str, Any]) -> str:
    """Hash of what the figures of a record depend on: evidence counts only for the record it was measured for."""
    measured: dict[str, Any] = {"method": data.get("method"), "settings": data.get("settings", {})}
    for part, keys in MEASURED.items():
        measured[part] = [{key: entry[key] for key in keys if key in entry} for entry in data.get(part, [])]
    return hashlib.sha256(json.dumps(measured, sort_keys=True).encode()).hexdigest()[:16]


def evidence_path(slug: str, folder: Path = FOLDER) -> Path:
    return folder / "evidence" / f"{slug}.json"


def evidence(slug: str, data: dict[str, Any], folder: Path = FOLDER) -> dict[str, Any] | None:
    """The evidence measured for this very record, or None."""
    path = evidence_path(slug, folder)
    if not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if found.get("record") == fingerprint(data) else None


def status(slug: str, data: dict[str, Any], folder: Path = FOLDER) -> str:
    """Where a paper stands, one of ``STATUSES``."""
    if not data.get("method") or not written(data["method"]):
        return "missing"
    found = evidence(slug, data, folder)
    if found is None:
        return "present"
    claims = [bool(claim["held"]) for claim in found["claims"]]
    identities = [bool(identity["held"]) for identity in found["identities"]]
    if claims and all(claims + identities):
        return "verified"
    return "held-in-part" if any(claims + identities) else "present"


def written(method: str) -> bool:
    """Whether the method's file is there and defines the class; the tests assert that such a method also builds."""
    module, _, name = method.partition(":")
    path = METHODS.joinpath(*module.split(".")).with_suffix(".py")
    return path.is_file() and bool(re.search(rf"^class {re.escape(name)}\b", path.read_text(encoding="utf-8"), re.M))


def listing(family: str | None = None, folder: Path = FOLDER) -> list[dict[str, str]]:
    """Every paper as slug, title, family, kind, status; only one family's when it is named."""
    rows = []
    for slug in slugs(folder):
        data = tomllib.loads((folder / f"{slug}.toml").read_text(encoding="utf-8"))
        rows.append({"slug": slug, "title": data["title"], "family": data["family"], "kind": data["kind"],
                     "status": status(slug, data, folder)})
    if family is not None and family not in (families := {row["family"] for row in rows}):
        raise ValueError(unknown("family", family, families))
    return [row for row in rows if family in (None, row["family"])]
