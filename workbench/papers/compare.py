"""Compare: every paper entered for a bench, at 1, 2 and 4 steps, beside the teacher, all within one budget.

One training for each (paper, seed), in processes of one thread. Each that is finished is kept at once, and reused as
long as the record's settings and the bench stay the same: an interrupted comparison goes on where it stopped.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench.naming import unknown
from workbench.papers import arms, catalogue, comparison, contest, evidence, pool
from workbench.papers.comparison import TEACHER, Entries
from workbench.papers.contest import Task

Runner = Callable[[Task], dict[str, Any]]


def compare(bench: str, *, seeds: int = 5, jobs: int | None = None, only: Collection[str] = (),
            bench_settings: dict[str, Any] | None = None, budget: Any = None, folder: Path = catalogue.FOLDER,
            run: Runner = contest.run_task) -> dict[str, Any]:
    """Measure what is missing; return the comparison of the papers asked for (all, or ``only``) and the teacher.

    ``bench_settings`` and ``budget`` (a bench's ``Budget``) replace the bench's own. ValueError for an unknown bench
    or paper, and for a record that cannot run there, before anything is trained.
    """
    fields_said = arms.canonical(bench_settings or {})
    place = arms.bench(bench, fields_said)
    if not hasattr(place, "start"):
        raise ValueError(f"{bench} has nothing to sample: compare is for benches of generative models")
    place = replace(place, budget=budget) if budget else place
    slugs = chosen(bench, only, folder)
    said = told_bench(place)
    evidence.check_folder(comparison.path(bench, folder).parent)
    entries = kept(bench, said, folder)
    wanted = [(slug, seed) for seed in range(seeds) for slug in (TEACHER, *slugs)]
    report_reused([entries[pair] for pair in wanted if pair in entries], len(wanted), comparison.path(bench, folder))
    missing = [pair for pair in wanted if pair not in entries]
    tasks = prepared(place, missing, slugs, fields_said, said)
    keeper = Keeper(place, said, folder)
    with closing(pool.finished(tasks, jobs or os.cpu_count() or 1, run)) as results:
        for task, result in results:
            keeper.add(task, result)
    found = {**comparison.read(bench, folder), "entries": list(kept(bench, said, folder).values())}
    return comparison.selected(found, (TEACHER, *slugs), seeds)


def kept(bench: str, said: dict[str, Any], folder: Path) -> Entries:
    """The entries on disk that still count."""
    return comparison.valid(comparison.read(bench, folder), bench, said, folder)


def chosen(bench: str, only: Collection[str], folder: Path) -> dict[str, dict[str, Any]]:
    """The records that take part, all or those asked for; ValueError names the nearest, or how to enter one."""
    known = comparison.entrants(bench, folder)
    for slug in only:
        if slug not in known and slug in catalogue.slugs(folder):
            raise ValueError(f"{slug} is not entered for {bench}: it runs there once its record has [benches.{bench}]")
        if slug not in known:
            raise ValueError(unknown("paper", slug, known))
    if not known:
        raise ValueError(f"no paper is entered for {bench}: a record takes part by a table [benches.{bench}]")
    return {slug: data for slug, data in known.items() if not only or slug in only}


def told_bench(bench: Any) -> dict[str, Any]:
    """All that makes the bench what it is, as JSON."""
    from workbench.benches.assemble import told

    return json.loads(arms.canonical({f.name: told(getattr(bench, f.name)) for f in fields(bench) if f.compare}))


def prepared(bench: Any, pairs: list[tuple[str, int]], slugs: dict[str, dict[str, Any]], fields_said: str,
             said: dict[str, Any]) -> list[Task]:
    """A task for each missing pair, every method built and its steps counted first; the teacher is made here, once."""
    if pairs:
        bench.teacher()
    steps = {slug: steps_of(bench, slug, slugs[slug]) for slug in slugs if slug in {name for name, _ in pairs}}
    tasks = []
    for slug, seed in pairs:
        data = slugs.get(slug)  # None for the teacher
        method = TEACHER if data is None else data["method"]
        settings = arms.canonical({} if data is None else comparison.settings(data, bench.name))
        record = comparison.fingerprint(data, bench.name, said)
        tasks.append(Task(slug, record, method, settings, bench.name, fields_said, seed, steps.get(slug, 0),
                          bench.budget.batch_size))
    return tasks


def steps_of(bench: Any, slug: str, data: dict[str, Any]) -> int:
    """Training steps within the bench's budget; ValueError names the paper that cannot run there."""
    from workbench.benches.assemble import fitted, steps_for
    from workbench.papers.validate import build_method
    from workbench.train.run import acts_of

    try:
        method = build_method(data["method"], comparison.settings(data, bench.name))
        if not hasattr(method, "sampler"):
            raise ValueError(f"{type(method).__name__} has no sampler: there is nothing to draw in few steps")
        with arms.one_thread():
            steps = steps_for(bench, method, bench.budget.teacher_calls, bench.budget.batch_size)
        if not contest.last_acts(acts_of(fitted(method, bench), steps)):
            raise ValueError(f"it is trained for none of {', '.join(map(str, comparison.COUNTS))} steps")
    except ValueError as error:
        raise ValueError(f"{slug} on {bench.name}: {error}") from None
    return steps


def report_reused(reused: list[dict[str, Any]], total: int, path: Path) -> None:
    """Say what was measured before, and how much of it by other code than today's."""
    if reused:
        code = evidence.source()
        old = sum(entry["source"] != code for entry in reused)
        other = f" ({old} by other code: delete {path} to measure anew)" if old else ""
        print(f"{len(reused)} of {total} were measured before{other}", file=sys.stderr)


class Keeper:
    """Writes each finished entry to the comparison at once, beside those already there that still count."""

    def __init__(self, bench: Any, said: dict[str, Any], folder: Path) -> None:
        self.bench, self.said, self.folder = bench, said, folder
        self.versions, self.commit, self.source = evidence.versions(), evidence.commit(), evidence.source()

    def add(self, task: Task, result: dict[str, Any]) -> None:
        entry = {"slug": task.slug, "seed": task.seed, "record": task.record, "method": task.method,
                 "settings": json.loads(task.settings), "torch": self.versions["torch"], "commit": self.commit,
                 "source": self.source, **result}
        entries = kept(self.bench.name, self.said, self.folder) | {(task.slug, task.seed): entry}
        evidence.write_figures(comparison.path(self.bench.name, self.folder), self.document(entries))

    def document(self, entries: Entries) -> dict[str, Any]:
        budget = self.bench.budget
        return {
            "bench": self.bench.name, "bench_settings": self.said,
            "budget": {"teacher_calls": budget.teacher_calls, "batch_size": budget.batch_size},
            "metrics": list(self.bench.metrics), "seeds": sorted({seed for _, seed in entries}),
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(sum(max(one["seconds"] for one in entry["points"]) for entry in entries.values()), 1),
            "threads_per_training": 1, "cpus": os.cpu_count(), "versions": self.versions, "commit": self.commit,
            "source": self.source, "entries": [entries[pair] for pair in sorted(entries)],
        }  # fmt: skip
