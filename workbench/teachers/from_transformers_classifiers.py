"""Classifiers of pictures and of text as teachers: called like any classifier here, ``net(x) -> logits (B, K)``."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from workbench.naming import unknown
from workbench.randomness import Key
from workbench.teachers.from_transformers_memory import enough_memory
from workbench.types import Tokens


class ClassifierTeacher(nn.Module):
    """``model`` (of transformers, frozen by ``load``); ``classes`` are the K names of its labels, in order."""

    model: Any

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        names = model.config.id2label
        self.classes = tuple(str(names[index]) for index in sorted(names))

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def inputs(self, x: Any) -> dict[str, Tensor]:
        """What the model is called with."""
        raise NotImplementedError

    def forward(self, x: Any) -> Tensor:
        """Logits (B, K), float32."""
        with enough_memory("this batch", "take fewer rows"):
            return self.model(**self.inputs(x)).logits.float()

    def like(self, model: nn.Module) -> ClassifierTeacher:
        """The same preparation in front of another model."""
        raise NotImplementedError

    def fresh(self, seed: int = 0, **changes: Any) -> ClassifierTeacher:
        """A trainable net of the same class with random weights and these settings of its config changed, float32.

        For students: ``teacher.fresh(hidden_size=192, num_hidden_layers=4)``. Without dropout, which would read the
        global generator. ValueError for an unknown setting, and for dropout.
        """
        config = copy.deepcopy(self.model.config)
        drops = [name for name, value in config.to_dict().items() if "drop" in name and isinstance(value, float)]
        if any("drop" in name and value for name, value in changes.items()):
            raise ValueError("dropout draws from the global generator, so that no run could be resumed: leave it out")
        for name in drops:
            setattr(config, name, 0.0)
        for name, value in changes.items():
            if name not in config.to_dict():
                raise ValueError(unknown(f"setting of {type(config).__name__}", name, config.to_dict()))
            setattr(config, name, value)
        config.dtype = torch.float32
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(Key(seed).number("student"))
            return self.like(type(self.model)(config)).train()


@dataclass(frozen=True)
class Pixels:
    """What a model's image processor does to 8-bit values v: (scale v - offset - mean) / std, channel by channel."""

    scale: float = 1 / 255
    offset: float = 0.0
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)

    @classmethod
    def of(cls, folder: Path) -> Pixels:
        """As the folder's preprocessor_config.json says; ValueError where there is none: values would be guessed."""
        try:
            said = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        except OSError:
            raise ValueError(f"{folder} has no preprocessor_config.json, which says how pictures are scaled: save the "
                             f"model's image processor there") from None
        scale = said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1.0
        offset = float(said.get("rescale_offset", False) or said.get("offset", False))
        if not said.get("do_normalize", True):
            return cls(scale, offset, (0.0,), (1.0,))
        mean, std = (said.get(name, 0.5) for name in ("image_mean", "image_std"))
        several = lambda value: tuple(value) if isinstance(value, list) else (value,)  # noqa: E731
        return cls(scale, offset, several(mean), several(std))

    def __call__(self, x: Tensor) -> Tensor:
        """Pictures (B, C, H, W) in [-1, 1] as the model knows them."""
        mean, std = (x.new_tensor(value).view(-1, 1, 1) for value in (self.mean, self.std))
        return (self.scale * 127.5 * (x + 1) - self.offset - mean) / std


class ImageTeacher(ClassifierTeacher):
    """Of pictures x (B, C, H, W) in [-1, 1], in the model's own size: scaled here as its image processor does it.

    Raises ValueError for another number of channels, or a size that the model does not take.
    """

    def __init__(self, model: nn.Module, pixels: Pixels) -> None:
        super().__init__(model)
        self.pixels, channels = pixels, getattr(model.config, "num_channels", 3)
        if any(len(values) not in (1, channels) for values in (pixels.mean, pixels.std)):
            raise ValueError(f"preprocessor_config.json scales {len(pixels.mean)} channels, the model has {channels}: "
                             f"save the processor that belongs to it")

    def inputs(self, x: Tensor) -> dict[str, Tensor]:
        channels = getattr(self.model.config, "num_channels", 3)
        if x.ndim != 4 or x.shape[1] != channels or not x.is_floating_point():
            raise ValueError(f"needs pictures (B, {channels}, H, W) in [-1, 1], got {tuple(x.shape)} {x.dtype}")
        return {"pixel_values": self.pixels(x).to(next(self.model.parameters()).dtype)}

    def forward(self, x: Tensor) -> Tensor:
        try:
            return super().forward(x)
        except ValueError as error:
            size = getattr(self.model.config, "image_size", None)
            if size is None or tuple(x.shape[-2:]) == (size, size):
                raise
            raise ValueError(f"the model takes pictures of {size}x{size}, got {x.shape[-2]}x{x.shape[-1]}: make the "
                             f"data with size={size}") from error

    def like(self, model: nn.Module) -> ImageTeacher:
        return ImageTeacher(model, self.pixels)


class TextTeacher(ClassifierTeacher):
    """Of token ids x (B, T) int64, padded with the tokenizer's padding token, or of Tokens with their mask."""

    def __init__(self, model: nn.Module, tokenizer: Any) -> None:
        super().__init__(model)
        self.tokenizer = tokenizer

    def inputs(self, x: Tensor | Tokens) -> dict[str, Tensor]:
        if isinstance(x, Tokens):
            return {"input_ids": x.ids, "attention_mask": x.mask.long()}
        if x.ndim != 2 or x.is_floating_point():
            raise ValueError(f"needs token ids (B, T), as encode gives them, got {tuple(x.shape)} {x.dtype}")
        pad = self.tokenizer.pad_token_id
        mask = torch.ones_like(x) if pad is None else (x != pad).long()
        return {"input_ids": x, "attention_mask": mask}

    def encode(self, texts: Sequence[str], max_length: int | None = None) -> Tokens:
        """Tokens of the texts, padded on the right; cut to ``max_length``, by default the model's most positions."""
        most = max_length or getattr(self.model.config, "max_position_embeddings", None)
        found = self.tokenizer(list(texts), padding=True, truncation=most is not None, max_length=most,
                               return_tensors="pt", padding_side="right")
        device = next(self.model.parameters()).device
        return Tokens(found["input_ids"].to(device), found["attention_mask"].bool().to(device))

    def like(self, model: nn.Module) -> TextTeacher:
        return TextTeacher(model, self.tokenizer)
