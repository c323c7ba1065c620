"""Benches by name; a bench's module is imported when it is loaded."""

from __future__ import annotations

import dataclasses
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from workbench.naming import unknown

BENCHES = {
    "gmm2d": "workbench.benches.gmm2d:Gmm2d",
    "gmmd": "workbench.benches.gmmd:Gmmd",
    "digits": "workbench.benches.digits:Digits",
    "digit_classes": "workbench.benches.digit_classes:DigitClasses",
    "shapes": "workbench.benches.shapes:Shapes",
    "pipeline": "workbench.benches.pipeline:PipelineBench",
}


def load(name: str, **fields: Any) -> Any:
    """The bench called ``name`` with these fields, the others at their defaults. ValueError for an unknown one."""
    if name not in BENCHES:
        near = get_close_matches(name, BENCHES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"no bench called {name!r}; {hint}known benches: {', '.join(BENCHES)}")
    module, _, attribute = BENCHES[name].partition(":")
    kind = getattr(import_module(module), attribute)
    known = [field.name for field in dataclasses.fields(kind) if field.init]
    for field in fields.keys() - set(known):
        raise ValueError(unknown(f"field of the bench {name}", field, known))
    return kind(**fields)


__all__ = ["BENCHES", "load"]
