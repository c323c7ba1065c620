"""A pipeline opened from a folder or the hub's cache; what can be wrong with it, said in a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch

from workbench.naming import unknown
from workbench.teachers.from_diffusers.kinds import KINDS, Kind
from workbench.teachers.from_diffusers.quiet import quiet

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def dtype_of(asked: str | torch.dtype) -> torch.dtype:
    """One of DTYPES by name, or itself; ValueError for another."""
    name = str(asked).removeprefix("torch.")
    if name not in DTYPES:
        raise ValueError(unknown("torch_dtype", name, DTYPES))
    return DTYPES[name]


def kind_of(pipe: Any) -> Kind:
    """The row of a pipeline's class; ValueError for a class that has none."""
    return KINDS[known(type(pipe).__name__)]


def known(name: str) -> str:
    if name not in KINDS:
        raise ValueError(f"{unknown('pipeline class', name, KINDS)}; a new class is a row in kinds.py")
    return name


def opened(name: str | Path, dtype: torch.dtype, download: bool) -> Any:
    """The pipeline, in safetensors only, no code of its own run. ValueError for everything that can be wrong."""
    import diffusers

    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = fetched(str(name), download)
    index = index_of(folder)
    kind = getattr(diffusers, known(index["_class_name"]))
    for part in missing(folder, index):
        raise ValueError(f"{folder} is not complete: its {part} is missing; save the whole pipeline again")
    try:
        with quiet():
            return kind.from_pretrained(folder, dtype=dtype, use_safetensors=True, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        if out_of_memory(error):
            raise
        first = str(error).strip().splitlines()[0]
        raise ValueError(f"{folder} cannot be loaded as {kind.__name__}: {first}; weights must be safetensors, "
                         "whole, and of the class that model_index.json names") from error


def index_of(folder: Path) -> dict[str, Any]:
    """model_index.json; ValueError where it is missing, torn, or names code of its own."""
    path = folder / "model_index.json"
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        name = index["_class_name"]
    except OSError:
        raise ValueError(f"{folder} is no pipeline's folder: it has no model_index.json") from None
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is torn or not a pipeline's: save the pipeline again") from None
    if not isinstance(name, str) or any(isinstance(part, list) and part and isinstance(part[0], str) and "." in part[0]
                                        and part[0].split(".")[0] not in ("diffusers", "transformers")
                                        for part in index.values()):
        raise ValueError(f"{path} names code of its own, which is never run here: use a class of diffusers")
    return index


def missing(folder: Path, index: dict[str, Any]) -> list[str]:
    """Components that the index names and the folder lacks."""
    named = [part for part, what in index.items() if isinstance(what, list) and what and what[0] is not None]
    return [part for part in named if not (folder / part).is_dir() or not any((folder / part).iterdir())]


def fetched(name: str, download: bool) -> Path:
    """The folder of a hub's pipeline in this machine's cache, or fetched there; nothing is fetched unasked."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        return Path(snapshot_download(name, local_files_only=not download, allow_patterns=["*.json", "*.safetensors",
                                      "*.txt", "*.model"]))
    except GatedRepoError:
        raise ValueError(f"{name} is gated: accept its terms on its page and log in (`hf auth login`)") from None
    except (LocalEntryNotFoundError, HFValidationError, RepositoryNotFoundError, OSError, ValueError) as error:
        if download and not isinstance(error, HFValidationError):
            raise ValueError(f"{name} could not be fetched ({type(error).__name__}): is the name right, and is there a "
                             "connection?") from None
        near = nearest(name)
        hint = f"did you mean {near!r}? " if near else ""
        raise ValueError(f"no pipeline {name!r} on this machine; {hint}nothing is fetched unasked: name a folder, or "
                         "give download=True") from None


def nearest(name: str) -> str | None:
    """A folder beside the one that was meant whose name is like it."""
    path = Path(name).expanduser()
    beside = [one.name for one in path.parent.iterdir() if one.is_dir()] if path.parent.is_dir() else []
    near = get_close_matches(path.name, beside, n=1)
    return str(path.parent / near[0]) if near else None


def out_of_memory(error: BaseException) -> bool:
    said = str(error).lower()
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "not enough memory" in said or (
        "out of memory" in said)


@contextmanager
def roomy(name: Any) -> Iterator[None]:
    """ValueError that says what to do, where memory runs out."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise ValueError(f"{name} does not fit into memory: load it with torch_dtype=\"bfloat16\" or offload=True; "
                         "`workbench doctor --fit` tells what a training needs") from error
