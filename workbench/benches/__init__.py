"""Benches by name; a bench's module is imported when it is loaded."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Any

BENCHES = {
    "gmm2d": "workbench.benches.gmm2d:Gmm2d",
    "gmmd": "workbench.benches.gmmd:Gmmd",
    "digits": "workbench.benches.digits:Digits",
    "digit_classes": "workbench.benches.digit_classes:DigitClasses",
    "pipeline": "workbench.benches.pipeline:PipelineBench",
}


def load(name: str, **fields: Any) -> Any:
    """The bench called ``name`` with these fields, the others at their defaults. ValueError for an unknown name."""
    if name not in BENCHES:
        near = get_close_matches(name, BENCHES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"no bench called {name!r}; {hint}known benches: {', '.join(BENCHES)}")
    module, _, attribute = BENCHES[name].partition(":")
    return getattr(import_module(module), attribute)(**fields)


__all__ = ["BENCHES", "load"]
