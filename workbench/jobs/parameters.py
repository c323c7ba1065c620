"""The parameters cell of a notebook: read without running it, and values checked against it before a kernel starts.

A parameter is one assignment of a literal: ``steps: int = 400  # in [1, 100000]: steps of the student``. Its type is
its annotation, else that of its value; ``in [low, high]`` opening the comment bounds it; the rest of it is the help.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.naming import unknown

KINDS: dict[str, type] = {kind.__name__: kind for kind in (int, float, bool, str, list, tuple, dict)}
BOUNDS = re.compile(r"^in \[\s*([-+.\w]+)\s*,\s*([-+.\w]+)\s*\]\s*[:,;]?\s*")


class BadParameter(ValueError):
    """A parameter, or a parameters cell, that cannot be used; the sentence names it and the fix."""


@dataclass(frozen=True)
class Parameter:
    """One named input of a notebook. ``choices`` from a Literal, ``low`` and ``high`` inclusive, ``above`` and
    ``below`` not."""

    name: str
    default: Any
    kind: type | None
    optional: bool = False
    choices: tuple[Any, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    help: str = ""
    above: float = -math.inf
    below: float = math.inf

    def check(self, value: Any) -> Any:
        """The value as this parameter takes it (an int is a float), or BadParameter."""
        if value is None and self.optional:
            return None
        plain(self.name, value)
        if self.kind is float and type(value) is int:
            value = float(value)
        if self.kind is tuple and isinstance(value, list):
            value = tuple(value)
        if self.choices:
            if value not in self.choices:
                raise BadParameter(unknown(f"value of parameter {self.name}:", str(value), map(str, self.choices)))
        elif self.kind is not None and type(value) is not self.kind:
            raise BadParameter(f"parameter {self.name} takes {article(self.kind)}, got {value!r} "
                               f"({type(value).__name__}); its default is {self.default!r}")
        if self.range and not (isinstance(value, int | float) and self.low <= value <= self.high
                               and self.above < value < self.below):
            raise BadParameter(f"parameter {self.name} must lie in {self.range}, got {value!r}")
        return value

    @property
    def range(self) -> str:
        """``[0, 1)``, or nothing where it is unbounded."""
        low, high = max(self.low, self.above), min(self.high, self.below)
        if math.isinf(low) and math.isinf(high):
            return ""
        return f"{'[' if low > self.above else '('}{low:g}, {high:g}{']' if high < self.below else ')'}"

    def parse(self, text: str) -> Any:
        """A value typed on the command line: text for a str, else a Python or YAML literal (true, null, 1e-3)."""
        if self.kind is str and not (self.optional and text in ("None", "null")):
            return self.check(text)
        try:
            value = {"true": True, "false": False, "null": None}[text] if text in ("true", "false", "null") else (
                ast.literal_eval(text))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            value = text
        return self.check(value)


def plain(name: str, value: Any) -> None:
    """BadParameter where a value would not come back from JSON, or from the notebook's cell, as it is."""
    if isinstance(value, float) and not math.isfinite(value):
        raise BadParameter(f"parameter {name} must be finite, got {value!r}: leave it out, or use None for no limit")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise BadParameter(f"parameter {name} holds a number of more than 64 bits")
    if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise BadParameter(f"parameter {name} holds half a character (a lone surrogate): give whole Unicode text")
    if isinstance(value, dict):
        for key, one in value.items():
            if not isinstance(key, str):
                raise BadParameter(f"parameter {name}: keys of a mapping must be text, got {key!r}")
            plain(name, key), plain(name, one)
    elif isinstance(value, list | tuple):
        for one in value:
            if isinstance(one, tuple):
                raise BadParameter(f"parameter {name}: write the inner {one!r} as a list")
            plain(name, one)
    elif not isinstance(value, str | int | float | None):
        raise BadParameter(f"parameter {name} cannot hold a {type(value).__name__}: give text, number, list, mapping")


def article(kind: type) -> str:
    return f"an {kind.__name__}" if kind is int else f"a {kind.__name__}"


def tagged(notebook: Mapping[str, Any]) -> str:
    """Source of the one code cell tagged ``parameters``; BadParameter when there is none or more than one."""
    cells = [cell for cell in notebook["cells"] if "parameters" in cell.get("metadata", {}).get("tags", [])]
    if len(cells) != 1 or cells[0]["cell_type"] != "code":
        raise BadParameter(f'the notebook has {len(cells)} cells tagged "parameters" and needs exactly one code cell: '
                           "tag the cell that assigns its inputs")
    source = cells[0]["source"]
    return source if isinstance(source, str) else "".join(source)


def read(notebook: Mapping[str, Any]) -> dict[str, Parameter]:
    """The parameters of a notebook (its JSON), by name and in order; nothing is executed."""
    source = tagged(notebook)
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise BadParameter(f"the parameters cell is not plain Python (line {error.lineno}: {error.msg})") from None
    found: dict[str, Parameter] = {}
    for statement in tree.body:
        parameter = one(statement, source.splitlines())
        if parameter is not None:
            found[parameter.name] = parameter
    return found


def one(statement: ast.stmt, lines: list[str]) -> Parameter | None:
    """The parameter that a statement of the cell assigns; None for a docstring."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return None
    target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
    value = getattr(statement, "value", None)
    if not isinstance(statement, ast.Assign | ast.AnnAssign) or not isinstance(target, ast.Name) or value is None:
        raise BadParameter(f"line {statement.lineno} of the parameters cell is not `name = literal`: move it elsewhere")
    try:
        default = ast.literal_eval(value)
    except ValueError:
        raise BadParameter(f"parameter {target.id} is not a literal: write its value out") from None
    annotation = statement.annotation if isinstance(statement, ast.AnnAssign) else None
    kind, optional, choices = read_type(annotation, default)
    comment = comment_after(lines[(statement.end_lineno or statement.lineno) - 1], statement.end_col_offset or 0)
    bounds = BOUNDS.match(comment)
    low, high = (float(bounds[1]), float(bounds[2])) if bounds else (-math.inf, math.inf)
    parameter = Parameter(target.id, default, kind, optional or default is None, choices, low, high,
                          comment[bounds.end():] if bounds else comment)
    parameter.check(default)
    return parameter


def read_type(annotation: ast.expr | None, default: Any) -> tuple[type | None, bool, tuple[Any, ...]]:
    """(kind, may be None, choices) of an annotation; without one, the kind of the default."""
    if annotation is None:
        return (None if default is None else type(default)), default is None, ()
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        sides = [annotation.left, annotation.right]
        named = [side for side in sides if not (isinstance(side, ast.Constant) and side.value is None)]
        if len(named) == 1:
            kind, _, choices = read_type(named[0], default)
            return kind, True, choices
        return None, len(named) < len(sides), ()
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        choices = ast.literal_eval(annotation.slice)
        choices = choices if isinstance(choices, tuple) else (choices,)
        return type(choices[0]), False, choices
    name = ast.unparse(annotation.value if isinstance(annotation, ast.Subscript) else annotation)
    if name not in KINDS:
        kinds = ", ".join(KINDS)
        raise BadParameter(f"unknown type {name!r} in the parameters cell; use {kinds}, X | None or Literal[...]")
    return KINDS[name], False, ()


def comment_after(line: str, byte_column: int) -> str:
    rest = line.encode()[byte_column:].decode().strip()
    return rest[1:].strip() if rest.startswith("#") else ""


def settle(parameters: Mapping[str, Parameter], given: Mapping[str, Any], typed: Mapping[str, str]) -> dict[str, Any]:
    """Checked values of what is ``given`` (from a file) or ``typed`` (as text, stronger); BadParameter otherwise."""
    for name in [*given, *typed]:
        if name not in parameters:
            raise BadParameter(unknown("parameter", name, parameters))
    values = {name: parameters[name].check(value) for name, value in given.items()}
    return values | {name: parameters[name].parse(text) for name, text in typed.items()}


def typed_pairs(option: str, pairs: Sequence[str]) -> dict[str, str]:
    """``("a=1", "b=2")`` as a mapping; ValueError for what is no NAME=VALUE, and for a name that comes twice."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"{option} takes NAME=VALUE, got {pair!r}")
        if name in found:
            raise ValueError(f"{option} {name} is given twice")
        found[name] = value
    return found
