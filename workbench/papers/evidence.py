"""Evidence: what a verification measured, as table lines to read and as JSON to keep (``evidence/<slug>.json``)."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.files import write_whole
from workbench.papers import catalogue, statistics
from workbench.papers.arms import Arm, Outcome
from workbench.papers.record import Claim, Record

if TYPE_CHECKING:
    from workbench.papers.verify import Measured


def lines(slug: str, record: Record, found: Measured) -> Iterator[str]:
    """The table a person reads: every arm with its interval, what was expected, what came out."""
    yield f"{slug}: {record.title}"
    for claim, on, off, verdict in found.claims:
        yield f"claim: {claim.says}"
        yield f"  {claim.measure} on {bench_words(claim)}, seeds 0..{claim.seeds - 1}, {spent(claim)}"
        for side, arms in (("on", on), ("off", off)):
            measured = arm_line(claim, [found.outcomes[arm] for arm in arms])
            yield f"  {side:3}  {measured:44}  {settings(getattr(claim, side))}"
        yield f"  {outcome_line(claim, verdict)}"
        if claim.held is not None and claim.held != verdict.held:
            yield f"  the record says held = {str(claim.held).lower()}: bring it up to date"
    for identity, error in found.identities:
        word = "held" if error <= identity.bound else "NOT HELD"
        yield f"identity: {identity.says}"
        yield f"  expected <= {identity.bound:.3g}; measured {error:.3g}  {word}"
    claims, identities = [v.held for *_, v in found.claims], [error <= i.bound for i, error in found.identities]
    yield (f"{sum(claims)} of {len(claims)} claims and {sum(identities)} of {len(identities)} identities held, "
           f"{found.seconds:.0f} s")


def arm_line(claim: Claim, outcomes: list[Outcome]) -> str:
    """Mean [95 % one-sided bounds] of an arm and the seconds of its trainings."""
    figures = [outcome.figures[claim.measure] for outcome in outcomes]
    if not all(map(math.isfinite, figures)):
        return f"diverged in {sum(not math.isfinite(figure) for figure in figures)} of {len(figures)} seeds"
    mean, low, high = statistics.interval(figures)
    return f"{mean:.4g} [{low:.4g}, {high:.4g}]  {mean_seconds(outcomes):.1f} s each"


def outcome_line(claim: Claim, verdict: statistics.Verdict) -> str:
    if verdict.note:
        return f"expected {claim.expect}; {verdict.note}  NOT HELD"
    what = "on / off" if "*" in claim.expect else "on - off"
    return (f"expected {claim.expect}; measured {what} = {verdict.effect:.4g} [{verdict.low:.4g}, {verdict.high:.4g}] "
            f"against {verdict.threshold:.4g}, p {verdict.p:.2g}  {'held' if verdict.held else 'NOT HELD'}")


def bench_words(claim: Claim) -> str:
    return claim.bench + (f" ({settings(claim.bench_settings)})" if claim.bench_settings else "")


def spent(claim: Claim) -> str:
    budget = claim.budget
    return f"{budget.teacher_calls:g} teacher calls" if budget.steps is None else f"{budget.steps} steps"


def settings(side: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {json.dumps(value)}" for name, value in side.items()) or "as the record's settings"


def mean_seconds(outcomes: list[Outcome]) -> float:
    return math.fsum(outcome.seconds for outcome in outcomes) / len(outcomes)


def document(slug: str, record: Record, found: Measured, folder: Path) -> dict[str, Any]:
    """A verification as JSON: figures per seed and arm, seeds, seconds, versions, commit, the record's hash."""
    return {
        "slug": slug,
        "record": catalogue.fingerprint(catalogue.table(slug, folder)),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(found.seconds, 1),
        "threads_per_training": 1,
        "cpus": os.cpu_count(),
        "versions": versions(),
        "commit": commit(),
        "source": source(),
        "claims": [claim_document(*entry, found.outcomes) for entry in found.claims],
        "identities": [{"says": identity.says, "check": identity.check, "bound": identity.bound, "error": finite(error),
                        "held": error <= identity.bound} for identity, error in found.identities],
    }


def claim_document(claim: Claim, on: list[Arm], off: list[Arm], verdict: statistics.Verdict,
                   outcomes: dict[Arm, Outcome]) -> dict[str, Any]:
    arms = {side: side_document([outcomes[arm] for arm in arms], claim) for side, arms in (("on", on), ("off", off))}
    numbers = {key: finite(value) for key, value in verdict._asdict().items() if isinstance(value, float)}
    said = claim.model_dump(include={"says", "bench", "bench_settings", "measure", "expect"})
    return {**said, "budget": claim.budget.model_dump(exclude_none=True), "seeds": list(range(claim.seeds)), **arms,
            "settings": {"on": claim.on, "off": claim.off}, **numbers, "level": statistics.LEVEL,
            "note": verdict.note, "held": verdict.held}


def side_document(outcomes: list[Outcome], claim: Claim) -> dict[str, Any]:
    """Per seed, in the order of ``seeds``: every measure, the steps taken and the seconds of the training."""
    names = sorted({name for outcome in outcomes for name in outcome.figures})
    return {"figures": {n: [finite(outcome.figures.get(n, math.nan)) for outcome in outcomes] for n in names},
            "steps": [outcome.steps for outcome in outcomes], "seconds": [round(o.seconds, 2) for o in outcomes],
            **({"notes": [outcome.note for outcome in outcomes]} if any(outcome.note for outcome in outcomes) else {})}


def finite(value: float) -> float | None:
    """The value, or None (null) where JSON has no word for it."""
    return float(value) if math.isfinite(value) else None


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("torch", "numpy", "scipy", "distillation-workbench"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def commit() -> str:
    """The commit of the checkout this package lies in, "+changes" when it has some; "" outside git."""
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=catalogue.FOLDER, capture_output=True, text=True, timeout=20)
        return done.stdout.strip() if done.returncode == 0 else ""
    try:
        head = git("rev-parse", "--verify", "HEAD")
        return head + ("+changes" if head and git("status", "--porcelain", "--", "..") else "")
    except (OSError, subprocess.TimeoutExpired):
        return ""


def source() -> str:
    """Hash of the package's Python files: which code gave these figures, committed or not."""
    digest, root = hashlib.sha256(), catalogue.FOLDER.parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def check_writable(slug: str, folder: Path) -> None:
    """Raise ValueError now rather than after the last training, where the evidence could not be written."""
    check_folder(catalogue.evidence_path(slug, folder).parent)


def check_folder(parent: Path) -> None:
    parent.mkdir(exist_ok=True)
    if not os.access(parent, os.W_OK):
        raise ValueError(f"no permission to write {parent}: evidence is kept beside the records, verify in a checkout")


def write(slug: str, record: Record, found: Measured, folder: Path = catalogue.FOLDER) -> Path:
    """Write the evidence, whole, with each list of figures on one line."""
    path = catalogue.evidence_path(slug, folder)
    path.parent.mkdir(exist_ok=True)
    write_figures(path, document(slug, record, found, folder))
    return path


def write_figures(path: Path, content: Any) -> None:
    """``content`` as JSON, written whole, each innermost list on one line."""
    text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
    text = re.sub(r"\[\n[^\[\]{}]*\]", lambda flat: re.sub(r"\n *", " ", flat[0]), text)
    write_whole(path, (text + "\n").encode())
