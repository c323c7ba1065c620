"""A pipeline at the border: loaded by its class, its network in the engine's words, its latents and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from workbench.noise import Process
from workbench.teachers.from_diffusers import schedule
from workbench.teachers.from_diffusers.codec import Codec
from workbench.teachers.from_diffusers.conditions import Conditions
from workbench.teachers.from_diffusers.kinds import Kind, nothing
from workbench.teachers.from_diffusers.network import Network
from workbench.teachers.from_diffusers.opening import dtype_of, kind_of, opened, roomy
from workbench.teachers.from_transformers import device_of

LESS = "load it with torch_dtype=\"bfloat16\" or offload=True; `workbench doctor --fit` tells what a training needs"


@dataclass(frozen=True)
class Teacher:
    """A frozen pipeline: ``net`` speaks the engine's words, ``codec`` turns its latents into pictures and back.

    ``size`` (height, width) is of the pictures, in pixels; ``frames`` of a video, 1 otherwise.
    """

    pipe: Any
    kind: Kind
    net: Network
    codec: Codec
    size: tuple[int, int]
    frames: int = 1

    @classmethod
    def from_pretrained(cls, name_or_folder: str | Path, prompts: Sequence[str] = (), *,
                        torch_dtype: str | torch.dtype = "float32", device: str | torch.device = "cpu",
                        size: tuple[int, int] | None = None, frames: int | None = None, sigma_data: float = 1.0,
                        tiling: bool = False, offload: bool = False, download: bool = False) -> Teacher:
        """Load a pipeline from a folder, or from the hub's cache on this machine (``download``: from the hub).

        ``prompts`` are encoded at once: later calls name them by index. ``offload``: text encoders and autoencoder stay
        on the CPU, only the network lives on ``device``. ``tiling``: the autoencoder works in tiles. ValueError, naming
        the way out, for what is not there, not complete, of an unknown class, or does not fit into memory.
        """
        dtype, device = dtype_of(torch_dtype), device_of(device)
        with roomy(name_or_folder, LESS):
            pipe = opened(name_or_folder, dtype, download)
            teacher = cls.of(pipe, size=size, frames=frames, sigma_data=sigma_data, prompts=prompts,
                             device="cpu" if offload else device)
            teacher.net.to(device)
        if tiling and teacher.codec.vae is not None:
            teacher.codec.vae.enable_tiling()
        return teacher

    @classmethod
    def of(cls, pipe: Any, prompts: Sequence[str] = (), *, size: tuple[int, int] | None = None,
           frames: int | None = None, sigma_data: float = 1.0, device: str | torch.device = "cpu") -> Teacher:
        """A pipeline that is loaded already, frozen in place. ValueError for a size that its latents cannot have."""
        kind = kind_of(pipe)
        pipe.to(device)
        pipe.set_progress_bar_config(disable=True)
        for part in pipe.components.values():
            if isinstance(part, torch.nn.Module):
                part.requires_grad_(False).eval()
        size = native_size(pipe, kind) if size is None else size
        process, form = schedule.read(pipe.scheduler, sigma_data)
        net = Network(getattr(pipe, kind.network), kind, process, form, Conditions(lambda _: ({}, {})))
        found = cls(pipe, kind, net.eval(), Codec(getattr(pipe, "vae", None)), size, (frames or 5) if kind.video else 1)
        found.check()
        return found.knowing(prompts)

    def knowing(self, prompts: Sequence[str]) -> Teacher:
        """The same teacher with these prompts as its table: what conditions its network from now on.

        ValueError for a single text, and for prompts given to a pipeline that takes none.
        """
        if isinstance(prompts, str):
            raise ValueError(f"prompts are a list of texts, got {prompts[:40]!r}: write [{prompts[:40]!r}]")
        if len(prompts) and self.kind.encode is nothing:
            raise ValueError(f"{type(self.pipe).__name__} takes no prompts, got {len(prompts)}: leave them out")
        self.net.conditions = Conditions(lambda some: self.kind.encode(Beside(self.pipe), some, self.size), prompts)
        return self

    @property
    def process(self) -> Process:
        return self.net.process

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample's latents: (C, H, W), or (C, F, H, W)."""
        height, width = (side // self.down for side in self.size)
        channels = self.net.model.config.in_channels // (4 if "guidance_embeds" in self.net.model.config else 1)
        if not self.kind.video:
            return channels, height, width
        return channels, (self.frames - 1) // self.pipe.vae_scale_factor_temporal + 1, height, width

    @property
    def down(self) -> int:
        """Pixels per latent, along a side."""
        found = getattr(self.pipe, "vae_scale_factor_spatial", None) or getattr(self.pipe, "vae_scale_factor", 1)
        return 1 if self.codec.vae is None else found

    def check(self) -> None:
        """ValueError for a size, or a number of frames, that the latents or the network cannot have."""
        config = self.net.model.config
        alone = self.codec.vae is None and "block_out_channels" in config  # such a UNet halves its input itself
        multiple = self.down * self.kind.multiple * (2 ** (len(config.block_out_channels) - 1) if alone else 1)
        size = self.size
        if not (isinstance(size, tuple) and len(size) == 2 and all(isinstance(side, int) for side in size)):
            raise ValueError(f"size is (height, width) in pixels, got {size!r}")
        if any(side < 1 or side % multiple for side in size):
            near = tuple(max(multiple, round(side / multiple) * multiple) for side in size)
            raise ValueError(f"size {size} does not fit: sides must be multiples of {multiple}, e.g. {near}")
        rate = self.pipe.vae_scale_factor_temporal if self.kind.video else 1
        if self.frames < 1 or (self.frames - 1) % rate:
            raise ValueError(f"frames = {self.frames} do not fit: one more than a multiple of {rate} do, e.g. "
                             f"{(max(self.frames, 1) - 1) // rate * rate + 1}")

    def encode(self, pictures: Tensor) -> Tensor:
        """Latents (B, ...) of pictures (B, 3, H, W) in [-1, 1]."""
        return self.codec.encode(pictures)

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures (B, 3, H, W), or (B, 3, F, H, W), in [-1, 1], of latents (B, ...)."""
        return self.codec.decode(latents)

    def grid(self, num_inference_steps: int) -> Tensor:
        """(N+1,) times, in ``process``, of the pipeline's own scheduler at this size."""
        asked = schedule.shifted(self.pipe, self.shape)
        if self.kind.even_sigmas:
            asked["sigmas"] = [1 - step / num_inference_steps for step in range(num_inference_steps)]
        return schedule.grid(self.pipe.scheduler, num_inference_steps, **asked)


class Beside:
    """A pipeline seen from its text encoder: ``device`` is where that is, while the network may live on another."""

    def __init__(self, pipe: Any) -> None:
        texts = getattr(pipe, "text_encoder", None) or getattr(pipe, "text_encoder_2", None)
        self.pipe, self.device = pipe, pipe.device if texts is None else texts.device

    def __getattr__(self, name: str) -> Any:
        return getattr(self.pipe, name)


def native_size(pipe: Any, kind: Kind) -> tuple[int, int]:
    """(height, width) in pixels that the pipeline draws by default."""
    if kind.video:
        return 480, 832
    own = getattr(pipe, "default_sample_size", None) or getattr(pipe, kind.network).config.sample_size
    height, width = (own, own) if isinstance(own, int) else own
    down = pipe.vae_scale_factor if getattr(pipe, "vae", None) is not None else 1
    return height * down, width * down
