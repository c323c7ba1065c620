"""Latents of a recorded call as pictures: unpacked, made small where small ones are asked for, then decoded."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from workbench.teachers.from_diffusers.codec import Codec


def pictures(
    pipeline: Any, latents: Tensor, asked: dict[str, Any], size: int | None, frames: int | None, batch: int,
    decode: Callable[[Tensor], Tensor] | None,
) -> Tensor:  # fmt: skip
    """Latents (B, ...) of a call ``asked`` as pictures (B, 3, H, W) or (B, 3, F, H, W); see ``Recorded.pictures``."""
    if decode is not None:
        return torch.cat([decode(part) for part in latents.split(batch)])
    vae = getattr(pipeline, "vae", None)
    x = latents if latents.ndim > 3 else unpacked(pipeline, latents, asked)
    if vae is None and x.shape[1] not in (1, 3):
        raise ValueError(f"{type(pipeline).__name__} has no vae and its states have {x.shape[1]} channels: say how "
                         "they become pictures, pictures(..., decode=function of latents)")
    video = x.ndim == 5
    if video and frames is not None:
        x = x[:, :, :frames]
    if size is not None:
        x = smaller(x, size, full=max(x.shape[-2:]) * shrink(pipeline))
    shown = Codec(vae, batch).decode(x)
    if size is not None:
        shown = smaller(shown, size, full=max(shown.shape[-2:]))
    return shown[:, :, 0] if video and frames == 1 else shown


def unpacked(pipeline: Any, latents: Tensor, asked: dict[str, Any]) -> Tensor:
    """Tokens (B, T, D) as latents (B, C, H, W), by the pipeline's own function and the size that the call asked for."""
    own = getattr(pipeline, "_unpack_latents", None)
    if own is None or "vae_scale_factor" not in signature(own).parameters:
        raise ValueError(f"how {type(pipeline).__name__} packs its latents {tuple(latents.shape)} is not known here: "
                         "say how they become pictures, pictures(..., decode=function of latents)")
    side = pipeline.default_sample_size * pipeline.vae_scale_factor
    return own(latents, asked.get("height") or side, asked.get("width") or side, pipeline.vae_scale_factor)


def shrink(pipeline: Any) -> int:
    """How many pixels wide one latent is."""
    for name in ("vae_scale_factor_spatial", "vae_scale_factor"):
        if getattr(pipeline, "vae", None) is not None and hasattr(pipeline, name):
            return int(getattr(pipeline, name))
    return 1


def smaller(x: Tensor, size: int, full: int) -> Tensor:
    """Maps (..., H, W) that stand for ``full`` pixels, averaged over areas to ``size``; as they are if that is more."""
    if size >= full:
        return x
    sides = [max(1, round(side * size / full)) for side in x.shape[-2:]]
    return functional.interpolate(x.flatten(0, -4), size=sides, mode="area").unflatten(0, x.shape[:-3])
