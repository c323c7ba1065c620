"""Models of transformers as teachers: causal language models, and classifiers of pictures and of text.

Frozen, in safetensors, from a folder or the Hub's cache; never fetched unless asked, never unpickled, never with code
of the model's own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from workbench.naming import unknown
from workbench.teachers.from_transformers_causal import CausalTeacher
from workbench.teachers.from_transformers_classifiers import ClassifierTeacher, ImageTeacher, Pixels, TextTeacher
from workbench.teachers.from_transformers_hub import first_line, folder_of, offline
from workbench.teachers.from_transformers_memory import enough_memory
from workbench.teachers.trained import frozen

TASKS = {"causal": ("ForCausalLM", "LMHeadModel"), "text": ("ForSequenceClassification",),
         "image": ("ForImageClassification",)}  # fmt: skip
DTYPES = ("float32", "bfloat16", "float16", "float64")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model",
              "sentencepiece.bpe.model", "source.spm")  # fmt: skip


def load(name_or_folder: Path | str, task: str | None = None, *, dtype: torch.dtype | str | None = None,
         device: torch.device | str = "cpu", tokenizer: Path | str | None = None, revision: str | None = None,
         download: bool = False) -> CausalTeacher | ClassifierTeacher:
    """The model, frozen, as a teacher: of the class that its config names, so ``task`` only has to be as expected.

    ``task`` is "causal", "text" or "image". ``dtype`` None is the weights' own. ``tokenizer`` is a folder or name,
    where the model's folder has none. Raises ValueError for a model that is missing, gated, misspelt, of another kind,
    torn, in pickles, in need of its own code or without tokenizer, and for a dtype or device there is not;
    MemoryError where it does not fit. Each says what to do.
    """
    wanted, place = dtype_of(dtype), device_of(device)
    folder = folder_of(name_or_folder, revision, download)
    said = config_of(folder)
    kind, task = class_of(folder, said, task)
    check_settings(kind, folder)
    from huggingface_hub import constants

    with offline(constants):
        words = None if task == "image" else tokenizer_of(folder, tokenizer, download)
        with enough_memory(f"{folder.name} on {place}", "take dtype='bfloat16', a smaller model or another device"):
            model = weights(kind, folder, wanted).to(place)
    if task == "image":
        return frozen(ImageTeacher(model, Pixels.of(folder)))
    rows = model.get_input_embeddings().weight.shape[0]
    if len(words) > rows:
        raise ValueError(f"the tokenizer has {len(words)} tokens and {folder.name} knows {rows}: take the model's own")
    return frozen(CausalTeacher(model, words) if task == "causal" else TextTeacher(model, words))


def config_of(folder: Path) -> dict[str, Any]:
    """The model's config.json; ValueError where there is none, saying what the folder seems to be."""
    if not (folder / "config.json").is_file():
        if (folder / "model_index.json").is_file():
            raise ValueError(f"{folder} is a diffusers pipeline: load it with workbench.teachers.from_diffusers")
        if (folder / "adapter_config.json").is_file():
            raise ValueError(f"{folder} is an adapter, not a model: merge it into its base and save that")
        raise ValueError(f"{folder} has no config.json: give the folder that save_pretrained wrote")
    try:
        said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{folder}/config.json is no JSON ({error}): save or fetch the model again") from None
    if not isinstance(said, dict) or not said.get("architectures"):
        raise ValueError(f"{folder}/config.json names no class in 'architectures': write it, e.g. ['LlamaForCausalLM']")
    return said


def class_of(folder: Path, said: dict[str, Any], task: str | None) -> tuple[type, str]:
    """(the class in transformers, its task); ValueError for another task than the one asked for, and unknown ones."""
    import transformers

    if task is not None and task not in TASKS:
        raise ValueError(unknown("task", task, TASKS))
    name = str(said["architectures"][0])
    found = next((one for one, ends in TASKS.items() if name.endswith(ends)), None)
    if found is None:
        ends = ", ".join(f"...{end}" for several in TASKS.values() for end in several)
        raise ValueError(f"{folder.name} holds a {name}; teachers are {ends}: choose a model with such a head")
    if task not in (None, found):
        raise ValueError(f"{folder.name} holds a {name}, whose task is {found!r}, not {task!r}")
    kind = getattr(transformers, name, None)
    if not (isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)):
        raise ValueError(f"{name} is not in transformers {transformers.__version__}: update it; code that comes with a "
                         f"model is never run")
    return kind, found


def check_settings(kind: Any, folder: Path) -> None:
    """ValueError where the config's values are not what the class takes."""
    try:
        kind.config_class.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # each config has a validation of its own
        raise ValueError(f"{folder}/config.json does not fit {kind.__name__} ({first_line(error)}): "
                         f"correct it") from error


def weights(kind: Any, folder: Path, dtype: torch.dtype | str) -> Any:
    """The model with all its weights, from safetensors; ValueError where they are absent, torn or do not fit."""
    if not any(folder.glob("*.safetensors")):
        if any(folder.glob("*.bin")) or any(folder.glob("*.pt*")):
            raise ValueError(f"{folder} holds pickled weights alone, and reading these can run any code: convert them, "
                             f"where you trust them, with save_pretrained, which writes safetensors")
        raise ValueError(f"{folder} holds no weights (model.safetensors): fetch them, download=True, or save again")
    try:
        model, found = kind.from_pretrained(folder, dtype=dtype, use_safetensors=True, local_files_only=True,
                                            trust_remote_code=False, output_loading_info=True)
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # OSError, KeyError, SafetensorError and what the model's own class raises
        if "allocate memory" in str(error):
            raise
        raise ValueError(f"the weights in {folder} are torn or do not fit its config.json ({first_line(error)}): "
                         f"save or fetch the model again") from error
    if found["missing_keys"]:
        some = ", ".join(sorted(found["missing_keys"])[:3])
        raise ValueError(f"the weights in {folder} lack {some} of {kind.__name__}: with random ones it would teach "
                         f"nothing: fine-tune and save the whole model")
    return model


def tokenizer_of(folder: Path, other: Path | str | None, download: bool) -> Any:
    """The tokenizer of the folder, or of another; ValueError where it has none (the library makes an empty one)."""
    from transformers import AutoTokenizer

    place = folder if other is None else folder_of(other, download=download)
    if not any((place / name).is_file() for name in TOKENIZERS):
        raise ValueError(f"{place} has no tokenizer (such as tokenizer.json): save it there, "
                         f"tokenizer.save_pretrained, or name one that fits, load(..., tokenizer=...)")
    try:
        return AutoTokenizer.from_pretrained(place, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise ValueError(f"the tokenizer in {place} cannot be read ({first_line(error)}): save it again") from error


def dtype_of(dtype: torch.dtype | str | None) -> torch.dtype | str:
    """"auto" for None; ValueError for what no weights are computed in."""
    if dtype is None:
        return "auto"
    name = str(dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise ValueError(unknown("dtype", name, DTYPES))
    return getattr(torch, name)


def device_of(device: torch.device | str) -> torch.device:
    """The device; ValueError where this machine has none of the kind."""
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"no device {str(device)!r} here ({first_line(error)}): take device='cpu'") from None
    return place
