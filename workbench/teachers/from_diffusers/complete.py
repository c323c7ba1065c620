"""Whether a pipeline's folder is whole: read before anything of it is loaded, and compared with what was loaded."""

from __future__ import annotations

import json
from inspect import signature
from math import prod
from pathlib import Path
from typing import Any

import torch

from workbench.teachers.from_diffusers.kinds import KINDS
from workbench.teachers.from_transformers_hub import first_line

STEMS = {"diffusers": "diffusion_pytorch_model", "transformers": "model"}  # names of weights, by the library
VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model")
PICKLES = ("*.bin", "*.ckpt", "*.pt", "*.pth")


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
    for part, what in {"_class_name": name, **components(index)}.items():
        if (not isinstance(name, str) or not part.isidentifier()
                or (isinstance(what, list) and not (len(what) == 2 and of_library(what[0])))):
            raise ValueError(f"{path} names code of its own ({part}: {what}), which is never run here: use a class of "
                             "diffusers or transformers")
    return index


def components(index: dict[str, Any]) -> dict[str, list[Any]]:
    """(library, class) of each part that the index names; lists of other things are settings."""
    return {part: what for part, what in index.items() if isinstance(what, list) and what and isinstance(what[0], str)}


def of_library(library: Any) -> bool:
    """Whether a class comes from diffusers, one of its pipelines, or transformers."""
    from diffusers import pipelines

    return library in STEMS or (isinstance(library, str) and library.isidentifier() and hasattr(pipelines, library))


def weights_held(folder: Path, index: dict[str, Any], kind: Any) -> dict[str, int]:
    """How many numbers the safetensors of each network hold, by their headers alone.

    ValueError naming the part that is missing, torn, of another class, without weights or vocabulary, or in pickles
    alone.
    """
    named, held = components(index), {}
    for part in sorted(needed(kind) - named.keys()):
        raise ValueError(f"{folder} is not complete: its model_index.json names no {part}; save the whole pipeline "
                         "again")
    for part, (library, name) in named.items():
        place = folder / part
        if not place.is_dir() or not any(place.iterdir()):
            raise ValueError(f"{folder} is not complete: its {part} is missing; save the whole pipeline again")
        if "Tokenizer" in name and not any(any(place.glob(one)) for one in VOCABULARIES):
            raise ValueError(f"{place} has no vocabulary (such as tokenizer.json): save the tokenizer there, "
                             "pipeline.tokenizer.save_pretrained")
        if library in STEMS and is_network(library, name):
            check_class(place, name)
            held[part] = sum(numbers_in(file) for file in files_of(place, STEMS[library]))
    return held


def needed(kind: Any) -> set[str]:
    """Parts without which a pipeline class cannot be made, or not be distilled."""
    given = [name for name, one in signature(kind.__init__).parameters.items() if one.default is one.empty]
    asked = set(given) - {"self", "args", "kwargs", *kind._optional_components}
    return asked | ({KINDS[kind.__name__].network} if kind.__name__ in KINDS else set())


def is_network(library: str, name: str) -> bool:
    import diffusers
    import transformers

    found = getattr({"diffusers": diffusers, "transformers": transformers}[library], str(name), None)
    return isinstance(found, type) and issubclass(found, torch.nn.Module)


def check_class(place: Path, name: str) -> None:
    """ValueError where the config is of another class of diffusers than the index says."""
    try:
        own = json.loads((place / "config.json").read_text(encoding="utf-8")).get("_class_name", name)
    except (OSError, ValueError, AttributeError):
        raise ValueError(f"{place} has no config.json, or a torn one: save the whole pipeline again") from None
    if own != name:
        raise ValueError(f"{place} holds a {own} where model_index.json names a {name}: put the {name} there")


def files_of(place: Path, stem: str) -> list[Path]:
    """The weights that would be read: one file, or those of an index; ValueError where there are none."""
    index = place / f"{stem}.safetensors.index.json"
    if (whole := place / f"{stem}.safetensors").is_file():
        return [whole]
    if index.is_file():
        try:
            found = [place / name for name in sorted(set(json.loads(index.read_text())["weight_map"].values()))]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{index} is torn: save or fetch the pipeline again") from None
        for file in found:
            if file.parent != place or not file.is_file():
                raise ValueError(f"{file} is missing, and {index.name} names it: save or fetch the pipeline again")
        return found
    if any(any(place.glob(one)) for one in PICKLES):
        raise ValueError(f"{place} holds pickled weights alone, and reading these can run any code: convert them, "
                         "where you trust them, with save_pretrained, which writes safetensors")
    others = ", ".join(sorted(one.name for one in place.glob("*.safetensors")))
    raise ValueError(f"{place} has no {stem}.safetensors" + (f", but {others}: rename it" if others else "")
                     + "; save or fetch the whole pipeline again")


def numbers_in(file: Path) -> int:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            return sum(prod(opened.get_slice(name).get_shape()) for name in opened.keys())  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{file} is torn ({first_line(error)}): save or fetch the pipeline again") from None


def check_all_loaded(pipe: Any, held: dict[str, int], folder: Path) -> None:
    """ValueError where a network has more weights than its file held: the rest are random, or nowhere."""
    for part, count in held.items():
        wanted = sum(weight.numel() for weight in getattr(pipe, part).parameters())
        if count < wanted:
            raise ValueError(f"the weights in {folder / part} are {count:,} numbers, and its config.json names "
                             f"{wanted:,}: with random ones it would teach nothing; save the whole pipeline again")
