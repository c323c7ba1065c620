"""Records of a text file by number: one pass notes where each begins, then any one is read alone."""

from __future__ import annotations

import csv
import io
import os
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Lock

import numpy as np

from workbench.benches.sources.source import BadItem

BLOCK, BOM = 1 << 20, b"\xef\xbb\xbf"
LIMIT = Lock()


class Lines:
    """The lines of a UTF-8 file, or the records of a CSV, by number; 8 bytes of memory each.

    A line ends with a newline and nothing else. ``digest`` is the sha256 of the whole file, taken in the same pass.
    Raises ValueError when the file has changed since then, BadItem for a record that is not UTF-8.
    """

    def __init__(self, path: Path, *, table: bool = False) -> None:
        self.path, self.seen = path, stamp(path)
        self.starts, self.digest = (records if table else lines)(path)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def where(self, index: int) -> str:
        """How to name a record in a sentence, counted from 1; a CSV's first is its header."""
        return f"{self.path}, record {index + 1}"

    def __getitem__(self, index: int) -> str:
        if stamp(self.path) != self.seen:
            raise ValueError(f"{self.path} has changed since it was indexed: start again, as the data are other ones")
        start, end = int(self.starts[index]), int(self.starts[index + 1])
        with self.path.open("rb") as file:
            file.seek(start)
            return self.decoded(file.read(end - start), index)


    def __iter__(self) -> Iterator[str]:
        """All records in order, the file opened once."""
        with self.path.open("rb") as file:
            for index, (start, end) in enumerate(zip(self.starts[:-1].tolist(), self.starts[1:].tolist(), strict=True)):
                file.seek(start)
                yield self.decoded(file.read(end - start), index)

    def decoded(self, raw: bytes, index: int) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise BadItem(f"{self.where(index)} is not UTF-8 ({error.reason}): save the file as UTF-8") from None


def stamp(path: Path) -> tuple[int, int]:
    """(bytes, nanoseconds of the last change)."""
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns


def lines(path: Path) -> tuple[np.ndarray, str]:
    """Where lines begin, with the end of the last as one more, and the file's sha256."""
    digest, at, last = sha256(), 0, b"\n"
    found = [np.zeros(1, np.int64)]
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            if at == 0 and block.startswith(BOM):
                found[0][0] = len(BOM)
            found.append(np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + (at + 1))
            at, last = at + len(block), block[-1:]
    if last != b"\n":
        found.append(np.array([at], np.int64))
    return np.concatenate(found), digest.hexdigest()


def records(path: Path) -> tuple[np.ndarray, str]:
    """The same for a CSV, whose quoted fields may hold newlines; blank lines between records belong to the next."""
    digest, at, starts = sha256(), 0, array("q")

    def read() -> Iterator[str]:
        nonlocal at
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                digest.update(raw)
                at += len(raw)
                try:
                    yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise ValueError(f"{path}, line {number} is not UTF-8 ({error.reason}): save it so") from None

    starts.append(0)
    try:
        with any_length():
            for row in csv.reader(read(), strict=True):
                if row:
                    starts.append(at)
    except csv.Error as error:
        said = "put quotes around fields with commas or quotes in them, and double those quotes"
        raise ValueError(f"{path}, record {len(starts)} is no CSV ({error}): {said}") from None
    return np.array(starts, np.int64), digest.hexdigest()


def cells(text: str) -> list[str]:
    """The fields of one record."""
    with any_length():
        return next(row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row)


@contextmanager
def any_length() -> Iterator[None]:
    """Let the csv module read fields of any length, for the moment; its limit is the whole process's."""
    with LIMIT:
        limit = csv.field_size_limit(1 << 30)
        try:
            yield
        finally:
            csv.field_size_limit(limit)
