"""Verify a paper: run its claims and identities, print measured against expected, write the evidence.

Trainings run in separate processes of one thread each. The table goes to stdout, progress to stderr. Interrupted,
nothing is written: evidence is whole or not there.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from workbench.naming import unknown
from workbench.papers import arms, catalogue, evidence, pool, statistics
from workbench.papers.arms import Arm, Outcome
from workbench.papers.expectation import parse
from workbench.papers.record import Claim, Identity, Record, read

Outcomes = dict[Arm, Outcome]
Runner = Callable[[list[Arm]], list[Outcome]]


class Measured(NamedTuple):
    """One line of the evidence: what was asked, what came out."""

    claims: list[tuple[Claim, list[Arm], list[Arm], statistics.Verdict]]
    identities: list[tuple[Identity, float]]
    outcomes: Outcomes
    seconds: float

    @property
    def held(self) -> bool:
        return all(verdict.held for *_, verdict in self.claims) and all(e <= i.bound for i, e in self.identities)

    @property
    def as_recorded(self) -> bool:
        """Every claim came out as the record says (held unless it says otherwise), every identity within its bound."""
        claims = all(verdict.held == (claim.held is not False) for claim, *_, verdict in self.claims)
        return claims and all(error <= identity.bound for identity, error in self.identities)


def verify(slug: str, *, jobs: int | None = None, folder: Path = catalogue.FOLDER, write: bool = True,
           run: Runner = arms.run_arms, say: Callable[[str], None] = print) -> Measured:
    """Run everything a record promises; ValueError for an unknown paper, one that is missing, or a record at fault."""
    record = read(catalogue.find(slug, folder))
    if record.method is None:
        raise ValueError(f"{slug} is missing: its record names no method, so there is nothing to verify")
    if write:
        evidence.check_writable(slug, folder)
    started = time.perf_counter()
    sides = [(claim, arms.arms_of(record, claim, "on"), arms.arms_of(record, claim, "off")) for claim in record.claims]
    wanted = arms.by_training(arm for _, on, off in sides for arm in on + off)
    if run is arms.run_arms:
        check(record, wanted)
    identities = [(identity, measure(identity)) for identity in record.identities]
    outcomes = run_all(list(wanted.values()), jobs or os.cpu_count() or 1, run)
    claims = [(claim, on, off, judge(claim, on, off, outcomes)) for claim, on, off in sides]
    found = Measured(claims, identities, outcomes, time.perf_counter() - started)
    for line in evidence.lines(slug, record, found):
        say(line)
    if write:
        evidence.write(slug, record, found, folder)
    return found


def check(record: Record, wanted: dict[arms.Training, list[Arm]]) -> None:
    """Build every bench, its teacher, method, sampler and measure before the first training starts."""
    from workbench import benches

    for claim in record.claims:
        if claim.measure not in (names := benches.load(claim.bench, **claim.bench_settings).metrics):
            raise ValueError(unknown(f"measure of bench {claim.bench!r}", claim.measure, names))
    for group in wanted.values():
        for arm in group:
            arms.check_arm(arm)
    for training in {(one.bench, one.bench_settings): one for one in wanted}.values():
        arms.bench_of(training).teacher()


def measure(identity: Identity) -> float:
    """The error an identity's function returns."""
    module_name, _, name = identity.check.partition(":")
    try:
        module = importlib.import_module(f"workbench.papers.identities.{module_name}")
        function = getattr(module, name)
    except (ModuleNotFoundError, AttributeError):
        raise ValueError(f"identity {identity.check!r} is not written: no such function in papers/identities") from None
    return float(function())


def judge(claim: Claim, on: list[Arm], off: list[Arm], outcomes: Outcomes) -> statistics.Verdict:
    figures = [[outcomes[arm].figures[claim.measure] for arm in side] for side in (on, off)]
    return statistics.compare(*figures, parse(claim.expect))


def run_all(groups: list[list[Arm]], jobs: int, run: Runner) -> Outcomes:
    """Outcomes of all arms; a group is one training."""
    outcomes: Outcomes = {}
    for group, results in pool.finished(groups, jobs, run):
        outcomes.update(zip(group, results, strict=True))
    return outcomes
