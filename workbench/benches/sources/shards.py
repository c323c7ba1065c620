"""WebDataset shards: .tar files with pictures and their captions, any example by its number."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor
from tqdm.auto import tqdm

from workbench.benches.sources import digests, pictures
from workbench.benches.sources.lines import stamp
from workbench.benches.sources.pictures import Size, height_width, picture
from workbench.benches.sources.prompts import member
from workbench.benches.sources.shard_index import Row, index_of, name_at
from workbench.benches.sources.source import BadItem, Source, usable


@dataclass(frozen=True)
class Shards(Source):
    """Examples of .tar shards in order: a picture each, with the caption in ``key.txt``, else in ``key.json``.

    ``paths`` is a folder, a file, a pattern ("laion/*.tar", "laion/{00000..00012}.tar") or a list of files; ``field``
    is the caption's in the JSON. Headers are read once and noted in the cache folder (56 bytes an example, mapped from
    disk); after that any example costs one seek. Nothing is extracted. The fingerprint is over the shards' names and
    contents in order (see ``digests.fingerprint``, also for ``hash_content``). Raises ValueError for no shards, a
    compressed or damaged one, shards without examples, and one that has changed since it was indexed.
    """

    paths: Path | str | Sequence[Path | str]
    size: Size
    captioned: bool = True
    field: str = "caption"
    hash_content: bool = True

    def __post_init__(self) -> None:
        height_width(self.size)
        if not len(self):
            raise ValueError(f"the {len(self.files)} shards of {self.paths} hold no examples")

    @cached_property
    def files(self) -> list[Path]:
        given = [self.paths] if isinstance(self.paths, str | os.PathLike) else self.paths
        found = [file for path in given for file in shards_of(os.fspath(path))]
        if not found:
            raise ValueError(f"no shards at {self.paths}: give a folder with .tar files, a file, a pattern or a list")
        return found

    @cached_property
    def rows(self) -> list[np.ndarray]:
        bar = tqdm(self.files, desc="indexing shards once", delay=2, unit="shard", file=sys.stderr, leave=False)
        return [index_of(file) for file, _ in zip(bar, self.stamps, strict=True)]

    @cached_property
    def stamps(self) -> list[tuple[int, int]]:
        """Size and time of each shard, taken before it is indexed."""
        return [stamp(file) for file in self.files]

    @cached_property
    def ends(self) -> np.ndarray:
        """The number of examples up to the end of each shard."""
        return np.cumsum([len(rows) for rows in self.rows])

    @cached_property
    def fingerprint(self) -> str:
        said = ["Shards", pictures.VERSION, height_width(self.size), self.captioned, self.field]
        whole = [Path(os.path.abspath(file)) for file in self.files]
        root = Path(os.path.commonpath([file.parent for file in whole]))
        names = [file.relative_to(root).as_posix() for file in whole]
        return digests.fingerprint(said, root, names, hash_content=self.hash_content)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def found(self, index: int) -> tuple[int, Row]:
        """(shard's number, where the example lies in it)."""
        shard = int(np.searchsorted(self.ends, index, side="right"))
        inside = index - (int(self.ends[shard - 1]) if shard else 0)
        return shard, Row(*self.rows[shard][inside].tolist())

    def bytes_of(self, shard: int, offset: int, size: int) -> bytes:
        file = self.files[shard]
        if stamp(file) != self.stamps[shard]:
            raise ValueError(f"{file} has changed since it was indexed: start again, as the data are other ones")
        with file.open("rb") as opened:
            opened.seek(offset)
            return opened.read(size)

    def where(self, shard: int, row: Row) -> str:
        return f"{self.files[shard]}, example {name_at(self.files[shard], row.header)}"

    def image(self, index: int) -> Tensor:
        shard, row = self.found(index)
        if row.image < 0:
            raise BadItem(f"{self.where(shard, row)} has no picture: leave such examples out with on_bad='skip'")
        try:
            return picture(self.bytes_of(shard, row.image, row.image_size), self.size, "")
        except BadItem as error:
            raise BadItem(f"{self.where(shard, row)}{error}") from error

    def prompt(self, index: int) -> str:
        if not self.captioned:
            return ""
        shard, row = self.found(index)
        if row.text < 0 and row.json < 0:
            raise BadItem(f"{self.where(shard, row)} has no .txt and no .json: take pictures alone, captioned=False")
        place = (row.text, row.text_size) if row.text >= 0 else (row.json, row.json_size)
        raw = self.bytes_of(shard, *place)
        try:
            text = raw.decode("utf-8-sig")
            return usable(text if row.text >= 0 else member(text, self.field, "its .json"), "its caption")
        except UnicodeDecodeError as error:
            raise BadItem(f"{self.where(shard, row)}: the caption is not UTF-8 ({error.reason})") from None
        except BadItem as error:
            raise BadItem(f"{self.where(shard, row)}: {error}") from error


def shards_of(path: str) -> list[Path]:
    """The files that a path, a folder, or a pattern with * or {000..012} stands for, in order."""
    place = Path(path).expanduser()
    if place.is_dir():
        return sorted(place.glob("*.tar"), key=os.fsencode)
    if place.is_file():
        return [place]
    if braces := re.search(r"\{(\d+)\.\.(\d+)\}", path):
        first, last = braces.groups()
        numbers = [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
        return [file for number in numbers for file in exactly(path.replace(braces.group(), number, 1))]
    return [Path(file) for file in sorted(glob.glob(str(place)), key=os.fsencode)]


def exactly(path: str) -> list[Path]:
    found = shards_of(path)
    if not found:
        raise ValueError(f"no shard {path}, which the pattern names: fetch it, or change the pattern")
    return found
