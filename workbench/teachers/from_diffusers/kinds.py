"""One row a pipeline class: how its network is called, what it is conditioned on, and where its parts lie.

Rows of a condition are what one prompt turns into, a tensor each, without the batch dimension. A new class is a row
here and a small pipeline in ``small.py``: the tests find it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Rows = dict[str, Tensor]


def plain(model: Any, x: Tensor, timestep: Tensor, rows: Rows, guidance: Tensor | None) -> Tensor:
    """Networks that take the rows by their own names."""
    return model(x, timestep, **rows, return_dict=False)[0]


def sdxl(model: Any, x: Tensor, timestep: Tensor, rows: Rows, guidance: Tensor | None) -> Tensor:
    added = {name: rows[name] for name in ("text_embeds", "time_ids")}
    return model(x, timestep, rows["encoder_hidden_states"], added_cond_kwargs=added, return_dict=False)[0]


def transformer(model: Any, x: Tensor, timestep: Tensor, rows: Rows, guidance: Tensor | None) -> Tensor:
    return model(hidden_states=x, timestep=timestep, **rows, return_dict=False)[0]


def flux(model: Any, x: Tensor, timestep: Tensor, rows: Rows, guidance: Tensor | None) -> Tensor:
    """Pictures (B, C, H, W) packed into 2x2 tokens and back, positions made on the spot."""
    b, c, h, w = x.shape
    tokens = x.reshape(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(b, h // 2 * (w // 2), 4 * c)
    rows_at, columns_at = torch.arange(h // 2, device=x.device), torch.arange(w // 2, device=x.device)
    ids = torch.stack(torch.meshgrid(rows_at, columns_at, indexing="ij"), -1).reshape(-1, 2)
    ids = torch.cat([torch.zeros_like(ids[:, :1]), ids], 1).to(x.dtype)
    text = torch.zeros(rows["encoder_hidden_states"].shape[1], 3, device=x.device, dtype=x.dtype)
    out = model(hidden_states=tokens, timestep=timestep / 1000, guidance=guidance, img_ids=ids, txt_ids=text, **rows,
                return_dict=False)[0]
    return out.reshape(b, h // 2, w // 2, c, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(b, c, h, w)


Encoded = tuple[Rows, Rows]  # of the prompts, each (P, ...); of the empty prompt, each (1, ...)


def nothing(pipe: Any, prompts: Sequence[str], size: tuple[int, int]) -> Encoded:
    return {}, {}


def text_alone(pipe: Any, prompts: Sequence[str], size: tuple[int, int]) -> Encoded:
    """Stable Diffusion 1 and 2."""
    asked, empty = pipe.encode_prompt(list(prompts), pipe.device, 1, True)
    return {"encoder_hidden_states": asked}, {"encoder_hidden_states": empty[:1]}


def text_of_wan(pipe: Any, prompts: Sequence[str], size: tuple[int, int]) -> Encoded:
    asked, empty = pipe.encode_prompt(list(prompts), max_sequence_length=512, device=pipe.device)  # as its call does
    return {"encoder_hidden_states": asked}, {"encoder_hidden_states": empty[:1]}


def text_and_size(pipe: Any, prompts: Sequence[str], size: tuple[int, int]) -> Encoded:
    """SDXL: two encoders, a pooled text, and the size ids of an uncropped picture."""
    asked, empty, pooled, empty_pooled = pipe.encode_prompt(list(prompts), device=pipe.device)
    width = pipe.text_encoder_2.config.projection_dim
    ids = pipe._get_add_time_ids(size, (0, 0), size, dtype=asked.dtype, text_encoder_projection_dim=width).to(asked)
    return ({"encoder_hidden_states": asked, "text_embeds": pooled, "time_ids": ids.repeat(len(asked), 1)},
            {"encoder_hidden_states": empty[:1], "text_embeds": empty_pooled[:1], "time_ids": ids})


def text_and_pooled(pipe: Any, prompts: Sequence[str], size: tuple[int, int]) -> Encoded:
    """Stable Diffusion 3."""
    words = list(prompts)
    asked, empty, pooled, empty_pooled = pipe.encode_prompt(words, words, words, device=pipe.device)
    return ({"encoder_hidden_states": asked, "pooled_projections": pooled},
            {"encoder_hidden_states": empty[:1], "pooled_projections": empty_pooled[:1]})


def text_of_flux(pipe: Any, prompts: Sequence[str], size: tuple[int, int]) -> Encoded:
    words = [*prompts, ""]
    asked, pooled, _ = pipe.encode_prompt(words, words, device=pipe.device)
    rows = {"encoder_hidden_states": asked, "pooled_projections": pooled}
    return {name: row[:-1] for name, row in rows.items()}, {name: row[-1:] for name, row in rows.items()}


@dataclass(frozen=True)
class Kind:
    """How to speak to one pipeline class.

    ``network``: the component that denoises. ``encode(pipe, prompts, (height, width))`` -> rows of the prompts and of
    the empty one. ``call(model, x, timestep, rows, guidance)`` -> the network's output. ``time``: the module whose
    output is the time embedding (B, D), where a second time or guidance is added. ``bottleneck``: the module in the
    middle, for judges. ``multiple``: latent height and width must be multiples of it.
    """

    network: str
    encode: Callable[[Any, Sequence[str], tuple[int, int]], Encoded]
    call: Callable[[Any, Tensor, Tensor, Rows, Tensor | None], Tensor]
    time: str
    bottleneck: str
    multiple: int = 1
    even_sigmas: bool = False  # the pipeline tells its scheduler sigmas 1 ... 1/N
    video: bool = False


UNET = {"time": "time_embedding", "bottleneck": "mid_block"}
KINDS = {
    "DDPMPipeline": Kind("unet", nothing, plain, **UNET),
    "DDIMPipeline": Kind("unet", nothing, plain, **UNET),
    "StableDiffusionPipeline": Kind("unet", text_alone, plain, **UNET),
    "StableDiffusionXLPipeline": Kind("unet", text_and_size, sdxl, **UNET),
    "StableDiffusion3Pipeline": Kind("transformer", text_and_pooled, transformer, "time_text_embed",
                                     "transformer_blocks", 2),
    "FluxPipeline": Kind("transformer", text_of_flux, flux, "time_text_embed", "transformer_blocks", 2,
                         even_sigmas=True),
    "WanPipeline": Kind("transformer", text_of_wan, transformer, "condition_embedder.time_embedder", "blocks", 2,
                        video=True),
}
