"""A method built from its path and settings, every setting checked against the field's type and range."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import is_dataclass
from typing import Any

from workbench.methods.fields import check_settings
from workbench.naming import unknown
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
