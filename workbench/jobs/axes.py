"""What a sweep runs: the product of listed values, random draws and seeds, each checked before the first job starts."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from workbench.jobs.method_fields import takes_fields
from workbench.jobs.notebook import Job, find, load, settled
from workbench.jobs.parameters import BadParameter, Parameter, read
from workbench.naming import unknown


@dataclass(frozen=True)
class Axes:
    """The varied parameters as they were typed.

    ``grid``: name -> "a,b,c". ``draws``: name -> "low..high", "log:low..high" or "a,b,c", of which ``count`` settings
    are drawn by ``draw_seed``. ``seeds``: how many values of the parameter ``seed``, from ``first_seed``.
    """

    grid: Mapping[str, str] = field(default_factory=dict)
    draws: Mapping[str, str] = field(default_factory=dict)
    count: int = 0
    draw_seed: int = 0
    seeds: int = 0
    first_seed: int = 0

    def jobs(self, name: str, given: Mapping[str, Any], typed: Mapping[str, str]) -> list[tuple[Job, dict[str, Any]]]:
        """(job, its varied values) of every point; ValueError for any that would be refused."""
        path = find(name)
        notebook = load(path)
        parameters = read(notebook)
        self.check(parameters, {*given, *typed})
        found = []
        for varied in self.points(parameters):
            job = settled(path.stem, notebook, parameters, {**given, **varied}, typed)
            values = {**job.parameters.get("settings", {}), **job.parameters}
            found.append((job, {name: values[name] for name in varied}))
        return found

    def check(self, parameters: Mapping[str, Parameter], fixed: set[str]) -> None:
        varied = [*self.grid, *self.draws, *(["seed"] if self.seeds else [])]
        for name in varied:
            if name not in parameters and (name == "seed" or not takes_fields(parameters)):
                raise BadParameter(unknown("parameter", name, parameters))
            if varied.count(name) > 1 or name in fixed:
                raise BadParameter(f"parameter {name} is given twice: vary it once, or fix it")
        if bool(self.draws) != bool(self.count):
            raise BadParameter("--random N needs --draw NAME=LOW..HIGH, and --draw needs --random N")

    def points(self, parameters: Mapping[str, Parameter]) -> Iterator[dict[str, Any]]:
        """The varied values of every job: grid outermost, then draws, seeds innermost."""
        known = {name: parameters.get(name) or anything(name) for name in [*self.grid, *self.draws]}
        grids = [[(name, known[name].parse(one)) for one in listed(text)] for name, text in self.grid.items()]
        draws = [drawn(known, self.draws, random.Random(f"{self.draw_seed}/{i}")) for i in range(self.count)]
        seeds = [{"seed": self.first_seed + i} for i in range(self.seeds)]
        for grid, draw, seed in product(product(*grids), draws or [{}], seeds or [{}]):
            yield {**dict(grid), **draw, **seed}


def anything(name: str) -> Parameter:
    """A field of a method that is not known yet, for it may vary too: checked once it is."""
    return Parameter(name, None, None)


def listed(text: str) -> list[str]:
    """``a,b,c`` at its outer commas: brackets and quotes hold theirs. BadParameter for an empty list."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        depth += (letter in "[({") - (letter in "])}") if not quote else 0
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    if not all(part.strip() for part in parts):
        raise BadParameter(f"{text!r} is no list of values: write a,b,c")
    return [part.strip() for part in parts]


def drawn(parameters: Mapping[str, Parameter], draws: Mapping[str, str], chance: random.Random) -> dict[str, Any]:
    """One random setting; counts are rounded, both ends included."""
    return {name: one(parameters[name], text, chance) for name, text in draws.items()}


def one(parameter: Parameter, text: str, chance: random.Random) -> Any:
    if ".." not in text:
        return parameter.parse(chance.choice(listed(text)))
    logarithmic, ends = text.startswith("log:"), text.removeprefix("log:").split("..")
    try:
        low, high = map(float, ends)
        if not low < high or (logarithmic and low <= 0) or not math.isfinite(high - low):
            raise ValueError
    except ValueError:
        raise BadParameter(f"--draw {parameter.name}={text}: write LOW..HIGH with LOW below HIGH, or log:LOW..HIGH "
                           "with both above 0") from None
    if parameter.kind is int:
        low, high = low - 0.5 + 1e-9, high + 0.5 - 1e-9
    value = math.exp(chance.uniform(math.log(low), math.log(high))) if logarithmic else chance.uniform(low, high)
    return parameter.check(round(value) if parameter.kind is int else value)
