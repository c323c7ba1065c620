"""Prompts from files: what is read, what is refused by name, and what the fingerprint sees."""

import csv
import json

import pytest

from workbench.benches.sources import BadItem, Prompts, faults, load

HOSTILE = [
    "a cat", 'he said "no", twice', "naïve 東京 🐈‍⬛ \u2028 line \u0085 separators", "<script>alert(1)</script>",
    "; rm -rf / #", "tab\there", "x" * 200_000, "ends in a backslash\\", "back\rslash r", "\u202egnirts desrever",
]  # fmt: skip


def written(folder, kind, prompts):
    path = folder / f"prompts{kind}"
    if kind == ".txt":
        path.write_bytes("\n".join(prompts).encode())
    elif kind == ".jsonl":
        path.write_text("".join(json.dumps({"n": n, "prompt": one}) + "\n" for n, one in enumerate(prompts)))
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["n", "prompt"])
            rows.writerows(enumerate(prompts))
    return path


@pytest.mark.parametrize("kind", [".txt", ".jsonl", ".csv"])
def test_hostile_prompts_come_back_as_they_were(tmp_path, kind):
    inner = [] if kind == ".txt" else ["two\nlines", "\n\n,,\"\n"]
    expected = [one.strip() for one in HOSTILE + inner]
    source = load(written(tmp_path, kind, HOSTILE + inner))
    assert isinstance(source, Prompts) and len(source) == len(expected)
    assert list(source.prompts) == expected
    assert source.prompts[-1] == expected[-1] and source.prompts[2:4] == expected[2:4]
    assert source[0] == (None, "a cat") and not list(faults(source))
    with pytest.raises(IndexError):
        source[len(source)]
    with pytest.raises(IndexError):
        source.prompts[-len(source) - 1]


@pytest.mark.parametrize("kind", [".txt", ".jsonl", ".csv"])
def test_a_byte_order_mark_and_windows_newlines(tmp_path, kind):
    path = written(tmp_path, kind, ["a", "b"])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    assert list(Prompts(path).prompts) == ["a", "b"]


@pytest.mark.parametrize("kind", [".txt", ".jsonl", ".csv"])
def test_an_empty_prompt_is_named(tmp_path, kind):
    source = Prompts(written(tmp_path, kind, ["a", "  ", "c"]))
    assert len(source) == 3 and source.prompt(2) == "c"
    with pytest.raises(BadItem, match=rf"prompts\{kind}, record {3 if kind == '.csv' else 2} is an empty prompt"):
        source[1]
    assert [index for index, _ in faults(source)] == [1]


@pytest.mark.parametrize(("line", "said"), [
    ('{"promt": "a"}', "unknown field 'prompt'; did you mean 'promt'"), ('{"prompt": 3}', "holds int, not a text"),
    ('{"prompt": "a"', "is no JSON"), ('"a"', "is no JSON object"), ('{"prompt": "\\ud800"}', "surrogate"),
    ("[" * 100_000, "is no JSON"),
])
def test_a_line_that_is_no_prompt(tmp_path, line, said):
    (tmp_path / "p.jsonl").write_text(f'{{"prompt": "good"}}\n{line}\n')
    source = Prompts(tmp_path / "p.jsonl")
    assert source.prompt(0) == "good"
    with pytest.raises(BadItem, match=said) as error:
        source.prompt(1)
    assert "p.jsonl, record 2" in str(error.value)


def test_what_is_no_utf8(tmp_path):
    (tmp_path / "p.txt").write_bytes("é\n".encode() + "é\n".encode("latin-1"))
    source = Prompts(tmp_path / "p.txt")
    assert source.prompt(0) == "é"
    with pytest.raises(BadItem, match="record 2 is not UTF-8"):
        source.prompt(1)
    (tmp_path / "p.csv").write_bytes(b"prompt\n\xe9\n")
    with pytest.raises(ValueError, match="line 2 is not UTF-8"):
        Prompts(tmp_path / "p.csv")


def test_what_is_no_csv(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text('prompt,n\n"never closed,1\nb,2\n')
    with pytest.raises(ValueError, match="record 2 is no CSV"):
        Prompts(path)
    path.write_text("n,prompt\n1,a\n2\n")
    with pytest.raises(BadItem, match="record 3 has 1 fields"):
        Prompts(path).prompt(1)
    with pytest.raises(ValueError, match="unknown column 'promt'; did you mean 'prompt'"):
        Prompts(path, field="promt")


def test_files_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="no file .*absent.txt"):
        Prompts(tmp_path / "absent.txt")
    (tmp_path / "p.parquet").write_text("x")
    with pytest.raises(ValueError, match="give one of .txt, .jsonl, .csv"):
        Prompts(tmp_path / "p.parquet")
    for name, text in (("p.txt", ""), ("p.jsonl", ""), ("p.csv", "prompt\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match="holds no prompts"):
            Prompts(tmp_path / name)


def test_the_fingerprint_sees_one_letter_and_the_field_and_not_the_place(tmp_path):
    first = Prompts(written(tmp_path, ".jsonl", ["a", "b"])).fingerprint
    (tmp_path / "copy").mkdir()
    assert Prompts(written(tmp_path / "copy", ".jsonl", ["a", "b"])).fingerprint == first
    assert Prompts(tmp_path / "prompts.jsonl", field="n").fingerprint != first
    assert Prompts(written(tmp_path, ".jsonl", ["a", "B"])).fingerprint != first


def test_a_file_that_changed_under_way_is_refused(tmp_path):
    source = Prompts(written(tmp_path, ".txt", ["a", "b"]))
    assert source.prompt(1) == "b"
    written(tmp_path, ".txt", ["longer", "b"])
    with pytest.raises(ValueError, match="has changed since it was indexed"):
        source.prompt(1)


def test_nothing_but_offsets_is_kept(tmp_path):
    path = tmp_path / "many.txt"
    path.write_text("".join(f"prompt number {n} {'x' * 200}\n" for n in range(20_000)))
    source = Prompts(path)
    assert source.lines.starts.nbytes == 8 * 20_001 < path.stat().st_size / 20
    assert source.prompt(19_999).startswith("prompt number 19999 ")
