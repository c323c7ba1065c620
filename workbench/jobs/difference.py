"""What two runs were made of, held against each other: cells, parameters, packages, code, machine. No outcome."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workbench.jobs import provenance
from workbench.jobs.folder import read
from workbench.jobs.notebook import load, original

MACHINE = ("system", "processor", "cores", "memory_gib", "gpus")


def made_of(folder: Path) -> dict[str, Any]:
    """The record of a job's run with the ``cells`` of its notebook. ValueError for a folder that is no job's."""
    record = read(folder)
    if not {"notebook", "parameters", "given", "notebook_sha256"} <= record.keys():
        raise ValueError(f"{folder} holds a training, not a job: name the folder above it, or use w.watch")
    try:
        notebook = original(load(folder / record["notebook"]))
    except OSError:
        raise ValueError(f"{folder} has lost its notebook {record['notebook']}: restore it") from None
    return {**record, "cells": [provenance.text(cell["source"]) for cell in notebook["cells"]]}


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """A sentence for each thing that two runs were not made of alike, the old one first; both as ``made_of`` tells."""
    found = [*cells(old.get("cells") or [], new.get("cells") or []),
             *named("parameter ", old.get("parameters"), new.get("parameters")),
             *packages(old, new)]
    if old.get("code") != new.get("code"):
        found.append(f"code of the workbench differs: was {version(old)}, is {version(new)}")
    machines = [{name: (one.get("machine") or {}).get(name) for name in MACHINE} for one in (old, new)]
    found += named("machine: ", *machines)
    found += named("", *({"number of threads": threads(one), "number of processes": one.get("processes")}
                         for one in (old, new)), missing="not set")
    return list(dict.fromkeys(found))


def cells(old: list[str], new: list[str]) -> Iterator[str]:
    """Each cell that differs, with its first line that does."""
    for number in range(max(len(old), len(new))):
        if number >= len(new):
            yield f"cell {number + 1} of the notebook is gone"
        elif number >= len(old):
            yield f"cell {number + 1} of the notebook is new"
        elif old[number] != new[number]:
            one, two = old[number].splitlines(), new[number].splitlines()
            line = next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
            was, now = (repr(lines[line]) if line < len(lines) else "nothing" for lines in (one, two))
            yield f"cell {number + 1} of the notebook, line {line + 1}, was {was}, is {now}"


def named(title: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None,
          missing: str = "missing") -> Iterator[str]:
    """``<title><name> was ..., is ...`` for each entry of two mappings that differs."""
    old, new = old or {}, new or {}
    for name in [*old, *(name for name in new if name not in old)]:
        if plain(old.get(name)) != plain(new.get(name)):
            was, now = (missing if one.get(name) is None else said(one[name]) for one in (old, new))
            yield f"{title}{name} was {was}, is {now}"


def plain(value: Any) -> str:
    """As JSON, so that a tuple equals the list that it becomes, and 1 is not True."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def said(value: Any) -> str:
    return value if isinstance(value, str) and value.isprintable() and value.strip() == value != "" else repr(value)


def packages(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Versions that differ: first of Python and of the packages that decide numbers, then of all others."""
    yield from named("", *(lower(one.get("versions")) for one in (old, new)), missing="not installed")
    yield from named("", *(locked(one) for one in (old, new)), missing="not installed")


def lower(versions: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): version for name, version in (versions or {}).items()}


def locked(record: Mapping[str, Any]) -> dict[str, str]:
    return dict(line.split("==", 1) for line in record.get("lock") or [] if "==" in line)


def version(record: Mapping[str, Any]) -> str:
    """The code by its digest, and by its commit where that is known."""
    commit = record.get("commit")
    return f"{record.get('code') or 'not recorded'}" + (f" (commit {commit})" if commit else "")


def threads(record: Mapping[str, Any]) -> str | None:
    """How many threads the kernel was told to take."""
    told = record.get("threads") or (record.get("machine") or {}).get("threads")
    return str(told) if told else None
