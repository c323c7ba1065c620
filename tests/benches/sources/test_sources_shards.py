"""WebDataset shards: any example by number, an index kept and checked, hostile members, torn tars."""

import io
import json
import os
import tarfile

import numpy as np
import pytest

from workbench.benches.sources import BadItem, Batches, ImageFolder, Shards, faults, load, shard_index


def add(tar, name, content, kind=tarfile.REGTYPE, link=""):
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = len(content), kind, link
    tar.addfile(member, io.BytesIO(content))


def shard(path, members, format=tarfile.PAX_FORMAT):
    with tarfile.open(path, "w", format=format) as tar:
        for name, content in members:
            add(tar, name, content)
    return path


@pytest.fixture
def folder(tmp_path, encoded):
    """Two shards of three and two examples: captions as .txt, as .json, and both, where .txt counts."""
    def caption(n):
        return [(f"{n:03d}.txt", f"prompt {n}\n".encode())] if n % 2 else [
            (f"{n:03d}.json", json.dumps({"caption": f"prompt {n}", "alt": "other", "width": 9}).encode())]

    place = tmp_path / "set"
    place.mkdir()
    both = [("004.png", encoded(4)), ("004.json", b'{"caption": "no"}'), ("004.cls", b"7"), ("004.txt", b"prompt 4")]
    shard(place / "s-000.tar", [m for n in (0, 1, 2) for m in [(f"{n:03d}.png", encoded(n)), *caption(n)]])
    shard(place / "s-001.tar", [m for m in [*caption(3), ("003.PNG", encoded(3)), *both]])
    return place


@pytest.mark.parametrize("form", ["folder", "pattern", "braces", "list"])
def test_examples_by_number(folder, colour, form):
    where = {"folder": folder, "pattern": f"{folder}/s-*.tar", "braces": f"{folder}/s-{{000..001}}.tar",
             "list": [folder / "s-000.tar", folder / "s-001.tar"]}[form]
    source = load(where, size=8) if form == "folder" else Shards(where, 8)
    assert isinstance(source, Shards) and len(source) == 5
    for index in (4, 0, 3, 1, 2):
        assert (colour(source.image(index)), source.prompt(index)) == (index, f"prompt {index}")
    assert not list(faults(source)) and list(source.prompts) == [f"prompt {n}" for n in range(5)]
    assert Shards(folder, 8, field="alt").prompt(2) == "other" and source[2].image.shape == (3, 8, 8)


def test_shards_and_a_folder_give_equal_items(tmp_path, folder, encoded):
    loose = tmp_path / "loose"
    loose.mkdir()
    for n in range(5):
        (loose / f"{n:03d}.png").write_bytes(encoded(n))
        (loose / f"{n:03d}.txt").write_text(f"prompt {n}")
    one, other = Batches(Shards(folder, 8), 3, 2), Batches(ImageFolder(loose, 8), 3, 2)
    for step in (9, 0, 4):
        a, b = one.at(step), other.at(step)
        assert a.x.equal(b.x) and a.y.equal(b.y)


def test_headers_are_read_once_and_again_when_a_shard_changes(folder, cache, encoded, monkeypatch):
    passes = []
    members = shard_index.members
    monkeypatch.setattr(shard_index, "members", lambda path: passes.append(path.name) or members(path))
    assert len(Shards(folder, 8)) == 5 and passes == ["s-000.tar", "s-001.tar"]
    source = Shards(folder, 8)
    assert len(source) == 5 and len(passes) == 2 and isinstance(source.rows[0], np.memmap)
    shard(folder / "s-001.tar", [("9.png", encoded(9)), ("9.txt", b"nine")])
    with pytest.raises(ValueError, match="s-001.tar has changed since it was indexed"):
        source.prompt(4)
    assert list(Shards(folder, 8).prompts)[3:] == ["nine"] and passes[2:] == ["s-001.tar"]
    for place in (cache / "shards").iterdir():
        raw = bytearray(place.read_bytes())
        raw[-9] ^= 1  # one flipped bit in the last row
        place.write_bytes(raw)
    assert list(Shards(folder, 8).prompts)[3:] == ["nine"] and len(passes) == 5
    for place in (cache / "shards").iterdir():
        place.write_bytes(b"torn")
    assert len(Shards(folder, 8)) == 4 and len(passes) == 7


def test_without_a_cache_folder_it_works_all_the_same(folder, cache, monkeypatch):
    (cache / "file").write_text("")
    monkeypatch.setenv("WORKBENCH_CACHE", str(cache / "file"))
    source = Shards(folder, 8)
    assert source.prompt(4) == "prompt 4" and len(source.fingerprint) == 64


def test_the_fingerprint_sees_one_byte_of_a_picture_or_a_prompt(folder, tmp_path):
    first = Shards(folder, 8).fingerprint
    assert Shards(folder, 8).fingerprint == first != Shards(folder, 16).fingerprint
    assert Shards(folder.rename(tmp_path / "moved"), 8).fingerprint == first
    file = tmp_path / "moved/s-000.tar"
    raw = file.read_bytes()
    for place in (raw.index(b"prompt 1"), raw.index(b"IEND") - 5):
        file.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        assert Shards(file.parent, 8).fingerprint != first
    file.write_bytes(raw)
    assert Shards(file.parent, 8).fingerprint == first
    assert Shards([file.parent / "s-001.tar", file], 8).fingerprint != first  # another order is another set


def test_nothing_is_extracted_whatever_a_member_is_called(tmp_path, encoded, colour):
    """Names are keys: paths upwards, absolute, links and devices write nothing and are followed nowhere."""
    place = tmp_path / "in" / "set"
    place.mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    names = ["../../evil", f"{tmp_path}/absolute", "new\nline", "q'uo\"te", "東京 é", "x" * 300, "a/b/deep", "no-slash"]
    with tarfile.open(place / "hostile.tar", "w") as tar:
        for number, name in enumerate(names):
            add(tar, f"{name}.png", encoded(number))
            add(tar, f"{name}.txt", f"prompt {number}".encode())
        add(tar, "linked.png", encoded(50))
        add(tar, "linked.txt", b"", tarfile.SYMTYPE, str(tmp_path / "secret.txt"))
        add(tar, "device.png", b"", tarfile.CHRTYPE)
        add(tar, "._fork.png", b"resource fork")
        add(tar, "folder.png", b"", tarfile.DIRTYPE)
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    source = Shards(place, 8)
    assert [colour(source.image(i)) for i in range(len(names))] == list(range(len(names)))
    assert list(source.prompts[: len(names)]) == [f"prompt {n}" for n in range(len(names))]
    assert len(source) == len(names) + 1
    with pytest.raises(BadItem, match="'linked.png' has no .txt and no .json"):
        source.prompt(len(names))
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_formats_of_tar(tmp_path, encoded, format):
    name = "a/" + "n" * (80 if format == tarfile.USTAR_FORMAT else 200)
    shard(tmp_path / "s.tar", [(f"{name}.png", encoded(1)), (f"{name}.txt", b"p"), ("b.png", encoded(2))], format)
    source = Shards(tmp_path, 8)
    assert source.prompt(0) == "p"
    with pytest.raises(BadItem, match="s.tar, example 'b.png' has no .txt"):
        source.prompt(1)


def test_faults_are_named(tmp_path, encoded):
    shard(tmp_path / "s.tar", [
        ("a.png", encoded(1)[:30]), ("a.txt", b"p"), ("b.txt", b"alone"), ("c.png", encoded(1)), ("c.txt", b"\xff"),
        ("d.png", encoded(1)), ("d.json", b'{"captoin": "p"}'), ("e.png", encoded(1)), ("e.txt", b" "),
        ("f.png", encoded(6)), ("f.txt", b"good"),
    ])  # fmt: skip
    found = [str(error) for _, error in faults(Shards(tmp_path, 8))]
    said = ["'a.png' is no picture", "'b.txt' has no picture", "'c.png': the caption is not UTF-8",
            "'d.png': its .json: unknown field 'caption'; did you mean 'captoin'", "'e.png': its caption is an empty"]
    assert len(found) == 5 and all(part in one and "s.tar" in one for part, one in zip(said, found, strict=True))
    data = Batches(Shards(tmp_path, 8), 0, 6, on_bad="skip")
    assert data.at(0).y.tolist() == [5] * 6 and len(data.skipped) == 5


def test_shards_that_are_none(tmp_path, folder, encoded):
    whole = (folder / "s-000.tar").read_bytes()
    for cut in (700, 5 * 512, len(whole) // 2):
        (tmp_path / "cut.tar").write_bytes(whole[: min(cut, len(whole.rstrip(bytes(1))))])
        with pytest.raises(ValueError, match="cut.tar is (no whole|cut off)"):
            Shards(tmp_path / "cut.tar", 8)
    second = whole.index(b"000.json", 600)
    (tmp_path / "cut.tar").write_bytes(whole[: second + 148] + b"########" + whole[second + 156 :])  # a broken header
    with pytest.raises(ValueError, match="cut.tar is cut off or damaged"):
        Shards(tmp_path / "cut.tar", 8)
    with tarfile.open(tmp_path / "packed.tar", "w:gz") as tar:
        add(tar, "a.png", encoded(1))
    with pytest.raises(ValueError, match="packed.tar is no whole, uncompressed tar"):
        Shards(tmp_path / "packed.tar", 8)
    shard(tmp_path / "empty.tar", [])
    with pytest.raises(ValueError, match="hold no examples"):
        Shards(tmp_path / "empty.tar", 8)
    with pytest.raises(ValueError, match="no shards at"):
        Shards(tmp_path / "*.tgz", 8)
    with pytest.raises(ValueError, match=r"no shard .*s-002.tar, which the pattern names"):
        Shards(f"{folder}/s-{{000..002}}.tar", 8)


def test_a_big_set_costs_its_index_alone(tmp_path, encoded):
    content = encoded(3)
    for number in range(4):
        shard(tmp_path / f"{number}.tar", [(f"{n:06d}.png", content) for n in range(500)])
    source = Shards(tmp_path, 8, captioned=False)
    assert len(source) == 2000 and sum(rows.nbytes for rows in source.rows) == 56 * 2000
    assert source.prompt(1999) == "" and source.found(1999)[0] == 3 and source.found(500)[0] == 1
    assert os.path.getsize(tmp_path / "0.tar") > 500 * 1024
