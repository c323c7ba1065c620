"""Pictures from a folder: captions beside them or in metadata, hostile names, fingerprints, and 10,000 files."""

import json
import os
import sys
import time

import pytest

from workbench.benches.sources import BadItem, ImageFolder, faults, load
from workbench.benches.sources import digests as memory

NAMES = ["b.png", "a b.png", "sub/é 東京.png", "sub/deep/q'uo\"te.PNG", "two.dots.png", "z;rm -rf $HOME.png"]
if os.name == "posix":
    NAMES += ["new\nline.png", "back\\slash.png", os.fsdecode(b"not-utf8-\xff.png")]


@pytest.fixture
def folder(tmp_path, encoded):
    """Pictures numbered as in NAMES, captioned beside."""
    place = tmp_path / "set"
    for number, name in enumerate(NAMES):
        file = place / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded(number))
        file.with_suffix(".txt").write_text(f"caption {number}\n", encoding="utf-8")
    return place


def test_pictures_and_captions_by_name(folder, colour):
    source = load(folder, size=8)
    assert isinstance(source, ImageFolder) and sorted(source.names) == sorted(NAMES)
    assert source.names == sorted(NAMES, key=os.fsencode)
    for index, name in enumerate(source.names):
        assert source[index].image.shape == (3, 8, 8)
        number = NAMES.index(name)
        assert (colour(source[index].image), source.prompt(index)) == (number, f"caption {number}")
    assert not list(faults(source))


def test_metadata_in_the_hubs_convention(folder, colour):
    lines = [{"file_name": name, "text": f"told {n}\nin two lines"} for n, name in enumerate(NAMES)]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in reversed(lines[1:])))
    source = ImageFolder(folder, 8)
    index = source.names.index("sub/é 東京.png")
    assert source.prompt(index) == "told 2\nin two lines" and colour(source.image(index)) == 2
    with pytest.raises(BadItem, match="b.png has no line in metadata.jsonl"):
        source.prompt(source.names.index("b.png"))
    with pytest.raises(BadItem, match=r"a b.png \(metadata.jsonl, record \d\): unknown field .txt.; did you mean .te"):
        ImageFolder(folder, 8, field="txt").prompt(source.names.index("a b.png"))


@pytest.mark.parametrize(("lines", "said"), [
    (['{"file_name": "a  b.png", "text": "x"}'], "unknown picture 'a  b.png'; did you mean 'a b.png'"),
    (['{"file_name": "../outside.png", "text": "x"}'], "unknown picture '../outside.png'"),
    (['{"file_name": "/etc/passwd", "text": "x"}'], "unknown picture '/etc/passwd'"),
    (['{"file_name": "b.png"}'] * 2, "record 2: a second caption for b.png, after record 1"),
    (['{"text": "x"}'], "record 1: unknown field 'file_name'"),
])
def test_metadata_that_do_not_fit(folder, encoded, lines, said):
    (folder.parent / "outside.png").write_bytes(encoded(99))
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    with pytest.raises(ValueError) as error:
        ImageFolder(folder, 8)
    assert said in str(error.value)


def test_pictures_alone(folder):
    (folder / "b.txt").unlink()
    source = ImageFolder(folder, 8, captioned=False)
    assert source.prompts is None and source.prompt(0) == "" and len(source) == len(NAMES) and not list(faults(source))


def test_faults_are_named(folder, encoded):
    (folder / "b.txt").unlink()
    (folder / "a b.txt").write_text(" \n")
    (folder / "two.dots.txt").write_bytes(b"\xff\xfe\x00")
    (folder / "sub/é 東京.png").write_bytes(encoded(1)[:40])
    found = {ImageFolder(folder, 8).names[index]: str(error) for index, error in faults(ImageFolder(folder, 8))}
    assert set(found) == {"b.png", "a b.png", "two.dots.png", "sub/é 東京.png"}
    assert "b.png has no caption: write b.txt" in found["b.png"] and "a b.txt is an empty prompt" in found["a b.png"]
    assert "not UTF-8" in found["two.dots.png"] and "é 東京.png is no picture" in found["sub/é 東京.png"]


def test_a_picture_that_has_gone_is_no_bad_item(folder):
    """What a disk does is not the data's fault, and is never passed over."""
    source = ImageFolder(folder, 8)
    (folder / source.names[0]).unlink()
    with pytest.raises(FileNotFoundError):
        source[0]


def test_folders_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="no folder"):
        ImageFolder(tmp_path / "absent", 8)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match="holds no pictures: they end in .jpg"):
        ImageFolder(tmp_path, 8)
    with pytest.raises(ValueError, match="did you mean .*notes.txt"):
        load(tmp_path / "note")
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "metadata.csv").write_text("file_name,text\n")
    with pytest.raises(ValueError, match="has metadata, but not as metadata.jsonl"):
        ImageFolder(tmp_path, 8)


def test_hidden_files_are_left_out(folder, encoded):
    (folder / "._b.png").write_bytes(b"resource fork")
    (folder / ".thumbs").mkdir()
    (folder / ".thumbs/x.png").write_bytes(encoded(1))
    assert len(ImageFolder(folder, 8)) == len(NAMES)


def test_the_fingerprint_sees_one_byte_and_not_the_place(folder, tmp_path):
    first = ImageFolder(folder, 8).fingerprint
    assert ImageFolder(folder, 8).fingerprint == first != ImageFolder(folder, 9).fingerprint
    moved = folder.rename(tmp_path / "moved")
    assert ImageFolder(moved, 8).fingerprint == first
    for name in ("b.png", "a b.txt"):
        raw = bytearray((moved / name).read_bytes())
        times = os.stat(moved / name).st_atime_ns, os.stat(moved / name).st_mtime_ns
        raw[-1] ^= 1
        (moved / name).write_bytes(raw)
        os.utime(moved / name, ns=times)  # forged: as large and as old as before
        assert ImageFolder(moved, 8).fingerprint != first
        raw[-1] ^= 1
        (moved / name).write_bytes(raw)
        assert ImageFolder(moved, 8).fingerprint == first
    (moved / "b.png").rename(moved / "bb.png")
    assert ImageFolder(moved, 8).fingerprint != first


def test_digests_are_remembered_and_a_lost_memory_costs_only_time(folder, cache, monkeypatch):
    monkeypatch.setattr(memory, "SETTLED", -(10**12))
    read = []
    digest_of = memory.digest_of
    monkeypatch.setattr(memory, "digest_of", lambda path: read.append(path.name) or digest_of(path))
    first = ImageFolder(folder, 8).fingerprint
    assert len(read) == 2 * len(NAMES)
    assert ImageFolder(folder, 8).fingerprint == first and len(read) == 2 * len(NAMES)
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes())
    assert ImageFolder(folder, 8).fingerprint == first and read[2 * len(NAMES) :] == ["b.png"]
    (place,) = (cache / "digests").iterdir()
    place.write_text("{torn")
    assert ImageFolder(folder, 8).fingerprint == first and len(read) == 4 * len(NAMES) + 1


def test_files_changed_just_now_are_not_remembered(folder, cache):
    """A clock of coarse ticks could hide a second change within the same tick."""
    assert ImageFolder(folder, 8).fingerprint
    (place,) = (cache / "digests").iterdir()
    assert json.loads(place.read_text()) == {}


def test_without_contents_nothing_is_read(folder, monkeypatch):
    monkeypatch.setattr(memory, "digest_of", None)
    first = ImageFolder(folder, 8, hash_content=False).fingerprint
    os.utime(folder / "b.png", ns=(1, 1))
    assert ImageFolder(folder, 8, hash_content=False).fingerprint != first


def test_ten_thousand_files(tmp_path, encoded, monkeypatch):
    """Times are told, not asserted: listing, the first fingerprint, the next one, one item."""
    monkeypatch.setattr(memory, "SETTLED", -(10**12))
    content = encoded(5)
    for number in range(10_000):
        (tmp_path / f"{number:05d}.png").write_bytes(content)
    took, source = timed(lambda: ImageFolder(tmp_path, 8, captioned=False))
    first, _ = timed(lambda: source.fingerprint)
    again, same = timed(lambda: ImageFolder(tmp_path, 8, captioned=False).fingerprint == source.fingerprint)
    item, _ = timed(lambda: source[9_999])
    assert len(source) == 10_000 and source.names[1234] == "01234.png" and same
    print(f"10,000 files: listed in {took:.3f} s, fingerprint {first:.2f} s, then {again:.3f} s, "
          f"item {1e3 * item:.2f} ms", file=sys.stderr)  # fmt: skip


def timed(work):
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result
