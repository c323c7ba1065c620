"""Data for real models: prompts from a file; pictures from a folder, from shards, from the Hub.

All are read as they are asked for, found again by number alone, and fingerprinted.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from workbench.benches.sources.batches import Batches
from workbench.benches.sources.folder import ImageFolder
from workbench.benches.sources.hub import HubDataset
from workbench.benches.sources.prompts import KINDS, Prompts
from workbench.benches.sources.shards import Shards
from workbench.benches.sources.source import BadItem, Item, PromptTable, Source, faults


def load(where: Path | str, **fields: Any) -> Source:
    """The source that lies there, by what is there: a file of prompts, shards, a folder of pictures, else a data set.

    A folder is one of shards when it holds .tar files, a ``datasets`` one when ``save_to_disk`` wrote it. A name with
    no such file or folder is looked for in the Hub's cache. ``fields`` are those of the class. ValueError for a path
    with nothing there.
    """
    path, text = Path(where).expanduser(), str(where)
    if path.suffix.lower() in KINDS:
        return Prompts(where, **fields)
    if path.suffix.lower() == ".tar" or (path.is_dir() and any(path.glob("*.tar"))):
        return Shards(where, **fields)
    if path.is_dir() and not any((path / name).is_file() for name in ("state.json", "dataset_dict.json")):
        return ImageFolder(where, **fields)
    if not path.is_dir() and (path.is_absolute() or text.startswith((".", "~")) or text.count("/") > 1):
        raise ValueError(f"nothing at {path}: {near(path)}")
    return HubDataset(where, **fields)


def near(path: Path) -> str:
    """What the folder holds that is spelt nearly so."""
    there = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
    found = get_close_matches(path.name, there, n=1)
    return f"did you mean {path.parent / found[0]}?" if found else "check the path"


__all__ = ["BadItem", "Batches", "HubDataset", "ImageFolder", "Item", "PromptTable", "Prompts", "Shards", "Source",
           "faults", "load"]
