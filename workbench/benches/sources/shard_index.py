"""Where each example lies in a WebDataset shard: one pass over the tar's headers, kept in the cache folder.

The library ``webdataset`` reads shards from front to back and carries the iterator's state; its module for random
access, ``wids``, is gone since version 1.0. Counted data need an example by its number, so the offsets are ours.
Nothing is ever extracted: a member's name is a key and never a path.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workbench.benches.sources.digests import stamp_of
from workbench.benches.sources.pictures import SUFFIXES
from workbench.files import write_whole
from workbench.teachers.trained import cache_folder

VERSION = 1  # of the rows: raise it when equal shards would give others
END = 512  # bytes of zeros, or more, that end a tar


class Row(NamedTuple):
    """One example: where its first header, picture and texts begin, and their sizes; -1 for what there is not."""

    header: int
    image: int = -1
    image_size: int = 0
    text: int = -1
    text_size: int = 0
    json: int = -1
    json_size: int = 0


def index_of(shard: Path) -> np.ndarray:
    """(N, 7) int64, the shard's rows in order: kept under its path, size and times, noted anew when these differ."""
    name = hashlib.sha256(os.fsencode(shard.resolve())).hexdigest()[:24]
    place, seen = cache_folder() / "shards" / f"{name}.npy", stamp_of(shard)
    if (kept := read(place, seen)) is not None:
        return kept
    rows = np.array(list(examples(shard)), np.int64).reshape(-1, len(Row._fields))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        raw = io.BytesIO()
        np.save(raw, np.vstack([[head(rows, seen)], rows]), allow_pickle=False)
        write_whole(place, raw.getvalue())
    except OSError:
        return rows  # no cache folder to write to: noted again next time
    kept = read(place, seen)
    return rows if kept is None else kept


def head(rows: np.ndarray, seen: list[int]) -> list[int]:
    """The file's first row: what it was made from, and a digest of what it holds."""
    digest = hashlib.blake2b(np.ascontiguousarray(rows).tobytes(), digest_size=7).digest()
    return [VERSION, *seen, len(rows), int.from_bytes(digest, "little"), 0]


def read(place: Path, seen: list[int]) -> np.ndarray | None:
    """The rows, mapped from disk and not loaded; None where they are absent, of another shard, or torn."""
    try:
        found = np.load(place, mmap_mode="r", allow_pickle=False)
        return found[1:] if found[0].tolist() == head(found[1:], seen) else None
    except (OSError, ValueError, IndexError, EOFError):
        return None


def examples(shard: Path) -> Iterator[Row]:
    """Neighbouring members that agree up to the first dot of their last part are one example."""
    last, row = None, None
    for member in members(shard):
        folder, _, base = member.name.rpartition("/")
        stem, _, ending = base.partition(".")
        if not member.isreg() or member.issparse() or not stem or (folder, stem) == ("", "__meta__"):
            continue
        if (folder, stem) != last:
            if row is not None:
                yield row
            last, row = (folder, stem), Row(member.offset)
        row = with_member(row, f".{ending.lower()}", member.offset_data, member.size)
    if row is not None:
        yield row


def with_member(row: Row, ending: str, offset: int, size: int) -> Row:
    if ending in SUFFIXES and row.image < 0:
        return row._replace(image=offset, image_size=size)
    if ending == ".txt":
        return row._replace(text=offset, text_size=size)
    return row._replace(json=offset, json_size=size) if ending == ".json" else row


def members(shard: Path) -> Iterator[tarfile.TarInfo]:
    """The headers of an uncompressed tar; ValueError for another file, and for one that was cut off or damaged."""
    try:
        with tarfile.open(shard, "r:") as tar:
            while (member := tar.next()) is not None:
                yield member
                tar.members.clear()  # tarfile keeps all it saw
            end = tar.offset
        with shard.open("rb") as file:
            file.seek(end)
            zeros = file.read(END)
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"{shard} is no whole, uncompressed tar ({error}): fetch it again, or gunzip it") from None
    if zeros != bytes(END):
        raise ValueError(f"{shard} is cut off or damaged at byte {end:,}, where a tar's end or next header should be: "
                         f"fetch it again")


def name_at(shard: Path, offset: int) -> str:
    """The name of the member whose header begins there."""
    with shard.open("rb") as file:
        file.seek(offset)
        with tarfile.open(fileobj=file, mode="r:") as tar:
            member = tar.next()
    return repr(member.name) if member else f"the member at byte {offset:,}"
