"""``workbench reproduce``: a run again, from its own record, held against what it left."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from workbench.jobs import folder as folders
from workbench.jobs import parameters, provenance
from workbench.jobs.difference import changes, made_of, threads
from workbench.jobs.notebook import Job, load, original, settled
from workbench.jobs.outcome import Verdict, verdict
from workbench.jobs.report import report
from workbench.jobs.work import KEPT, lay, work
from workbench.record.store import read_events


class Repeat(NamedTuple):
    """A run to be repeated: its folder and record, the job made of them, how it is run, and what is not as it was."""

    folder: Path
    record: dict[str, Any]
    job: Job
    how: dict[str, Any]
    changed: list[str]


def prepare(folder: Path, typed: Mapping[str, str] | None = None) -> Repeat:
    """Read the record and say what is not as it was: cells, parameters, packages, code, machine, threads.

    ``typed`` are parameters to be changed, as text. The kernel gets the threads that it had. Nothing is run.
    Raises ValueError for a folder that is no job's or has not ended, and for a bad parameter.
    """
    record = made_of(folder)
    if record["status"] in ("queued", "running"):
        raise ValueError(f"{folder} is {record['status']}: let it come to its end, or end it with Ctrl-C")
    notebook = original(load(folder / record["notebook"]))
    try:
        given = {name: record["parameters"][name] for name in record["given"]}
    except KeyError as name:
        raise ValueError(f"{folder / 'run.json'} gives {name} no value: its run cannot be repeated") from None
    job = settled(Path(record["notebook"]).stem, notebook, parameters.read(notebook), given, typed or {})
    how = {name: record.get(name) for name in KEPT}
    told = threads(record)
    how["threads"] = int(told) if told and told.isdigit() else None
    now = {**record, "parameters": job.parameters, "versions": provenance.versions(), "lock": provenance.lock(),
           "code": provenance.code_digest(), "commit": provenance.commit(), "machine": provenance.machine()}
    edited = [] if job.sha256 == record["notebook_sha256"] else ["cells of the notebook were edited after its run"]
    return Repeat(folder, record, job, how, [*edited, *changes(record, now | how), *steered(folder, record)])


def steered(folder: Path, record: Mapping[str, Any]) -> Iterator[str]:
    """Changes made by hand while a training ran: these are not repeated."""
    for name in record.get("uses") or {}:
        for event in read_events(folder / name, "change"):
            yield (f"{name} had its {event.get('name')} set to {event.get('value')} by hand at step "
                   f"{event.get('step')}: that is not repeated")


def beside(folder: Path) -> Path:
    """``<folder>-again``, or ``-again-2`` and so on: the first that is not there."""
    found, number = folder.with_name(f"{folder.name}-again"), 1
    while found.exists():
        number += 1
        found = folder.with_name(f"{folder.name}-again-{number}")
    return found


def repeat(again: Repeat, out: Path | None = None) -> tuple[Path, Verdict]:
    """Run it into a new folder and compare: (the folder, the verdict)."""
    out = folders.make(again.job.stem, out or beside(again.folder.resolve()))
    parent = {"folder": os.path.relpath(again.folder, out), "key": again.record.get("key"), "by": "reproduce"}
    lay(again.job, out, **(again.how | {"parent": parent}))
    work(out)
    report(out)
    return out, verdict(again.folder, out, (again.record, folders.read(out)))
