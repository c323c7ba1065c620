"""The README's tables, generated from records, evidence and comparisons: ``python -m workbench.papers.table``."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from workbench.papers import catalogue, comparison

COMPARED = ("gmm2d", "digits")
README = catalogue.FOLDER.parent.parent / "README.md"
FAMILIES = ("trajectory", "distribution", "knowledge", "language", "applied")


def markdown(folder: Path = catalogue.FOLDER) -> str:
    """Counts by family, then every paper that runs with what was measured of it."""
    rows = catalogue.listing(folder=folder)
    lines = ["| family | " + " | ".join(catalogue.STATUSES) + " |", "|---" * (len(catalogue.STATUSES) + 1) + "|"]
    for family in FAMILIES:
        counts = Counter(row["status"] for row in rows if row["family"] == family)
        lines.append(f"| {family} | " + " | ".join(str(counts[status]) for status in catalogue.STATUSES) + " |")
    roots = sum(catalogue.table(row["slug"], folder).get("root", False) for row in rows)
    lines += ["", f"{len(rows) - roots} papers and {roots} roots that they rest on."]
    running = [row for row in rows if row["status"] != "missing"]
    if running:
        lines += ["", "| paper | status | measured |", "|---|---|---|"]
    for row in running:
        data = catalogue.table(row["slug"], folder)
        title = cell(row["title"])
        title = f"[{title}](https://arxiv.org/abs/{data['arxiv']})" if data["arxiv"] else title
        lines.append(f"| `{row['slug']}` {title} | {row['status']} | {measured(row['slug'], data, folder)} |")
    return "\n".join(lines)


def measured(slug: str, data: dict[str, Any], folder: Path) -> str:
    """A paper's claims and identities with their figures, in one cell."""
    found = catalogue.evidence(slug, data, folder)
    if found is None:
        return "not measured yet"
    parts = [claim_words(claim) for claim in found["claims"]]
    for identity in found["identities"]:
        word = "" if identity["held"] else ", **not held**"
        figures = f"error {number(identity['error'])} (bound {number(identity['bound'])})"
        parts.append(f"{cell(identity['says'])}: {figures}{word}")
    return "<br>".join(parts) or "nothing claimed"


def claim_words(claim: dict[str, Any]) -> str:
    """A claim, the arms' means over its seeds, the paired effect with its bounds, and whether it held."""
    on, off = (number(mean(claim[side]["figures"][claim["measure"]])) for side in ("on", "off"))
    effect = "ratio" if "*" in claim["expect"] else "difference"
    bounds = f"{effect} {number(claim['effect'])} [{number(claim['low'])}, {number(claim['high'])}]"
    where = f"{claim['bench']}, {claim['measure'].replace('_', ' ')}, {len(claim['seeds'])} seeds"
    word = "" if claim["held"] else ", **not held**"
    return f"{cell(claim['says'])} ({where}): {on} against {off}, {bounds}{word}"


def mean(values: list[float | None]) -> float | None:
    return None if None in values else sum(values) / len(values)


def number(value: float | None) -> str:
    return "diverged" if value is None else f"{value:.3g}"


def cell(text: str) -> str:
    """Text that cannot end a table cell or become markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("\n", " ")


def markers(name: str) -> tuple[str, str]:
    """The lines between which the table of this name stands."""
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def updated(readme: str, table: str, name: str = "papers") -> str:
    """The README with the table between its markers; ValueError when they are not there, once each and in order."""
    first, last = markers(name)
    before, begin, rest = readme.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end or first in rest or last in after:
        raise ValueError(f"the README needs one line {first} and, after it, one line {last}")
    return f"{before}{first}\n{table}\n{last}{after}"


def all_updated(readme: str, folder: Path = catalogue.FOLDER) -> str:
    """The README with every table of it made anew."""
    text = updated(readme, markdown(folder))
    for bench in COMPARED:
        text = updated(text, comparison.markdown(bench, folder), f"compare:{bench}")
    return text


def main(readme: Path = README) -> int:
    try:
        text = readme.read_text(encoding="utf-8")
        new = all_updated(text)
    except (OSError, ValueError, json.JSONDecodeError) as error:
        print(error, file=sys.stderr)
        return 1
    if new != text:
        readme.write_text(new, encoding="utf-8")
    print(f"{readme.name}: {'rewritten' if new != text else 'up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
