"""The nets of the bench ``shapes``, made or taken from the cache: judge, autoencoder, latents, pipeline, its folder."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from workbench.benches.shapes_captions import CAPTIONS, attributes
from workbench.benches.shapes_drawing import SIDE, Drawn
from workbench.benches.shapes_training import GROUPS, Autoencoding, Denoising, Painter, Reading, calm, plain, trained
from workbench.benches.training import Recipe
from workbench.nets.classifier import ConvClassifier
from workbench.randomness import Key
from workbench.teachers.from_diffusers.codec import Codec
from workbench.teachers.from_diffusers.small import stable_diffusion
from workbench.teachers.trained import alone, cache_folder, fingerprint, kept, write
from workbench.types import Labelled

WORDS = tuple(sorted({word for caption in CAPTIONS for word in caption.split()}))
TOKENS = 12  # of the longest caption ten, with its start and end


@dataclass(frozen=True)
class Sizes:
    """Channels of the U-Net and its attention heads, width of the text encoder, channels of the autoencoder, and the
    prediction that the U-Net is trained in, for how many steps of how many pictures; steps of the other two."""

    unet: tuple[int, ...] = (32, 64)
    heads: int = 4
    text: int = 64
    vae: tuple[int, ...] = (16, 32, 32)
    prediction_type: str = "v_prediction"
    steps: int = 3000
    batch_size: int = 64
    vae_steps: int = 1100
    judge_steps: int = 500


def fresh(sizes: Sizes) -> Any:
    """An untrained StableDiffusionPipeline for latents (B, 4, 8, 8) of pictures (B, 3, 32, 32)."""
    pipe = stable_diffusion(
        0, sample_size=8, block_out_channels=sizes.unet, attention_head_dim=sizes.heads,
        cross_attention_dim=sizes.text, vae_channels=sizes.vae, scaling_factor=1.0,
        prediction_type=sizes.prediction_type, words=WORDS, max_tokens=TOKENS,
    )  # fmt: skip
    pipe.register_modules(unet=lean(pipe.unet, sizes))
    return pipe


def lean(unet: Any, sizes: Sizes) -> Any:
    """A U-Net of the same class that attends to the text in its middle alone and reads it, pooled, with the time.

    A U-Net that attends at its outer width is slower, and told left from right, and kinds, much later.
    """
    deep = len(sizes.unet)
    changed = {
        "down_block_types": ("DownBlock2D",) * deep, "up_block_types": ("UpBlock2D",) * deep,
        "resnet_time_scale_shift": "scale_shift", "addition_embed_type": "text",
        "addition_embed_type_num_heads": sizes.heads,
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return type(unet).from_config({**unet.config, **changed}).requires_grad_(False).eval()


def judge(drawn: Drawn, sizes: Sizes) -> nn.Module:
    """The classifier of every attribute and of the ground, trained on these pictures."""
    def make() -> tuple[Tensor, Tensor]:
        seen = drawn.scenes
        return drawn.pictures.x, torch.cat([attributes()[seen.caption], seen.light.long()[:, None]], dim=1)

    net = ConvClassifier(shape=(3, SIDE, SIDE), num_classes=sum(GROUPS.values()), widths=(16, 32, 64, 128))
    settings = {**net.settings, **drawn.told}
    recipe = Recipe(Reading(), sizes.judge_steps, 64)
    return trained("shapes-judge", net, settings, recipe, (drawn.few,), make, Labelled)


def started(sizes: Sizes, drawn: Drawn) -> Any:
    """``fresh`` with its autoencoder trained on these pictures, so scaled that latents have unit standard deviation."""
    pipe = fresh(sizes)
    settings = {**plain(pipe.vae.config), **drawn.told}
    trained("shapes-vae", calm(pipe.vae), settings, Recipe(Autoencoding(), sizes.vae_steps, 8), (drawn.few,),
            lambda: (drawn.pictures.x, drawn.scenes.caption))  # fmt: skip
    std = float(unscaled(pipe.vae, drawn).double().std(correction=0))
    pipe.vae.register_to_config(scaling_factor=1 / std)
    return pipe


class Latents(nn.Module):
    """Latents (N, 4, 8, 8) as the autoencoder gives them, kept in the cache as if they were weights."""

    x: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("x", torch.zeros(count, 4, 8, 8))


def unscaled(vae: Any, drawn: Drawn) -> Tensor:
    """Means (N, 4, 8, 8) of the posteriors that an autoencoder gives these pictures."""
    def encode(table: Any) -> dict[str, Any]:
        codec = Codec(vae, 256)
        table.x.copy_(codec.encode(drawn.pictures.x) / codec.scales(table.x)[1])
        return {}

    made_of = fingerprint(drawn.told, drawn.few, *vae.state_dict().values())
    table = Latents(drawn.count)
    kept("shapes-latents", table, made_of, encode)
    return table.x


def painted(pipe: Any, sizes: Sizes, x: Tensor, y: Tensor) -> Any:
    """The pipeline with its U-Net and text encoder trained on latents x (N, 4, 8, 8), captions y (N,)."""
    said = pipe.tokenizer([*CAPTIONS, ""], padding="max_length", max_length=TOKENS, return_tensors="pt")
    net = Painter(pipe.unet, spoken(pipe.text_encoder), said.input_ids)
    form = {"epsilon": "eps", "v_prediction": "v"}[sizes.prediction_type]
    method = Denoising(tuple(pipe.scheduler.alphas_cumprod.tolist()), form)
    trained("shapes-teacher", net, net.settings, Recipe(method, sizes.steps, sizes.batch_size), (x, y),
            lambda: (x, y))  # fmt: skip
    return pipe


@torch.no_grad()
def spoken(text: Any) -> Any:
    """The fresh text encoder with its words further apart (0.5, not 0.02), so that captions tell earlier."""
    generator = Key(0).generator("words")
    text.get_input_embeddings().weight.normal_(0, 0.5, generator=generator)
    return text


def folder_of(pipe: Any) -> Path:
    """The pipeline saved as a plain folder in the cache, under the fingerprint of all its weights."""
    parts = {name: part for name, part in pipe.components.items() if isinstance(part, nn.Module)}
    weights = [weight for _, part in sorted(parts.items()) for weight in part.state_dict().values()]
    made_of = fingerprint({"scheduler": plain(pipe.scheduler.config), "vae": plain(pipe.vae.config)}, *weights)
    folder = cache_folder() / f"shapes-pipeline-{made_of[:16]}"
    with alone(folder):
        if not whole(folder):
            beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
            pipe.save_pretrained(beside, safe_serialization=True)
            write(beside / "sha256.json", json.dumps(sums(beside), indent=1).encode())
            shutil.rmtree(folder, ignore_errors=True)
            beside.rename(folder)
    return folder


def sums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a pipeline's folder by its path there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "sha256.json")
    return {path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


def whole(folder: Path) -> bool:
    """Whether the folder holds just what was written."""
    try:
        return json.loads((folder / "sha256.json").read_text()) == sums(folder)
    except (OSError, ValueError):
        return False
