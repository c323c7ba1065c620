"""Small pictures written by the tests, and a cache folder of their own."""

import io

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    place = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("WORKBENCH_CACHE", str(place))
    return place


@pytest.fixture(scope="session")
def encoded():
    """``encoded(number)``: a 12x10 picture of one colour by its number, as bytes of a PNG (or another format)."""

    def write(number: int, kind: str = "PNG", size: tuple[int, int] = (12, 10), **options) -> bytes:
        raw = io.BytesIO()
        Image.new("RGB", size, (number % 256, number // 256, 7)).save(raw, kind, **options)
        return raw.getvalue()

    return write


@pytest.fixture(scope="session")
def colour():
    """``colour(tensor)``: the number of a picture that ``encoded`` wrote."""

    def read(x) -> int:
        red, green, blue = np.round((x.flatten(1).numpy() + 1) * 127.5).astype(int).T[0]
        assert (x.flatten(1) == x.flatten(1)[:, :1]).all() and blue == 7
        return int(red + 256 * green)

    return read
