"""A paper's record: what it is, what of it runs here, what it claims, and where we depart from it.

Read from TOML and validated strictly: an unknown key is refused with the nearest known one, so that a misspelt setting
never runs as a default. ``status = "missing"`` is for papers that do not run yet; the others have a ``method``.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from workbench.benches import BENCHES
from workbench.naming import unknown
from workbench.papers import expectation

FAMILIES = ("trajectory", "distribution", "knowledge", "language", "applied")
TRUST = ("official-code", "paper-text", "digest", "recalled", "abstract-only")
METHOD = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*")
TEACHER = "teacher"  # as an arm's method: the bench's teacher itself, sampled, nothing trained


class Strict(BaseModel):
    """Frozen, strict about types and about keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Budget(Strict):
    """What both arms may spend: samples the teacher is evaluated on, or optimiser steps."""

    teacher_calls: Annotated[float, Gt(0)] | None = None
    steps: Annotated[int, Ge(1)] | None = None
    batch_size: Annotated[int, Ge(1)] | None = None

    @model_validator(mode="after")
    def one(self) -> Budget:
        if (self.teacher_calls is None) == (self.steps is None):
            raise ValueError("a budget is either teacher_calls or steps")
        return self


class Claim(Strict):
    """One checkable sentence of the paper, as two arms that differ in what it is about.

    An arm's keys are settings of its method, over the record's own, but for three: ``method`` (another one, from its
    defaults, or "teacher", which may be given a ``guidance_scale``), ``sampler`` (fields of ``Sampler``, the solver
    by name) and ``num_inference_steps``. Arms that differ in sampling alone are trained once.
    """

    says: str
    bench: str
    bench_settings: dict[str, Any] = {}
    measure: str
    on: dict[str, Any] = {}
    off: dict[str, Any] = {}
    expect: str
    seeds: Annotated[int, Ge(2)] = 5
    budget: Budget
    held: bool | None = None
    seen: str | None = None

    @field_validator("expect")
    @classmethod
    def understood(cls, text: str) -> str:
        expectation.parse(text)
        return text

    @model_validator(mode="after")
    def sensible(self) -> Claim:
        if self.on == self.off:
            raise ValueError("on and off are the same arm: say what differs")
        if self.held is False and not self.seen:
            raise ValueError("held = false needs seen: what was seen instead, and why")
        for arm in (self.on, self.off):
            check_method(arm.get("method", TEACHER))
        return self


class Identity(Strict):
    """An equation of the paper that must hold to rounding: a function of ``papers/identities`` and its bound."""

    says: str
    check: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*:[a-z][a-z0-9_]*$")]
    bound: Annotated[float, Ge(0)]


class Record(Strict):
    """Everything that is written down about one paper.

    ``benches`` enters it for `workbench compare`: bench -> settings there, over ``settings``; no figure of a claim
    depends on it.
    """

    title: Annotated[str, Field(min_length=1)]
    arxiv: Annotated[str, Field(pattern=r"^(\d{4}\.\d{4,5})?$")]
    arxiv_checked: bool
    year: Annotated[int, Ge(1900)]
    family: Literal[FAMILIES]
    kind: Annotated[str, Field(min_length=1)]
    code: str = ""
    trust: Literal[TRUST]
    root: bool = False
    status: Literal["missing"] | None = None
    method: str | None = None
    settings: dict[str, Any] = {}
    benches: dict[str, dict[str, Any]] = {}
    rests_on: list[str] = []
    departures: list[str] = []
    notebook: str | None = None
    claims: Annotated[list[Claim], Field(alias="claim")] = []
    identities: Annotated[list[Identity], Field(alias="identity")] = []

    @field_validator("method")
    @classmethod
    def well_formed(cls, path: str | None) -> str | None:
        return path if path is None else check_method(path)

    @field_validator("benches")
    @classmethod
    def known(cls, settings: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name in settings:
            if name not in BENCHES:
                raise ValueError(unknown("bench", name, BENCHES))
        return settings

    @model_validator(mode="after")
    def runs_or_is_missing(self) -> Record:
        if (self.method is None) == (self.status is None):
            raise ValueError('a record has either a method, or status = "missing"')
        if self.method is None and (self.settings or self.benches or self.claims or self.identities):
            raise ValueError("a missing paper has no settings, benches, claims or identities: name its method")
        return self


def check_method(path: str) -> str:
    """Return a path like ``steps.consistency:ConsistencyDistillation`` (or "teacher"); ValueError otherwise."""
    if path != TEACHER and not METHOD.fullmatch(path):
        raise ValueError(f'method = {path!r} is not "module:Class", a module of workbench.methods and a class in it')
    return path


def parse(data: dict[str, Any], name: str = "record") -> Record:
    """The record a TOML table states; ValueError lists every fault in a sentence each."""
    try:
        return Record.model_validate(data)
    except ValidationError as error:
        raise ValueError(f"{name}: " + "; ".join(sentence(fault) for fault in error.errors())) from None


def read(path: Path) -> Record:
    """The record in a TOML file; ValueError names the file and what is wrong in it."""
    try:
        return parse(tomllib.loads(path.read_text(encoding="utf-8")), path.name)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name}: not TOML: {error}") from None


def sentence(fault: dict[str, Any]) -> str:
    """A pydantic error as a sentence: where, what, and the nearest key for an unknown one."""
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        model = {"claim": Claim, "identity": Identity, "budget": Budget}
        parts = [part for part in fault["loc"][:-1] if part in model]
        fields = (model[parts[-1]] if parts else Record).model_fields
        return unknown("key", str(fault["loc"][-1]), [field.alias or name for name, field in fields.items()]) + (
            f" (in {'.'.join(str(part) for part in fault['loc'][:-1])})" if parts else "")
    message = fault["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
