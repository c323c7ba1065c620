"""A pipeline opened from a folder or the hub's cache; what can be wrong with it, said in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from workbench.naming import unknown
from workbench.teachers.from_diffusers.complete import check_all_loaded, index_of, weights_held
from workbench.teachers.from_diffusers.kinds import KINDS, Kind
from workbench.teachers.from_diffusers.quiet import quiet
from workbench.teachers.from_transformers_hub import FETCHED, first_line, nearest, offline

ALLOWED = [*(one for one in FETCHED if one != "*.safetensors"), "*/*.safetensors"]  # weights of parts, none in one file
VARIANTS = ["*/*.*.safetensors"]  # the same weights again, in half precision or before averaging
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
    from huggingface_hub import constants

    folder = Path(name).expanduser()
    if folder.is_file():
        raise ValueError(f"{folder} is a file: give the folder of a pipeline")
    if not folder.is_dir():
        folder = fetched(str(name), download)
    index = index_of(folder)
    kind = getattr(diffusers, known(index["_class_name"]))
    held = weights_held(folder, index, kind)
    try:
        with quiet(), offline(constants):
            pipe = kind.from_pretrained(folder, dtype=dtype, use_safetensors=True, local_files_only=True,
                                        trust_remote_code=False)
    except Exception as error:  # OSError, KeyError, and what each part's own class raises
        if out_of_memory(error):
            raise
        raise ValueError(f"{folder} cannot be loaded as {kind.__name__} ({first_line(error)}): mend its configs, or "
                         "save the whole pipeline again") from error
    check_all_loaded(pipe, held, folder)
    return pipe


def fetched(name: str, download: bool) -> Path:
    """The folder of a hub's pipeline in this machine's cache, or fetched there; nothing is fetched unasked."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    near = nearest(Path(name).expanduser())
    try:
        with offline(*() if download else (constants,)):
            return Path(snapshot_download(name, local_files_only=not download, allow_patterns=ALLOWED,
                                          ignore_patterns=VARIANTS))
    except GatedRepoError:
        raise ValueError(f"{name} is gated: accept its terms on huggingface.co/{name}, then run `hf auth login`"
                         ) from None
    except (RepositoryNotFoundError, HFValidationError):
        raise ValueError(f"no folder and no pipeline on the Hub called {name!r}{near}") from None
    except (OSError, ValueError, RuntimeError) as error:
        if download:
            raise ValueError(f"{name} could not be fetched ({first_line(error)}): check the network and the name, or "
                             "give a folder") from error
        raise ValueError(f"no folder called {name!r} and no such pipeline in the Hub's cache{near}; download=True "
                         "fetches it") from None


def out_of_memory(error: BaseException) -> bool:
    said = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        one in said for one in ("not enough memory", "out of memory", "allocate memory"))


@contextmanager
def roomy(what: Any, remedy: str) -> Iterator[None]:
    """ValueError that says what to do, where memory runs out."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise ValueError(f"{what} does not fit into memory: {remedy}") from error
