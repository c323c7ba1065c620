"""From a notebook's name and what was given for its parameters to a checked job; nothing is executed or imported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench import benches
from workbench.jobs import provenance
from workbench.jobs.method_fields import merged, takes_fields
from workbench.jobs.parameters import BadParameter, Parameter, read, settle
from workbench.naming import unknown
from workbench.papers import catalogue, chosen


@dataclass(frozen=True)
class Job:
    """A notebook with checked values: ``parameters`` are all of them, ``given`` names those that are injected."""

    stem: str
    notebook: dict[str, Any]  # as JSON
    parameters: dict[str, Any]
    given: tuple[str, ...]

    @property
    def sha256(self) -> str:
        return provenance.sources_digest(self.notebook)

    @property
    def key(self) -> str:
        """The content address: same cells, parameters, code and versions, same key."""
        return provenance.key(self.sha256, self.parameters)


def shipped() -> dict[str, Path]:
    """The notebooks that come with the package, by name: of the checkout, or packed in the wheel."""
    package = Path(__file__).resolve().parents[1]
    for place in (package.parent / "notebooks", package / "notebooks"):
        found = {path.stem: path for path in sorted(place.glob("*.ipynb"))}
        if found:
            return found
    return {}


def find(name: str) -> Path:
    """The notebook called ``name``: a path, or the name of one that is shipped; ValueError with the nearest."""
    path = Path(name)
    if path.suffix == ".ipynb" and path.is_file():
        return path.resolve()
    known = shipped()
    if name in known:
        return known[name]
    raise ValueError(unknown("notebook", name, known) + " (or give the path of an .ipynb file)")


def load(path: Path) -> dict[str, Any]:
    """The notebook as JSON; ValueError when the file is no notebook of format 4."""
    try:
        notebook = json.loads(path.read_bytes())
        sound = notebook["nbformat"] == 4 and all({"cell_type", "source"} <= cell.keys() for cell in notebook["cells"])
    except (ValueError, KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise ValueError(f"{path.name} is not a notebook of format 4: open and save it in JupyterLab")
    return notebook


def original(notebook: dict[str, Any]) -> dict[str, Any]:
    """An executed notebook's JSON without outputs, and without the cell that holds the injected parameters."""
    kept = []
    for cell in notebook["cells"]:
        metadata = {name: value for name, value in cell.get("metadata", {}).items() if name != "papermill"}
        if "injected-parameters" in metadata.get("tags", []):
            continue
        plain = {**cell, "metadata": metadata}
        kept.append({**plain, "outputs": [], "execution_count": None} if cell["cell_type"] == "code" else plain)
    metadata = {name: value for name, value in notebook.get("metadata", {}).items() if name != "papermill"}
    return {**notebook, "cells": kept, "metadata": metadata}


def prepare(name: str, *, given: Mapping[str, Any] | None = None, typed: Mapping[str, str] | None = None,
            seed: int | None = None) -> Job:
    """The job that these values make of a notebook; ValueError, before any kernel, for a bad name or parameter."""
    path = find(name)
    notebook = load(path)
    parameters = read(notebook)
    typed = dict(typed or {})
    if seed is not None:
        if "seed" not in parameters:
            raise BadParameter(f"{path.name} has no parameter seed: leave --seed out")
        typed["seed"] = str(seed)
    return settled(path.stem, notebook, parameters, given or {}, typed)


def settled(stem: str, notebook: dict[str, Any], parameters: Mapping[str, Parameter], given: Mapping[str, Any],
            typed: Mapping[str, str]) -> Job:
    """The job of a notebook whose parameters were read, with these values checked."""
    if takes_fields(parameters):
        given = merged(parameters, given, typed)
        typed = {name: value for name, value in typed.items() if name in parameters}
    values = settle(parameters, given, typed)
    everything = {one.name: values.get(one.name, one.default) for one in parameters.values()}
    check_names(everything)
    return Job(stem, notebook, everything, tuple(sorted(values)))


def check_names(values: Mapping[str, Any]) -> None:
    """Refuse, before a kernel starts, an unknown name in a parameter called ``bench``, ``paper`` or ``..._method``."""
    for name, value in values.items():
        kind = name.rpartition("_")[2]
        if not isinstance(value, str):
            continue
        if kind == "method":
            chosen.check(value)
        elif kind == "bench" and value not in benches.BENCHES:
            raise BadParameter(unknown("bench", value, benches.BENCHES))
        elif kind == "paper":
            catalogue.find(value)
