"""Between pictures in [-1, 1] and a pipeline's latents; the identity for a pipeline without an autoencoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from workbench.teachers.from_diffusers.opening import roomy

SMALLER = "a smaller Codec.batch, tiling=True or smaller pictures"


class Codec:
    """encode: pictures (B, 3, H, W), or video (B, 3, F, H, W), to latents; decode: back. In ``batch`` samples at once.

    Latents are scaled as the pipeline's network sees them: times ``scaling_factor`` after ``shift_factor``, or by the
    channels' ``latents_mean`` and ``latents_std``, whichever the autoencoder's config names. One in float16 whose
    config says ``force_upcast`` works in float32: it overflows otherwise. ValueError for another shape than these, for
    whole numbers, and where memory runs out.
    """

    def __init__(self, vae: Any, batch: int = 8) -> None:
        self.vae, self.batch = vae, batch
        if vae is not None and vae.dtype == torch.float16 and vae.config.get("force_upcast", False):
            vae.to(torch.float32)

    def scales(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """(shift, scale) that spread over latents: latents = (raw - shift) * scale."""
        config = self.vae.config
        mean, std = config.get("latents_mean"), config.get("latents_std")
        factor = torch.as_tensor(float(config.get("scaling_factor") or 1.0))
        if mean is not None and std is not None:
            shape = (1, -1, *(1,) * (like.ndim - 2))
            return (torch.tensor(mean).view(shape).to(like), (factor / torch.tensor(std)).view(shape).to(like))
        return torch.as_tensor(float(config.get("shift_factor") or 0.0)).to(like), factor.to(like)

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        """Latents: the mean of what the autoencoder says, no noise drawn."""
        if self.vae is None:
            return pictures
        channels = self.vae.config.get("in_channels") or 3
        check(pictures, channels, self.video, "pictures", "in [-1, 1]")
        found = []
        for part in pictures.split(self.batch):
            with roomy(f"encoding {len(part)} pictures of {tuple(part.shape[1:])}", SMALLER):
                said = self.vae.encode(part.to(self.vae.device, self.vae.dtype))
            raw = said.latent_dist.mode() if hasattr(said, "latent_dist") else said.latent
            shift, scale = self.scales(raw)
            found.append(((raw - shift) * scale).to(pictures.dtype))
        return torch.cat(found)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Pictures, clamped to [-1, 1], on the latents' device."""
        if self.vae is None:
            return latents.clamp(-1, 1)
        config = self.vae.config
        check(latents, config.get("latent_channels") or config.get("z_dim"), self.video, "latents", "of its own scale")
        found = []
        for part in latents.split(self.batch):
            raw = part.to(self.vae.device, self.vae.dtype)
            shift, scale = self.scales(raw)
            with roomy(f"decoding {len(part)} latents of {tuple(part.shape[1:])}", SMALLER):
                said = self.vae.decode(raw / scale + shift, return_dict=False)[0]
            found.append(said.to(latents).clamp(-1, 1))
        return torch.cat(found)

    @property
    def video(self) -> bool:
        """Whether samples have a dimension of frames."""
        return any(isinstance(part, torch.nn.Conv3d) for part in self.vae.modules())


def check(x: Tensor, channels: int | None, video: bool, what: str, values: str) -> None:
    """ValueError for another number of dimensions or channels, and for whole numbers."""
    shape = f"(B, {channels or 'C'}, {'F, ' if video else ''}H, W)"
    if not x.is_floating_point():
        raise ValueError(f"{what} are to be floating-point numbers {values}, got {x.dtype}: of bytes x / 127.5 - 1")
    if x.ndim != 4 + video or (channels and x.shape[1] != channels):
        raise ValueError(f"{what} are to be {shape}, got {tuple(x.shape)}: another pipeline's, or without a batch?")
    if not len(x):
        raise ValueError(f"no {what}: the batch is empty")
