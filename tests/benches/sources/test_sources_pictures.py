"""Decoding: values by hand, orientation, transparency, modes, and all that must be refused."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from workbench.benches.sources.pictures import picture
from workbench.benches.sources.source import BadItem


def raw(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_values_are_the_pixels():
    values = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    found = picture(raw(Image.fromarray(values)), 6, "x")
    assert found.dtype == torch.float32 and found.shape == (3, 6, 6)
    assert torch.allclose(found, torch.from_numpy(values).permute(2, 0, 1).float() / 127.5 - 1, atol=1e-6)


def test_the_shorter_side_is_fitted_and_the_longer_cut_on_both_ends():
    wide = np.zeros((4, 12, 3), np.uint8)
    wide[:, 4:8] = 200  # the middle third is what a square keeps
    assert torch.equal(picture(raw(Image.fromarray(wide)), 4, "x"), torch.full((3, 4, 4), 200 / 127.5 - 1))
    assert picture(raw(Image.fromarray(wide)), (4, 12), "x")[0, 0].tolist() == pytest.approx(
        [v / 127.5 - 1 for v in wide[0, :, 0]], abs=1e-6)
    assert picture(raw(Image.fromarray(wide)), (5, 9), "x").shape == (3, 5, 9)


def test_shrinking_is_antialiased():
    """A chessboard of single pixels shrinks to grey; taking every eighth pixel would give one of its colours."""
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    found = picture(raw(Image.fromarray(board)), 8, "x")
    assert float(found[:, 2:-2, 2:-2].abs().max()) < 0.02
    assert float(found.abs().max()) < 0.2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_respected(orientation):
    """EXIF's eight ways to lay the same upright picture, undone."""
    upright = np.arange(16, dtype=np.uint8).reshape(4, 4) * 16
    undo = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: np.transpose,
            6: lambda a: np.rot90(a, 1), 7: lambda a: np.rot90(a, 2).T, 8: lambda a: np.rot90(a, -1)}  # fmt: skip
    exif = Image.Exif()
    exif[274] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    found = picture(raw(stored, exif=exif), 4, "x")
    assert torch.equal(found[0], torch.from_numpy(upright).float() / 127.5 - 1)


def test_transparency_lies_on_white():
    half = Image.new("RGBA", (4, 4), (100, 0, 0, 128))
    assert picture(raw(half), 4, "x")[:, 0, 0].tolist() == pytest.approx(
        [(round(c * 128 / 255 + 127) - 127.5) / 127.5 for c in (100, 0, 0)], abs=0.01)
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([10, 20, 30] * 256)
    assert picture(raw(palette, transparency=0), 4, "x").unique().tolist() == [1.0]
    assert picture(raw(palette), 4, "x")[:, 0, 0].tolist() == pytest.approx([v / 127.5 - 1 for v in (10, 20, 30)])
    assert picture(raw(Image.new("LA", (4, 4), (0, 0))), 4, "x").unique().tolist() == [1.0]


@pytest.mark.parametrize(("image", "kind", "value"), [
    (Image.new("L", (4, 4), 51), "PNG", 51), (Image.new("1", (4, 4), 1), "PNG", 255),
    (Image.fromarray(np.full((4, 4), 51 * 257, np.uint16)), "PNG", 51),
    (Image.new("CMYK", (4, 4), (0, 0, 0, 204)), "TIFF", 51), (Image.new("L", (4, 4), 51), "GIF", 51),
    (Image.new("RGB", (4, 4), (51, 51, 51)), "BMP", 51),
    (Image.new("RGB", (4, 4), (51, 51, 51)), "WEBP", 51),
])
def test_modes_become_rgb(image, kind, value):
    options = {"lossless": True} if kind == "WEBP" else {}
    found = picture(raw(image, kind, **options), 4, "x")
    assert found.shape == (3, 4, 4) and torch.allclose(found, torch.full_like(found, value / 127.5 - 1), atol=0.01)


def test_a_cmyk_jpeg():
    found = picture(raw(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=95), 8, "x")
    assert found.mean((1, 2)).tolist() == pytest.approx([-1, 1, 1], abs=0.03)  # cyan


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_a_torn_picture_is_named(kind):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole = raw(noise, kind)
    assert picture(whole, 8, "x").shape == (3, 8, 8)
    with pytest.raises(BadItem, match="^cat.jpg is no picture that can be read"):
        picture(whole[: len(whole) // 2], 8, "cat.jpg")


@pytest.mark.parametrize("content", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg/>", bytes(1000)])
def test_what_is_no_picture(content):
    with pytest.raises(BadItem, match="^x.png is"):
        picture(content, 8, "x.png")


def test_grey_values_without_a_range():
    with pytest.raises(BadItem, match="mode 'F'.*8 bits a channel"):
        picture(raw(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"), 4, "x")


def test_a_decompression_bomb_is_refused_on_its_header():
    """30,000 x 30,000 pixels of nothing in a few kilobytes: 2.7 GB when unfolded."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    def bomb(side):
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")

    assert len(bomb(30_000)) < 5000
    with pytest.raises(BadItem, match="bomb.png.*DecompressionBombError"):
        picture(bomb(30_000), 8, "bomb.png")
    with pytest.warns(Image.DecompressionBombWarning), pytest.raises(BadItem, match="100,000,000 pixels, over the lim"):
        picture(bomb(10_000), 8, "bomb.png")  # pillow alone would only warn


@pytest.mark.parametrize("size", [0, -3, (4, 0)])
def test_a_size_that_is_none(size):
    from workbench.benches.sources.pictures import height_width
    with pytest.raises(ValueError, match="size must be positive"):
        height_width(size)
