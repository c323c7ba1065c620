"""Pictures from bytes: decoded with pillow, turned upright, on white, cut to size; what cannot be is said by name."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from workbench.benches.sources.source import BadItem

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")  # pillow tries no other: some start outside programs
VERSION = 1  # of what this file computes: raise it when equal bytes would give other numbers

Size = int | tuple[int, int]


def height_width(size: Size) -> tuple[int, int]:
    """(H, W) of a size given as one side of a square or as both; ValueError when it is not positive."""
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise ValueError(f"size must be positive, one side or (height, width), got {size!r}")
    return height, width


def picture(raw: bytes, size: Size, where: str) -> Tensor:
    """(3, H, W) float32 in [-1, 1] of an encoded picture; the first frame of a moving one.

    Upright by its EXIF orientation; transparency on white; CMYK, grey and palettes as RGB, 16-bit grey rounded
    to 8 (colour profiles are not applied). The largest centred part of the asked shape, resized with Lanczos,
    antialiased (diffusers' ``VaeImageProcessor`` has the same filter); smaller pictures are enlarged. BadItem, naming
    ``where``, for what pillow cannot read, and for more pixels than ``PIL.Image.MAX_IMAGE_PIXELS`` (89 million): a
    small file may unfold to fill the memory, and it is refused on its header.
    """
    if not raw:
        raise BadItem(f"{where} is an empty file: remove it, or pass over such items with on_bad='skip'")
    try:
        with Image.open(io.BytesIO(raw), formats=FORMATS) as image:
            most, pixels = Image.MAX_IMAGE_PIXELS, image.width * image.height
            if most is not None and pixels > most:
                raise BadItem(f"{where} has {pixels:,} pixels, over the limit of {most:,} (PIL.Image.MAX_IMAGE_PIXELS):"
                              " make it smaller")
            deep = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
            upright = ImageOps.exif_transpose(image)
            cut = fitted(eight_bits(upright) if deep else flat(upright, where), height_width(size))
    except (BadItem, MemoryError):
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error and others
        raise BadItem(f"{where} is no picture that can be read ({type(error).__name__}: {error}): replace it, "
                      f"or pass over such items with on_bad='skip'") from error
    pixels = torch.from_numpy(np.array(cut)).permute(2, 0, 1)
    return pixels.float().div_(127.5).sub_(1)


def eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey in RGB, 65,535 as white."""
    return Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8)).convert("RGB")


def flat(image: Image.Image, where: str) -> Image.Image:
    """The picture in RGB, on white where it is transparent; BadItem for grey values without a known range."""
    if image.mode in ("I", "F"):
        raise BadItem(f"{where} has mode {image.mode!r}, grey values of unknown range: save it with 8 bits a channel")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def fitted(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The largest centred part of the shape of ``size`` (H, W), resized to it."""
    height, width = size
    scale = min(image.width / width, image.height / height)
    left, top = (image.width - scale * width) / 2, (image.height - scale * height) / 2
    box = (left, top, left + scale * width, top + scale * height)
    return image.resize((width, height), Image.Resampling.LANCZOS, box=box)
