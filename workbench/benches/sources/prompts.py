"""Prompts from a file: .txt, .jsonl or .csv. All that a data-free method needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

from workbench.benches.sources.lines import Lines, cells
from workbench.benches.sources.source import BadItem, Source, usable
from workbench.naming import unknown

KINDS = (".txt", ".jsonl", ".csv")


@dataclass(frozen=True)
class Prompts(Source):
    """One prompt a line (.txt), ``field`` of one JSON object a line (.jsonl), or the column ``field`` (.csv).

    UTF-8, with or without a byte order mark; white space at a prompt's ends is dropped. Only where lines begin is kept
    in memory, 8 bytes a prompt; prompts are read when asked for. The fingerprint is that of the file's bytes. Raises
    ValueError for a missing file, another kind of file, one without prompts, and an unknown column.
    """

    path: Path | str
    field: str = "prompt"

    pictures: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.file.is_file():
            raise ValueError(f"no file {self.file}: give a file of prompts, one of {', '.join(KINDS)}")
        if self.kind not in KINDS:
            raise ValueError(f"{self.file.name} is no file of prompts: give one of {', '.join(KINDS)}")
        if len(self) < 1:
            raise ValueError(f"{self.file} holds no prompts: write one a line")

    @property
    def file(self) -> Path:
        return Path(self.path).expanduser()

    @property
    def kind(self) -> str:
        return self.file.suffix.lower()

    @cached_property
    def lines(self) -> Lines:
        return Lines(self.file, table=self.kind == ".csv")

    @cached_property
    def column(self) -> int | None:
        """Where in a CSV's records the prompt stands; None for other files. ValueError for an unknown column."""
        if self.kind != ".csv":
            return None
        header = cells(self.lines[0].removeprefix("\ufeff")) if len(self.lines) else []
        if self.field not in header:
            raise ValueError(f"{self.file}: {unknown('column', self.field, header)}")
        return header.index(self.field)

    @cached_property
    def fingerprint(self) -> str:
        return sha256(json.dumps([self.kind, self.field, self.lines.digest]).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.lines) - (self.column is not None)

    def prompt(self, index: int) -> str:
        if self.kind == ".txt":
            return usable(self.lines[index], self.lines.where(index))
        if self.kind == ".jsonl":
            return usable(member(self.lines[index], self.field, self.lines.where(index)), self.lines.where(index))
        where, text = self.lines.where(index + 1), self.lines[index + 1]
        row = cells(text)
        if len(row) <= self.column:
            raise BadItem(f"{where} has {len(row)} fields, too few for the column {self.field!r}: repair the record")
        return usable(row[self.column], where)


def member(text: str, field: str, where: str) -> object:
    """``field`` of a JSON object; BadItem, naming ``where``, when it is no object or has no such field."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadItem(f"{where} is no JSON ({error}): write one object a line") from None
    if not isinstance(said, dict):
        raise BadItem(f'{where} is no JSON object: write {{"{field}": "..."}}')
    if field not in said:
        raise BadItem(f"{where}: {unknown('field', field, said)}")
    return said[field]
