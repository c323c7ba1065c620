"""Data sets of the Hugging Face Hub, by name or from a folder, through the library ``datasets`` (extra ``hub``)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from workbench.benches.sources import digests, pictures
from workbench.benches.sources.pictures import Size, height_width, picture
from workbench.benches.sources.source import BadItem, Source, usable
from workbench.naming import unknown
from workbench.teachers.from_transformers_hub import first_line, offline

OLDEST = 4  # the first version of ``datasets`` that runs no code of a data set's own


@dataclass(frozen=True)
class HubDataset(Source):
    """Rows of a data set: the picture in ``image_field``, cut to ``size``, and the prompt in ``field``.

    ``name`` is a folder (one that ``save_to_disk`` wrote, or of files that ``load_dataset`` reads), else a name on the
    Hub, ``subset`` one of its configurations. Nothing is fetched unless ``download`` is true: the library is offline
    while it looks, and a data set that is not on this machine is an error. ``captioned`` false: pictures alone;
    ``image_field`` None: prompts alone. Arrow files are mapped, not loaded. The fingerprint is over their contents, and
    over those of the pictures where the rows hold paths; it may differ between two versions of ``datasets``, which
    write other files. Raises ValueError for a missing library, data set, split or field, with what to do.
    """

    name: Path | str
    size: Size | None = None
    captioned: bool = True
    split: str = "train"
    field: str = "text"
    image_field: str | None = "image"
    subset: str | None = None
    revision: str | None = None
    download: bool = False

    def __post_init__(self) -> None:
        if self.pictures == (self.size is None):
            raise ValueError("pictures need size=, one side or both; prompts alone, image_field=None, do not")
        if self.size is not None:
            height_width(self.size)
        if not (self.captioned or self.pictures):
            raise ValueError("captioned=False and image_field=None leave nothing of a row")
        if not len(self):
            raise ValueError(f"{self.name}, split {self.split!r}, has no rows")

    @property
    def pictures(self) -> bool:
        return self.image_field is not None

    @cached_property
    def rows(self) -> Any:
        """The ``datasets.Dataset`` with the two columns, pictures still encoded."""
        datasets = library()
        found = split_of(self.opened(datasets), self.split)
        wanted = (self.image_field, self.field if self.captioned else None)
        chosen = [field for field in wanted if field is not None]
        for field in chosen:
            if field not in found.column_names:
                raise ValueError(f"{self.name}: {unknown('field', field, found.column_names)}")
        found = found.select_columns(chosen).with_format(None)
        if self.pictures and isinstance(found.features[self.image_field], datasets.Image):
            found = found.cast_column(self.image_field, datasets.Image(decode=False))
        return found

    @cached_property
    def columns(self) -> dict[str, Any]:
        """The columns one by one: looking at one reads no other."""
        return {field: self.rows.select_columns([field]) for field in self.rows.column_names}

    def opened(self, datasets: Any) -> Any:
        """What the library finds under the name: a Dataset, or several by split."""
        from huggingface_hub import constants

        folder = Path(self.name).expanduser()
        with offline(*() if self.download else (datasets.config, constants)):
            try:
                if (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file():
                    return datasets.load_from_disk(str(folder))
                return datasets.load_dataset(str(folder) if folder.is_dir() else os.fspath(self.name), self.subset,
                                             split=self.split, revision=self.revision)
            except (OSError, ValueError, RuntimeError) as error:
                if folder.is_dir():
                    raise ValueError(f"{folder} is no folder that datasets reads ({error})") from error
                raise ValueError(self.absent(error)) from error

    def absent(self, error: Exception) -> str:
        first = first_line(error)
        if "gated" in str(error):
            return f"{self.name} is gated: accept its terms on its page on the Hub and run `hf auth login` ({first})"
        if self.download:
            return f"{self.name} could not be loaded: check its name, subset and split ({first})"
        return (f"no data set {str(self.name)!r} on this machine, as a folder or in the cache: check the name, or "
                f"fetch it with download=True ({first})")

    @cached_property
    def fingerprint(self) -> str:
        said = ["HubDataset", pictures.VERSION, self.size and height_width(self.size), self.captioned, self.field,
                self.image_field, self.split, len(self)]  # fmt: skip
        files = [Path(file["filename"]) for file in self.rows.cache_files]
        linked = [Path(path) for path in self.linked()]
        parts = [digests.fingerprint([], file.parent, [file.name]) for file in files]
        if linked:
            root = Path(os.path.commonpath([file.parent for file in linked]))
            parts.append(digests.fingerprint([], root, [file.relative_to(root).as_posix() for file in linked]))
        return digests.fingerprint([said, parts], Path("."), [])

    def linked(self) -> Iterator[str]:
        """Files that rows point to instead of holding their bytes."""
        for row in self.columns[self.image_field] if self.pictures else ():
            if (file := file_in(row[self.image_field])) is not None:
                yield os.path.abspath(file)

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, index: int) -> str:
        return f"{self.name}, split {self.split!r}, row {index}"

    def image(self, index: int) -> Tensor | None:
        if not self.pictures:
            return None
        cell = self.columns[self.image_field][index][self.image_field]
        file = file_in(cell)
        raw = file.read_bytes() if file else cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(raw, bytes):
            raise BadItem(f"{self.where(index)} holds no picture in {self.image_field!r}: choose another image_field")
        return picture(raw, self.size, self.where(index))

    def prompt(self, index: int) -> str:
        return usable(self.columns[self.field][index][self.field], self.where(index)) if self.captioned else ""


def file_in(cell: Any) -> Path | None:
    """The file that an undecoded picture points to, where it holds no bytes and the file is here."""
    if not isinstance(cell, dict) or cell.get("bytes") is not None or not cell.get("path"):
        return None
    return Path(cell["path"]) if Path(cell["path"]).is_file() else None


def library() -> Any:
    """The library ``datasets``; ValueError where it is missing or so old that it would run a data set's own code."""
    try:
        import datasets
    except ImportError:
        said = "data sets of the Hub need the library datasets: pip install 'distillation-workbench[hub]'"
        raise ValueError(said) from None
    if int(datasets.__version__.split(".")[0]) < OLDEST:
        raise ValueError(f"datasets {datasets.__version__} may run code that comes with a data set: "
                         f"pip install 'datasets>={OLDEST}'")
    return datasets


def split_of(found: Any, split: str) -> Any:
    """The split of what a folder holds; ValueError for one that it has not."""
    if not isinstance(found, dict):
        return found
    if split not in found:
        raise ValueError(unknown("split", split, found))
    return found[split]
