"""Small pipelines of each class with random weights: the real diffusers and transformers classes, made without a hub.

``build("sdxl")`` gives a pipeline, ``save("sdxl", folder)`` a folder that ``from_pretrained`` loads. Weights are
float32 and depend on the seed alone. No weight matrix is all zero (some networks begin so), so time, prompt and
guidance show in the output. ``CALLS`` is what a pipeline must be told besides prompts: its default pictures are large.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import torch
from torch import nn

from workbench.naming import unknown
from workbench.teachers.from_diffusers.small_parts import (
    SCALED,
    autoencoder,
    clip_encoder,
    conditional_unet,
    t5_encoder,
    unconditional_unet,
    video_autoencoder,
)
from workbench.teachers.from_diffusers.vocabulary import WORDS, clip_tokenizer, t5_tokenizer

CALLS: dict[str, dict[str, Any]] = {
    "sd3": {"max_sequence_length": 24},
    "flux": {"height": 32, "width": 32, "max_sequence_length": 24},
    "wan": {"height": 32, "width": 32, "num_frames": 5, "max_sequence_length": 24},
}


def seeded(builder: Callable[..., Any]) -> Callable[..., Any]:
    """The builder with weights drawn from ``seed`` and none all zero; the global generator is as before after it."""

    @wraps(builder)
    def drawn(seed: int = 0, **sizes: Any) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            pipeline = builder(**sizes)
            for _, net in sorted(pipeline.components.items()):
                if isinstance(net, nn.Module):
                    awake(net).eval().requires_grad_(False)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    return drawn


@torch.no_grad()
def awake(net: nn.Module) -> nn.Module:
    """The net with normal numbers of variance 1/inputs in place of every weight matrix that is all zero."""
    for weight in net.parameters():
        if weight.ndim > 1 and not bool(weight.any()):
            weight.normal_(0, weight[0].numel() ** -0.5)
    return net


@seeded
def unconditional(sample_size: int = 16, block_out_channels: Sequence[int] = (8, 16)) -> Any:
    """DDPMPipeline: pictures (B, 3, 16, 16), noise prediction, linear betas; its samples are not clipped."""
    from diffusers import DDPMPipeline, DDPMScheduler

    scheduler = DDPMScheduler(num_train_timesteps=1000, clip_sample=False)
    return DDPMPipeline(unconditional_unet(sample_size, block_out_channels), scheduler)


@seeded
def stable_diffusion(
    sample_size: int = 16, block_out_channels: Sequence[int] = (8, 16), layers_per_block: int = 1,
    attention_head_dim: int = 4, cross_attention_dim: int = 32, text_layers: int = 2,
    vae_channels: Sequence[int] = (8, 16), vae_layers: int = 1, latent_channels: int = 4,
    scaling_factor: float = 0.18215, prediction_type: str = "epsilon", words: Sequence[str] = WORDS,
    max_tokens: int = 24,
) -> Any:  # fmt: skip
    """StableDiffusionPipeline: latents (B, latent_channels, sample_size, sample_size), by DDIM on the published betas.

    Pictures are ``sample_size * 2 ** (len(vae_channels) - 1)`` wide, which must be a multiple of 8. ``words`` are one
    token each for its CLIP; ``cross_attention_dim`` is also the text encoder's width, a multiple of 4; channels too.
    """
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    side = sample_size * 2 ** (len(vae_channels) - 1)
    if side % 8:
        raise ValueError(f"pictures would be {side} wide, not a multiple of 8: change sample_size={sample_size}")
    tokenizer = clip_tokenizer(words, max_tokens)
    return StableDiffusionPipeline(
        vae=autoencoder(side, vae_channels, latent_channels, vae_layers, scaling_factor=scaling_factor),
        text_encoder=clip_encoder(tokenizer, cross_attention_dim, text_layers),
        tokenizer=tokenizer,
        unet=conditional_unet(sample_size, block_out_channels, cross_attention_dim, latent_channels, layers_per_block,
                              attention_head_dim=attention_head_dim),
        scheduler=DDIMScheduler(**SCALED, prediction_type=prediction_type),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


@seeded
def stable_diffusion_xl(sample_size: int = 16, block_out_channels: Sequence[int] = (8, 16)) -> Any:
    """StableDiffusionXLPipeline: two text encoders, six size numbers, EulerDiscreteScheduler."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    first, second = clip_tokenizer(), clip_tokenizer()
    unet = conditional_unet(
        sample_size, block_out_channels, 32 + 32, attention_head_dim=(2, 4), use_linear_projection=True,
        transformer_layers_per_block=(1, 2), addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=32 + 6 * 8,
    )  # fmt: skip
    betas = {name: SCALED[name] for name in ("beta_start", "beta_end", "beta_schedule", "num_train_timesteps")}
    return StableDiffusionXLPipeline(
        vae=autoencoder(2 * sample_size, scaling_factor=0.13025, force_upcast=False),
        text_encoder=clip_encoder(first), text_encoder_2=clip_encoder(second, projection=32),
        tokenizer=first, tokenizer_2=second, unet=unet,
        scheduler=EulerDiscreteScheduler(**betas, steps_offset=1, timestep_spacing="leading"),
    )  # fmt: skip


@seeded
def stable_diffusion_3(sample_size: int = 16) -> Any:
    """StableDiffusion3Pipeline: two CLIPs and T5, rectified flow with shift 3."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    first, second, third = clip_tokenizer(), clip_tokenizer(), t5_tokenizer()
    transformer = SD3Transformer2DModel(
        sample_size=sample_size, patch_size=2, in_channels=4, out_channels=4, num_layers=2, attention_head_dim=8,
        num_attention_heads=4, joint_attention_dim=32, caption_projection_dim=32, pooled_projection_dim=32,
        pos_embed_max_size=sample_size,
    )  # fmt: skip
    return StableDiffusion3Pipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=autoencoder(2 * sample_size, scaling_factor=1.5305, shift_factor=0.0609, use_quant_conv=False,
                        use_post_quant_conv=False),
        text_encoder=clip_encoder(first, 16, projection=16), tokenizer=first,
        text_encoder_2=clip_encoder(second, 16, projection=16), tokenizer_2=second,
        text_encoder_3=t5_encoder(third), tokenizer_3=third,
    )  # fmt: skip


@seeded
def flux() -> Any:
    """FluxPipeline with guidance as an input: CLIP and T5, rectified flow shifted by the number of tokens."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    first, second = clip_tokenizer(), t5_tokenizer()
    transformer = FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, pooled_projection_dim=32, guidance_embeds=True, axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15)
    return FluxPipeline(
        transformer=transformer, scheduler=scheduler,
        vae=autoencoder(32, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False,
                        use_post_quant_conv=False),
        text_encoder=clip_encoder(first), tokenizer=first, text_encoder_2=t5_encoder(second), tokenizer_2=second,
    )  # fmt: skip


@seeded
def wan() -> Any:
    """WanPipeline: video latents (B, 4, F, H, W), UMT5, UniPC on rectified flow with shift 3."""
    from diffusers import UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel

    tokenizer = t5_tokenizer()
    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4, text_dim=32,
        freq_dim=32, ffn_dim=48, num_layers=2, rope_max_seq_len=32,
    )  # fmt: skip
    scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    return WanPipeline(tokenizer, t5_encoder(tokenizer, kind="UMT5"), video_autoencoder(), scheduler, transformer)


SMALL: dict[str, Callable[..., Any]] = {
    "ddpm": unconditional, "sd": stable_diffusion, "sdxl": stable_diffusion_xl, "sd3": stable_diffusion_3,
    "flux": flux, "wan": wan,
}  # fmt: skip


def build(kind: str, seed: int = 0) -> Any:
    """The small pipeline of that kind, one of ``SMALL``, with weights drawn from ``seed``."""
    if kind not in SMALL:
        raise ValueError(unknown("pipeline", kind, SMALL))
    return SMALL[kind](seed)


def save(kind: str, folder: str | Path, seed: int = 0) -> Path:
    """Write ``build(kind, seed)`` as a folder that ``from_pretrained`` loads (safetensors alone); return the folder."""
    build(kind, seed).save_pretrained(folder, safe_serialization=True)
    return Path(folder)
