"""Between pictures in [-1, 1] and a pipeline's latents; the identity for a pipeline without an autoencoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Codec:
    """encode: pictures (B, 3, H, W), or video (B, 3, F, H, W), to latents; decode: back. In ``batch`` samples at once.

    Latents are scaled as the pipeline's network sees them: times ``scaling_factor`` after ``shift_factor``, or by the
    channels' ``latents_mean`` and ``latents_std``, whichever the autoencoder's config names.
    """

    def __init__(self, vae: Any, batch: int = 8) -> None:
        self.vae, self.batch = vae, batch

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
        found = []
        for part in pictures.split(self.batch):
            raw = self.vae.encode(part.to(self.vae.device, self.vae.dtype)).latent_dist.mode()
            shift, scale = self.scales(raw)
            found.append(((raw - shift) * scale).to(pictures.dtype))
        return torch.cat(found)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Pictures, clamped to [-1, 1], on the latents' device."""
        if self.vae is None:
            return latents.clamp(-1, 1)
        found = []
        for part in latents.split(self.batch):
            raw = part.to(self.vae.device, self.vae.dtype)
            shift, scale = self.scales(raw)
            found.append(self.vae.decode(raw / scale + shift, return_dict=False)[0].to(latents).clamp(-1, 1))
        return torch.cat(found)
