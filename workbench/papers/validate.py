"""A method built from its path and settings, every setting checked against the field's type and range.

Fields carry their ranges as annotations (``types.Positive`` and friends). Strict: "0.95" is no number and True no
count, but an int does for a float and a list for a tuple, as TOML and JSON write them. A ``Process`` or a solver may
be given by name, with its own settings as ``{name = "gamma", gamma = 0.5}``.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from workbench.papers.naming import unknown
from workbench.papers.record import TEACHER, check_method

PACKAGE = "workbench.methods"


def build_method(path: str, settings: dict[str, Any] | None = None) -> Any:
    """The method at ``module:Class`` with these settings; ValueError names the fault and the nearest right name."""
    cls = locate(path)
    return cls(**check_settings(cls, settings or {}))


def locate(path: str) -> type:
    """The method class at ``module:Class`` under ``workbench.methods``."""
    module_name, _, name = check_method(path).partition(":")
    if path == TEACHER:
        raise ValueError("the teacher is no method: nothing is trained")
    try:
        module = importlib.import_module(f"{PACKAGE}.{module_name}")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(PACKAGE):
            raise
        raise ValueError(unknown("method module", module_name, modules())) from None
    found = getattr(module, name, None)
    if not is_dataclass(found):
        raise ValueError(unknown(f"method of {module_name}", name, methods_of(module)))
    return found


def modules() -> list[str]:
    """Every module under ``workbench.methods``, as a record writes it."""
    package = importlib.import_module(PACKAGE)
    return [found.name.removeprefix(f"{PACKAGE}.") for found in pkgutil.walk_packages(package.__path__, f"{PACKAGE}.")]


def methods_of(module: Any) -> list[str]:
    """The classes of a module that are methods of its own: dataclasses that list updates or acts."""
    return [name for name, value in vars(module).items() if is_dataclass(value) and isinstance(value, type)
            and value.__module__ == module.__name__ and (hasattr(value, "updates") or hasattr(value, "acts"))]


def check_settings(cls: type, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as the fields want them; ValueError for an unknown field, a wrong type or a value out of range."""
    known = {field.name for field in fields(cls) if field.init}
    for name in settings:
        if name not in known:
            raise ValueError(unknown(f"field of {cls.__name__}", name, known))
    return {name: check_value(cls, name, value) for name, value in settings.items()}


def check_value(cls: type, name: str, value: Any) -> Any:
    """One setting as its field wants it."""
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
def adapter(cls: type, name: str) -> TypeAdapter:
    hint = hints(cls)[name]
    hint = Any if get_origin(hint) is type else hint
    plain = isinstance(hint, type) and (is_dataclass(hint) or issubclass(hint, dict))
    return TypeAdapter(hint, config=None if plain else ConfigDict(strict=True, arbitrary_types_allowed=True))
