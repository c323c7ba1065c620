"""The plain fields of a method as parameters of a notebook that has ``method`` and ``settings``; nothing is imported.

They are read from the method's source, so that a wrong name, type or range is refused without loading torch. What is
accepted here is checked again, by the method itself, when it is built.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from workbench.jobs.parameters import KINDS, BadParameter, Parameter, comment_after
from workbench.naming import unknown
from workbench.papers import catalogue, chosen

PACKAGE = Path(__file__).resolve().parents[1]
BOUNDS = {"Ge": "low", "Gt": "above", "Le": "high", "Lt": "below"}


def takes_fields(parameters: Mapping[str, Parameter]) -> bool:
    """Whether a notebook's parameters stand for a method and its settings."""
    return "method" in parameters and "settings" in parameters and parameters["settings"].kind is dict


def merged(parameters: Mapping[str, Parameter], values: Mapping[str, Any], typed: Mapping[str, str]) -> dict[str, Any]:
    """``values`` with what names fields of the method, given or ``typed``, moved into ``settings`` and checked."""
    method = str(values.get("method", typed.get("method", parameters["method"].default)))
    found = {name: value for name, value in values.items() if name in parameters}
    extra = {name: value for name, value in [*values.items(), *typed.items()] if name not in parameters}
    if extra:
        fields = fields_of(method)
        for name in extra:
            if name not in fields:
                raise BadParameter(unknown(f"parameter, and field of {method},", name, {**parameters, **fields}))
        own = {name: fields[name].parse(value) if name in typed else fields[name].check(value)
               for name, value in extra.items()}
        found["settings"] = {**found.get("settings", parameters["settings"].default), **own}
    return found


@cache
def fields_of(method: str) -> dict[str, Parameter]:
    """The fields that one number, truth value or word sets, by name; ValueError for an unknown method."""
    chosen.check(method)
    module, _, name = (chosen.runnable()[method]["method"] if method in chosen.runnable() else
                       method if ":" in method else chosen.files()[method]).partition(":")
    path = catalogue.METHODS / f"{module.replace('.', '/')}.py"
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and (node.name == name if name else any(
        isinstance(inner, ast.FunctionDef) and inner.name in ("updates", "acts") for inner in node.body))]
    found: dict[str, Parameter] = {}
    for node in classes[0].body if classes else []:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            field = one(node, tree, source.splitlines())
            if field is not None:
                found[field.name] = field
    return found


def one(node: ast.AnnAssign, tree: ast.Module, lines: list[str]) -> Parameter | None:
    """A field as a parameter; None for a process, a solver and what else is no plain value."""
    try:
        default = ast.literal_eval(node.value)  # type: ignore[arg-type]
    except ValueError:
        return None
    hint = resolved(node.annotation, tree)
    help = comment_after(lines[(node.end_lineno or node.lineno) - 1], node.end_col_offset or 0)
    name = node.target.id  # type: ignore[union-attr]
    if isinstance(hint, ast.Subscript) and ast.unparse(hint.value) == "Literal":
        return Parameter(name, default, str, choices=tuple(ast.literal_eval(hint.slice)), help=help)
    bounds: dict[str, float] = {}
    if isinstance(hint, ast.Subscript) and ast.unparse(hint.value) == "Annotated" and isinstance(hint.slice, ast.Tuple):
        hint, *said = hint.slice.elts
        for bound in said:
            bounds |= read_bound(bound)
    kind = KINDS.get(ast.unparse(hint))
    return Parameter(name, default, kind, help=help, **bounds) if kind in (int, float, bool, str) else None


def read_bound(bound: ast.expr) -> dict[str, float]:
    """``Gt(0)`` and ``Interval(ge=0, lt=1)`` as Parameter's bounds."""
    if not isinstance(bound, ast.Call):
        return {}
    name = ast.unparse(bound.func)
    pairs = [(name, bound.args[0])] if name in BOUNDS else [(f"{word.arg}".title(), word.value) for word in
                                                            bound.keywords]
    return {BOUNDS[kind]: float(ast.literal_eval(value)) for kind, value in pairs if kind in BOUNDS}


def resolved(hint: ast.expr, tree: ast.Module) -> ast.expr:
    """The annotation behind an alias such as ``Positive`` or ``Distance``, found where the alias is imported from."""
    if not isinstance(hint, ast.Name):
        return hint
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(ast.unparse(target) == hint.id for target in node.targets):
            return node.value
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("workbench.") and any(
                alias.name == hint.id for alias in node.names):
            parts = (node.module or "").split(".")[1:]
            path = PACKAGE.joinpath(*parts).with_suffix(".py")
            path = path if path.is_file() else PACKAGE.joinpath(*parts, "__init__.py")
            return resolved(hint, ast.parse(path.read_text(encoding="utf-8")))
    return hint
