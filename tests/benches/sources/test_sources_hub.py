"""Data sets through the library ``datasets``: from folders and the cache, and never a silent download."""

import io
import json
import socket
import sys

import datasets
import numpy as np
import pytest
from huggingface_hub import constants
from PIL import Image

from workbench.benches.sources import BadItem, Batches, HubDataset, ImageFolder, faults, load


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A cache of its own for the library."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub")
    monkeypatch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", False)
    return tmp_path


@pytest.fixture
def reached(monkeypatch):
    """The addresses that anybody tried to reach."""
    tried = []

    def refuse(*address, **_):
        tried.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried


@pytest.fixture
def rows(encoded):
    return {"image": [Image.open(io.BytesIO(encoded(n))) for n in range(7)], "text": [f"prompt {n}" for n in range(7)]}


@pytest.fixture
def saved(place, rows):
    """A folder that ``save_to_disk`` wrote, pictures within."""
    datasets.Dataset.from_dict(rows).save_to_disk(place / "saved")
    return place / "saved"


def test_a_saved_data_set(saved, colour, reached):
    source = load(saved, size=8)
    assert isinstance(source, HubDataset) and len(source) == 7
    assert [colour(source[i].image) for i in range(7)] == list(range(7))
    assert list(source.prompts) == [f"prompt {n}" for n in range(7)] and not list(faults(source)) and not reached
    alone = load(saved, size=8, captioned=False)
    assert alone.prompts is None and alone[3].prompt == "" and alone.rows.column_names == ["image"]
    one, other = Batches(source, 0, 3), Batches(HubDataset(saved, 8), 0, 3)
    assert all(one.at(step).x.equal(other.at(step).x) for step in (5, 2))


def test_splits(place, rows):
    one = datasets.Dataset.from_dict(rows)
    datasets.DatasetDict({"train": one, "test": one.select([4])}).save_to_disk(place / "two")
    assert len(HubDataset(place / "two", 8)) == 7 and HubDataset(place / "two", 8, split="test").prompt(0) == "prompt 4"
    with pytest.raises(ValueError, match="unknown split 'tset'; did you mean 'test'"):
        HubDataset(place / "two", 8, split="tset")


def test_a_folder_of_pictures_is_read_by_the_library_as_by_us(place, encoded, colour, reached):
    folder = place / "pictures"
    folder.mkdir()
    for n in range(4):
        (folder / f"{n}.png").write_bytes(encoded(n))
    (folder / "metadata.jsonl").write_text("".join(json.dumps({"file_name": f"{n}.png", "text": f"p {n}"}) + "\n"
                                                   for n in range(4)))
    theirs, ours = HubDataset(folder, 8), ImageFolder(folder, 8)
    assert [(colour(i.image), i.prompt) for i in theirs] == [(colour(i.image), i.prompt) for i in ours]
    assert not reached
    before = theirs.fingerprint
    assert HubDataset(folder, 8).fingerprint == before
    (folder / "2.png").write_bytes(encoded(2, compress_level=1) + b"\0")
    assert HubDataset(folder, 8).fingerprint != before


def test_a_file_of_rows(place, reached):
    """Parquet without pictures: prompts alone."""
    folder = place / "rows"
    folder.mkdir()
    datasets.Dataset.from_dict({"caption": ["a", "b", " "], "n": [1, 2, 3]}).to_parquet(folder / "train.parquet")
    source = HubDataset(folder, field="caption", image_field=None)
    assert source[1] == (None, "b") and not reached
    with pytest.raises(BadItem, match="row 2 is an empty prompt"):
        source.prompt(2)
    with pytest.raises(BadItem, match="holds int, not a text"):
        HubDataset(folder, field="n", image_field=None).prompt(0)
    with pytest.raises(ValueError, match="unknown field 'captoin'; did you mean 'caption'"):
        HubDataset(folder, field="captoin", image_field=None)
    assert Batches(source, 0, 2, shape=(4,), on_bad="skip").at(0).y.shape == (2,)
    with pytest.raises(BadItem, match="row 0 holds no picture in 'n'"):
        HubDataset(folder, 8, field="caption", image_field="n").image(0)


def test_a_torn_picture_is_named(place, encoded):
    cells = [{"bytes": encoded(1), "path": None}, {"bytes": encoded(1)[:40], "path": None}, None]
    features = datasets.Features({"image": datasets.Image(decode=False), "text": datasets.Value("string")})
    datasets.Dataset.from_dict({"image": cells, "text": list("abc")}, features=features).save_to_disk(place / "torn")
    found = [str(error) for _, error in faults(HubDataset(place / "torn", 8))]
    assert len(found) == 2 and "row 1 is no picture" in found[0] and "row 2 holds no picture" in found[1]


def test_the_fingerprint_sees_one_byte_and_not_the_place(place, rows, saved):
    first = HubDataset(saved, 8).fingerprint
    assert HubDataset(saved, 8).fingerprint == first != HubDataset(saved, 9).fingerprint
    moved = saved.rename(place / "moved")
    assert HubDataset(moved, 8).fingerprint == first
    (arrow,) = moved.glob("*.arrow")
    raw = arrow.read_bytes()
    at = raw.index(b"prompt 3") + 7
    arrow.write_bytes(raw[:at] + b"9" + raw[at + 1 :])
    changed = HubDataset(moved, 8)
    assert changed.prompt(3) == "prompt 9" and changed.fingerprint != first


def test_nothing_is_fetched_unless_asked(place, reached, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the library's attempts
    with pytest.raises(ValueError, match="no data set 'some/pictures' on this machine.*download=True"):
        load("some/pictures", size=8)
    assert reached == [] and constants.HF_HUB_OFFLINE is datasets.config.HF_HUB_OFFLINE is False
    with pytest.raises(ValueError, match="some/pictures could not be loaded: check its name"):
        HubDataset("some/pictures", 8, download=True)
    assert reached  # the negative control: asked to, it does try


def test_a_folder_that_points_elsewhere_fetches_nothing(place, reached):
    """A card may name files on other machines; offline they are not fetched."""
    folder = place / "card"
    folder.mkdir()
    (folder / "README.md").write_text("---\nconfigs:\n- config_name: default\n  data_files: "
                                      "hf://datasets/some/other/data.parquet\n---\n")
    with pytest.raises(ValueError, match="card is no folder that datasets reads"):
        HubDataset(folder, 8)
    assert reached == []


def test_code_that_comes_with_a_data_set_is_not_run(place, monkeypatch):
    folder = place / "script"
    folder.mkdir()
    (folder / "script.py").write_text("import datasets\nopen(__file__ + '.ran', 'w')\n")
    with pytest.raises(ValueError, match="script is no folder that datasets reads"):
        HubDataset(folder, 8)
    assert not list(folder.glob("*.ran"))
    monkeypatch.setattr(datasets, "__version__", "3.6.0")
    with pytest.raises(ValueError, match="datasets 3.6.0 may run code"):
        HubDataset(folder, 8)


def test_without_the_library(saved, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"pip install 'distillation-workbench\[hub\]'"):
        HubDataset(saved, 8)


@pytest.mark.parametrize(("fields", "said"), [
    ({}, "pictures need size="), (dict(size=8, image_field=None), "prompts alone"), (dict(size=0), "must be positive"),
    (dict(captioned=False, image_field=None), "leave nothing of a row"),
])
def test_settings_that_do_not_fit(saved, fields, said):
    with pytest.raises(ValueError, match=said):
        HubDataset(saved, **fields)


def test_arrow_files_are_mapped_and_not_loaded(place):
    noise = np.random.default_rng(0).integers(0, 256, (40, 100_000), dtype=np.uint8)
    features = datasets.Features({"image": datasets.Value("binary"), "text": datasets.Value("string")})
    cells = {"image": [row.tobytes() for row in noise], "text": ["p"] * 40}
    datasets.Dataset.from_dict(cells, features=features).save_to_disk(place / "big")
    source = HubDataset(place / "big", 8)
    import pyarrow
    assert pyarrow.total_allocated_bytes() < 1_000_000 and source.prompt(39) == "p"


def test_a_data_set_in_the_cache_is_found_by_its_name(place, encoded, colour, reached):
    """Laid out as the library keeps what it once fetched: <owner>___<name>/<subset>/<version>/<hash>."""
    folder = place / "pictures"
    folder.mkdir()
    rows = {"image": [{"bytes": encoded(n), "path": None} for n in range(3)], "text": ["a", "b", "c"]}
    features = datasets.Features({"image": datasets.Image(), "text": datasets.Value("string")})
    datasets.Dataset.from_dict(rows, features=features).to_parquet(folder / "train.parquet")
    kept = HubDataset(folder, 8)
    ((made,),) = [(place / "hub").glob("*/*")]
    (place / "hub" / "some___pictures").mkdir()
    made.rename(place / "hub" / "some___pictures" / "default")
    source = load("some/pictures", size=8)
    assert isinstance(source, HubDataset) and list(source.prompts) == ["a", "b", "c"] and colour(source[2].image) == 2
    assert reached == [] and len(kept) == len(source)
