"""Images from a folder, with captions beside them: a .txt for each, or one metadata file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from torch import Tensor

from workbench.benches.sources import digests, pictures
from workbench.benches.sources.lines import Lines
from workbench.benches.sources.pictures import SUFFIXES, Size, height_width, picture
from workbench.benches.sources.prompts import member
from workbench.benches.sources.source import BadItem, Source, usable
from workbench.naming import unknown

METADATA = "metadata.jsonl"
OTHERS = ("metadata.csv", "metadata.parquet")


@dataclass(frozen=True)
class ImageFolder(Source):
    """All pictures under ``folder``, in order of their names, cut to ``size`` (one side, or height and width).

    Captions come from ``metadata.jsonl`` in the folder, if there is one: lines with "file_name" and ``field``, as in
    the imagefolder convention of the Hugging Face Hub; else from a text file beside each picture (``cat.jpg``,
    ``cat.txt``). ``captioned`` false: the pictures alone. Names that begin with a dot are left out, linked files are
    taken, linked folders not followed. Names are kept in memory (some 100 bytes each), nothing else. The fingerprint is
    over names and contents (see ``digests.fingerprint``, also for ``hash_content``). Raises ValueError for a folder
    that is missing or without pictures, and for metadata that name a picture twice or one that is not there.
    """

    folder: Path | str
    size: Size
    captioned: bool = True
    field: str = "text"
    hash_content: bool = True

    def __post_init__(self) -> None:
        height_width(self.size)
        if not self.root.is_dir():
            raise ValueError(f"no folder {self.root}: give the folder that holds the pictures")
        if not self.names:
            raise ValueError(f"{self.root} holds no pictures: they end in {', '.join(SUFFIXES)}")
        if self.metadata is not None:
            _ = self.captions

    @property
    def root(self) -> Path:
        return Path(self.folder).expanduser()

    @cached_property
    def listing(self) -> list[str]:
        """All pictures and text files under the folder, as posix paths in order."""
        found = []
        for place, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            start = Path(place).relative_to(self.root).as_posix()
            inside = "" if start == "." else f"{start}/"
            found += [inside + name for name in files
                      if not name.startswith(".") and name.lower().endswith((*SUFFIXES, ".txt"))]  # fmt: skip
        return sorted(found, key=os.fsencode)

    @cached_property
    def names(self) -> list[str]:
        return [name for name in self.listing if not name.lower().endswith(".txt")]

    @cached_property
    def metadata(self) -> Lines | None:
        file = self.root / METADATA
        if self.captioned and not file.is_file() and any((self.root / other).is_file() for other in OTHERS):
            raise ValueError(f"{self.root} has metadata, but not as {METADATA}: write one JSON object a line")
        return Lines(file) if self.captioned and file.is_file() else None

    @cached_property
    def captions(self) -> dict[str, int]:
        """Line in the metadata of each picture that has one."""
        found: dict[str, int] = {}
        known, lines = set(self.names), self.metadata
        for index, text in enumerate(lines or ()):
            where = lines.where(index)
            name = PurePosixPath(str(member(text, "file_name", where))).as_posix()
            if name not in known:
                raise ValueError(f"{where}: {unknown('picture', name, known, show=3)}")
            if name in found:
                raise ValueError(f"{where}: a second caption for {name}, after record {found[name] + 1}: remove one")
            found[name] = index
        return found

    @cached_property
    def beside(self) -> set[str]:
        """The text files."""
        return set(self.listing) - set(self.names)

    @cached_property
    def fingerprint(self) -> str:
        texts = [METADATA] if self.metadata is not None else sorted(self.beside, key=os.fsencode)
        said = ["ImageFolder", pictures.VERSION, height_width(self.size), self.captioned, self.field]
        names = [*self.names, *(texts if self.captioned else [])]
        return digests.fingerprint(said, self.root, names, hash_content=self.hash_content)

    def __len__(self) -> int:
        return len(self.names)

    def image(self, index: int) -> Tensor:
        file = self.root / self.names[index]
        return picture(file.read_bytes(), self.size, str(file))

    def prompt(self, index: int) -> str:
        if not self.captioned:
            return ""
        name = self.names[index]
        if self.metadata is None:
            return self.caption_beside(name)
        if name not in self.captions:
            raise BadItem(f"{self.root / name} has no line in {METADATA}: add one, or leave the picture out")
        line = self.captions[name]
        where = f"the caption of {self.root / name} ({METADATA}, record {line + 1})"
        return usable(member(self.metadata[line], self.field, where), where)

    def caption_beside(self, name: str) -> str:
        text = PurePosixPath(name).with_suffix(".txt").as_posix()
        if text not in self.beside:
            raise BadItem(f"{self.root / name} has no caption: write {text}, or take pictures alone, captioned=False")
        try:
            return usable((self.root / text).read_bytes().decode("utf-8-sig"), str(self.root / text))
        except UnicodeDecodeError as error:
            raise BadItem(f"{self.root / text} is not UTF-8 ({error.reason}): save it as UTF-8") from None
