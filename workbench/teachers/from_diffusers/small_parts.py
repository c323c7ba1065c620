"""Parts of the small pipelines: text encoders, autoencoders, U-Nets, and the betas of the published ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SCALED = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000,
          "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}  # fmt: skip
GROUPS = 4  # of group norms: channels are multiples of it


def clip_encoder(tokenizer: Any, width: int = 32, layers: int = 2, projection: int | None = None) -> Any:
    """CLIPTextModel of this width (B, T) -> (B, T, width); with ``projection`` the one that also projects to (B, P)."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(tokenizer), max_position_embeddings=tokenizer.model_max_length, num_hidden_layers=layers,
        hidden_size=width, intermediate_size=2 * width, num_attention_heads=4, projection_dim=projection or width,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return CLIPTextModelWithProjection(config) if projection else CLIPTextModel(config)


def t5_encoder(tokenizer: Any, width: int = 32, kind: str = "T5") -> Any:
    """T5EncoderModel or (kind "UMT5") UMT5EncoderModel of this width: (B, T) -> (B, T, width)."""
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer), d_model=width, d_kv=8, d_ff=2 * width, num_layers=2, num_heads=4,
        relative_attention_num_buckets=8, relative_attention_max_distance=32, feed_forward_proj="gated-gelu",
        pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
    )  # fmt: skip
    return getattr(transformers, f"{kind}EncoderModel")(config)


def autoencoder(
    sample_size: int, channels: Sequence[int] = (8, 16), latent_channels: int = 4, layers: int = 1, **config: Any
) -> Any:
    """AutoencoderKL that shrinks pictures by two for every width after the first; ``config`` holds scale and shift."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=tuple(channels), layers_per_block=layers, latent_channels=latent_channels,
        down_block_types=("DownEncoderBlock2D",) * len(channels), up_block_types=("UpDecoderBlock2D",) * len(channels),
        norm_num_groups=GROUPS, sample_size=sample_size, **config,
    )  # fmt: skip


def conditional_unet(
    sample_size: int, channels: Sequence[int], cross_attention_dim: int, latent_channels: int = 4, layers: int = 1,
    **config: Any,
) -> Any:  # fmt: skip
    """UNet2DConditionModel that attends to the text at all widths but the last, as in Stable Diffusion."""
    from diffusers import UNet2DConditionModel

    deep = len(channels) - 1
    return UNet2DConditionModel(
        sample_size=sample_size, in_channels=latent_channels, out_channels=latent_channels, layers_per_block=layers,
        block_out_channels=tuple(channels), cross_attention_dim=cross_attention_dim, norm_num_groups=GROUPS,
        down_block_types=("CrossAttnDownBlock2D",) * deep + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * deep,
        **{"attention_head_dim": 4, **config},
    )  # fmt: skip


def unconditional_unet(sample_size: int, channels: Sequence[int], in_channels: int = 3) -> Any:
    """UNet2DModel with attention at its last width, as in DDPM."""
    from diffusers import UNet2DModel

    deep = len(channels) - 1
    return UNet2DModel(
        sample_size=sample_size, in_channels=in_channels, out_channels=in_channels, layers_per_block=1,
        block_out_channels=tuple(channels), norm_num_groups=GROUPS, attention_head_dim=4,
        down_block_types=("DownBlock2D",) * deep + ("AttnDownBlock2D",),
        up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * deep,
    )  # fmt: skip


def video_autoencoder(latent_channels: int = 4) -> Any:
    """AutoencoderKLWan: pictures shrink by four, time by two (the first frame stands alone)."""
    from diffusers import AutoencoderKLWan

    mean = [0.1 * index for index in range(latent_channels)]
    return AutoencoderKLWan(
        base_dim=4, z_dim=latent_channels, dim_mult=[1, 2, 2], num_res_blocks=1, temperal_downsample=[False, True],
        latents_mean=mean, latents_std=[1.0 + shift for shift in mean], scale_factor_temporal=2, scale_factor_spatial=4,
    )  # fmt: skip
