"""Where a model's folder is: on this machine, in the Hub's cache, or fetched when that is asked for; nothing by chance.

Only weights in safetensors and plain text are ever fetched: no pickles, and no code that comes with a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

FETCHED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.tiktoken", "*.jinja"]


def folder_of(name: Path | str, revision: str | None = None, download: bool = False) -> Path:
    """The folder called ``name``, else the model of that name in the Hub's cache, else fetched if ``download``.

    Raises ValueError for one that is neither, that is gated or misspelt, naming what is spelt nearly so.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ValueError(f"{folder} is a file: give the folder that it lies in")
    try:
        with offline(*() if download else (constants,)):
            return Path(snapshot_download(str(name), revision=revision, local_files_only=not download,
                                          allow_patterns=FETCHED, ignore_patterns=["*/*"]))
    except GatedRepoError:
        said = f"accept its terms on huggingface.co/{name}, then run `hf auth login`"
        raise ValueError(f"{name} is gated: {said}") from None
    except (RepositoryNotFoundError, HFValidationError):
        raise ValueError(f"no folder and no model on the Hub called {str(name)!r}{nearest(folder)}") from None
    except (OSError, ValueError, RuntimeError) as error:
        if download:
            raise ValueError(f"{name} could not be fetched ({first_line(error)}): check the network and the name, or "
                             f"give a folder") from error
        raise ValueError(f"no folder called {str(name)!r} and no such model in the Hub's cache{nearest(folder)}; "
                         f"download=True fetches it") from None


def nearest(folder: Path) -> str:
    """"; did you mean ...?" of the folders beside it and the models in the Hub's cache, or nothing."""
    from huggingface_hub import constants

    beside = {one.name: str(one) for one in folder.parent.iterdir() if one.is_dir()} if folder.parent.is_dir() else {}
    cache = Path(constants.HF_HUB_CACHE)
    kept = [one.name.removeprefix("models--").replace("--", "/") for one in cache.glob("models--*")]
    if near := get_close_matches(folder.name, beside, n=1):
        return f"; did you mean {beside[near[0]]}?"
    near = get_close_matches(folder.as_posix(), kept, n=1)
    return f"; did you mean {near[0]}?" if near else ""


@contextmanager
def offline(*places: Any) -> Iterator[None]:
    """Close the Hub's libraries to the network for the moment: each of ``places``, modules of theirs, has an
    HF_HUB_OFFLINE that is read at every request (``local_files_only`` alone still asks the Hub one question)."""
    before = [place.HF_HUB_OFFLINE for place in places]
    try:
        for place in places:
            place.HF_HUB_OFFLINE = True
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.HF_HUB_OFFLINE = value


def first_line(error: BaseException) -> str:
    said = str(error).strip()
    return said.splitlines()[0] if said else type(error).__name__
