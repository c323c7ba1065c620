"""The fields of a method: their types, ranges and meanings, and settings checked against them.

Fields carry their ranges as annotations (``types.Positive`` and friends) and their meaning as the comment behind them.
Strict: "0.95" is no number and True no count, but an int does for a float and a list for a tuple, as TOML and JSON
write them. A ``Process`` or a solver may be given by name, with its own settings as ``{name = "gamma", gamma = 0.5}``.
"""

from __future__ import annotations

import importlib
import inspect
import math
import re
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from workbench.naming import unknown


class Told(NamedTuple):
    """A field that one number, truth value or word sets: for a control, an option, a help text."""

    name: str
    kind: str  # "float", "int", "bool" or "choice"
    value: Any
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    doc: str


def described(method: Any) -> list[Told]:
    """The plain fields of a method, with their present values; processes, solvers and tuples are left out."""
    cls, found = type(method), []
    docs = comments(cls)
    for field in fields(cls):
        hint, kinds = hints(cls)[field.name], {float: "float", int: "int", bool: "bool"}
        bounds = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
        plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        choices = get_args(plain) if get_origin(plain) is Literal else ()
        kind = "choice" if choices else kinds.get(plain)
        if kind and field.init:
            low, high = limits(bounds)
            value = getattr(method, field.name)
            found.append(Told(field.name, kind, value, low, high, tuple(map(str, choices)), docs.get(field.name, "")))
    return found


def limits(bounds: tuple[Any, ...]) -> tuple[float | None, float | None]:
    """(low, high) that annotations such as Ge, Gt and Interval name; open bounds count as closed ones."""
    low = high = None
    for bound in bounds:
        for name in ("ge", "gt"):
            low = low if getattr(bound, name, None) is None else getattr(bound, name)
        for name in ("le", "lt"):
            high = high if getattr(bound, name, None) is None else getattr(bound, name)
    return low, high


@cache
def comments(cls: type) -> dict[str, str]:
    """What stands behind each field in the source: ``name: type = value  # this``."""
    try:
        source = inspect.getsource(cls)
    except OSError:
        return {}
    return {name: said for name, said in re.findall(r"^    (\w+): [^#\n]*#\s*(.+)$", source, re.MULTILINE)}


def check_settings(cls: type, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as the fields want them; ValueError for an unknown field, a wrong type or a value out of range."""
    known = {field.name for field in fields(cls) if field.init}
    for name in settings:
        if name not in known:
            raise ValueError(unknown(f"field of {cls.__name__}", name, known))
    return {name: check_value(cls, name, value) for name, value in settings.items()}


def check_value(cls: type, name: str, value: Any) -> Any:
    """One setting as its field wants it."""
    from pydantic import ValidationError

    hint = hints(cls)[name]
    if isinstance(value, (str, dict)) and (names := named(hint)) is not None:
        return by_name(names, value, f"{name} of {cls.__name__}")
    if isinstance(value, float) and math.isnan(value):
        raise ValueError(f"{cls.__name__}: {name} is not a number")
    try:
        return adapter(cls, name).validate_python(tuple(value) if isinstance(value, list) else value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Input ").removeprefix("Value error, ")
        raise ValueError(f"{cls.__name__}: {name} {reason}, got {value!r}") from None


def by_name(names: dict[str, type], value: str | dict[str, Any], what: str) -> Any:
    """The object called ``"heun"``, or ``{name = "gamma", gamma = 0.5}`` with its own settings checked."""
    options = {} if isinstance(value, str) else dict(value)
    name = value if isinstance(value, str) else options.pop("name", None)
    if name not in names:
        raise ValueError(unknown(what, str(name), names))
    return names[name](**check_settings(names[name], options))


def named(hint: Any) -> dict[str, type] | None:
    """What may be called by name where this type is wanted: processes and solvers; None for all else."""
    from workbench import noise

    if isinstance(hint, type) and issubclass(hint, noise.Process):
        return noise.PROCESSES
    if getattr(hint, "__module__", "").startswith("workbench.solvers"):
        return importlib.import_module("workbench.solvers").SOLVERS
    return None


@cache
def hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


@cache
def adapter(cls: type, name: str) -> Any:
    """What reads a value of this field (a pydantic TypeAdapter)."""
    from pydantic import ConfigDict, TypeAdapter

    hint = hints(cls)[name]
    hint = Any if get_origin(hint) is type else hint
    plain = isinstance(hint, type) and (is_dataclass(hint) or issubclass(hint, dict))
    return TypeAdapter(hint, config=None if plain else ConfigDict(strict=True, arbitrary_types_allowed=True))
