"""Sentences about unknown names, with the nearest known one. Imports nothing heavy: the listing uses it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown(what: str, name: str, known: Iterable[str], *, show: int = 12) -> str:
    """``unknown field 'averge' of X; did you mean 'average'?``, or the known names when none is near."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"unknown {what} {name!r}; did you mean {near[0]!r}?"
    shown = ", ".join(names[:show]) + (", ..." if len(names) > show else "")
    return f"unknown {what} {name!r}; known: {shown or 'none'}"
