"""From a method's name (a paper's slug, a method's file, ``module:Class``) to the method; light until it is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.naming import unknown
from workbench.papers import catalogue


def runnable() -> dict[str, dict[str, Any]]:
    """Records that name a method of a student, by slug."""
    tables = {slug: catalogue.table(slug) for slug in catalogue.slugs()}
    return {slug: table for slug, table in tables.items() if ":" in (table.get("method") or "")}


def files(folder: Path = catalogue.METHODS) -> dict[str, str]:
    """Modules of methods as records write them (``score.dmd2``), by the file's name."""
    found = [path for path in folder.glob("*/*.py") if path.parent.name != "parts" and path.stem != "__init__"]
    return {path.stem: f"{path.parent.name}.{path.stem}" for path in sorted(found)}


def check(name: str) -> str:
    """The name itself, or ValueError with the nearest known one."""
    if ":" not in name and name not in (known := {*runnable(), *files()}):
        raise ValueError(unknown("method", name, known))
    return name


def method(name: str, settings: dict[str, Any] | None = None, bench: str = "") -> Any:
    """The method of that name, these settings over its record's own and over those for ``bench``.

    ValueError names the fault and the nearest name.
    """
    from workbench.papers.validate import PACKAGE, build_method, methods_of

    papers = runnable()
    if ":" in check(name):
        return build_method(name, settings)
    if name in papers:
        own, here = papers[name].get("settings", {}), papers[name].get("benches", {}).get(bench, {})
        return build_method(papers[name]["method"], {**own, **here, **(settings or {})})
    from importlib import import_module

    module = files()[name]
    classes = methods_of(import_module(f"{PACKAGE}.{module}"))
    if len(classes) != 1:
        raise ValueError(f"{module} holds several methods: name one as {module}:{classes[0]}")
    return build_method(f"{module}:{classes[0]}", settings)
