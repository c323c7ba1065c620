"""What ``workbench papers``, ``verify`` and ``compare`` do. Heavy modules are imported where they are used."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from workbench.papers import catalogue


def papers_listing(slug: str | None = None, family: str | None = None, as_json: bool = False,
                   folder: Path = catalogue.FOLDER) -> str:
    """All papers, one family's, or one paper in full; as lines to read or as JSON. ValueError for an unknown name."""
    if slug is not None:
        one = paper(slug, folder)
        return json.dumps(one, indent=1, ensure_ascii=False) if as_json else in_full(one)
    rows = catalogue.listing(family, folder)
    if as_json:
        return json.dumps(rows, indent=1, ensure_ascii=False)
    widths = {key: max(len(row[key]) for row in rows) for key in ("slug", "status", "family", "kind")}
    lines = ["  ".join([*(row[key].ljust(width) for key, width in widths.items()), row["title"]]) for row in rows]
    counts = ", ".join(f"{sum(row['status'] == status for row in rows)} {status}" for status in catalogue.STATUSES)
    roots = sum(catalogue.table(row["slug"], folder).get("root", False) for row in rows)
    papers = f"{len(rows) - roots} papers" + (f" and {roots} roots they rest on" if roots else "")
    return "\n".join([*lines, f"{papers}: {counts}"])


def paper(slug: str, folder: Path = catalogue.FOLDER) -> dict[str, Any]:
    """One paper as data: its record, its status and the evidence for it as it stands (or None)."""
    table = catalogue.table(slug, folder)
    return {"slug": slug, **{key: value for key, value in table.items() if key != "status"},
            "status": catalogue.status(slug, table, folder),
            "evidence": catalogue.evidence(slug, table, folder)}


def in_full(one: dict[str, Any]) -> str:
    lines = [f"{one['title']} ({one['year']})", f"  {one['slug']}: {one['family']}, {one['kind']}; {one['status']}"]
    if one["arxiv"]:
        lines.append(f"  arXiv {one['arxiv']}" + ("" if one["arxiv_checked"] else " (unchecked)"))
    lines += [f"  code {one['code']}"] if one.get("code") else []
    lines += [f"  read from: {one['trust']}"]
    lines += [f"  method {one['method']} {json.dumps(one.get('settings', {}))}"] if "method" in one else []
    lines += [f"  compared on {bench} {json.dumps(own)}" for bench, own in one.get("benches", {}).items()]
    lines += [f"  rests on {part}" for part in one.get("rests_on", [])]
    lines += [f"  departs: {part}" for part in one.get("departures", [])]
    proof = one["evidence"] or {"claims": [], "identities": []}
    held = {entry["says"]: entry["held"] for entry in [*proof["claims"], *proof["identities"]]}
    words = {True: "held", False: "not held", None: "not measured"}
    for part in ("claim", "identity"):
        lines += [f"  {part}: {entry['says']} [{words[held.get(entry['says'])]}]" for entry in one.get(part, [])]
    lines += [f"    seen: {entry['seen']}" for entry in one.get("claim", []) if entry.get("seen")]
    return "\n".join(lines)


def verify_command(slug: str, as_json: bool = False, jobs: int | None = None) -> int:
    """Verify and print. 0: all came out as the record says; 1: not; 2: cannot be verified; 130: interrupted."""
    from workbench.papers.verify import verify

    try:
        found = verify(slug, jobs=jobs, say=(lambda line: None) if as_json else print)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: no evidence was written", file=sys.stderr)
        return 130
    if as_json:
        print(catalogue.evidence_path(slug).read_text(encoding="utf-8"), end="")
    return 0 if found.as_recorded else 1


def compare_command(bench: str, seeds: int = 5, jobs: int | None = None, only: str | None = None,
                    as_json: bool = False) -> int:
    """Compare and print. 0: done; 2: cannot be compared; 130: interrupted, and what was finished is kept."""
    from workbench.papers import comparison
    from workbench.papers.compare import compare

    try:
        slugs = [slug.strip() for slug in (only or "").split(",") if slug.strip()]
        found = compare(bench, seeds=seeds, jobs=jobs, only=slugs)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        kept = comparison.path(bench)
        print(f"\ninterrupted: what was finished is kept in {kept}, the same command goes on", file=sys.stderr)
        return 130
    print(json.dumps(found, indent=1, ensure_ascii=False) if as_json else "\n".join(comparison.lines(found)))
    return 0
