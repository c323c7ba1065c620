"""A secret reaches the cells that read it and no file: not the notebook, not the page, not the log, not the record."""

import base64
import json
import os
import subprocess
import sys
import urllib.parse

import nbformat
import pytest

from workbench.jobs.secrets import Redactor, forms, keep_out, values

VALUE = "p4ss+w/rd \"quo'ted\" <&> \\ tür%"
READ = "import os\nkey = os.environ['THE_KEY']"
PRINTED = """import base64, html, json, sys, urllib.parse
print(key); print(repr(key)); print([key], {key: key}); print(key, file=sys.stderr)
print(json.dumps(key), json.dumps(json.dumps(key)), html.escape(key), ascii(key), key.encode())
print(urllib.parse.quote(key), urllib.parse.quote_plus(key), urllib.parse.quote(key, safe=''))
print(base64.b64encode(key.encode()), base64.b64encode(b'user:' + key.encode() + b' and more'), key.encode().hex())
print(key[:5], end='', flush=True); print(key[5:])"""
BENEATH = """os.write(1, key.encode()[:7]); os.write(1, key.encode()[7:] + b'\\n')
os.system('printf %s "$THE_KEY" >&2')"""
SHOWN = """from IPython.display import HTML, Markdown, display
display(HTML(f'<b>{html.escape(key)}</b>'), Markdown(key), {'a': [key]})
display({'application/json': {'token': key, 'n': 1}, 'text/plain': key}, raw=True)
key"""
WRITTEN = """from pathlib import Path
here = Path(os.environ['WORKBENCH_RUN_FOLDER'])
(here / 'notes').mkdir()
(here / 'notes' / 'plain.txt').write_text(f'the key is {key}!')
(here / 'metrics.json').write_text(json.dumps({'a': 1.5, 'said': key}))
(here / 'page.html').write_text(html.escape(key))
(here / 'odd.bin').write_bytes(b'\\0\\xff' + key.encode() + b'\\0')
(here / 'outside').symlink_to(here.parent / 'outside.txt')"""
RAISED = "def connect(token):\n    raise RuntimeError(f'no entry with {token}')\nconnect(key)"


def run(source, folder, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "workbench", "run", str(source), "--out", str(folder), "--secret",
                           "THE_KEY"], capture_output=True, text=True, timeout=120, env={**os.environ, **variables})


def shapes(value: str) -> set[bytes]:
    """How the value could be found again, made here without the code under test."""
    found = {value, repr(value)[1:-1], json.dumps(value)[1:-1], urllib.parse.quote(value),
             urllib.parse.quote_plus(value), base64.b64encode(value.encode()).decode(),
             base64.b64encode(b"user:" + value.encode()).decode()[8:-4], value.encode().hex()}
    return {one.encode() for one in found} | {json.dumps(one)[1:-1].encode() for one in found}


def test_no_file_and_no_word_holds_it(notebook, tmp_path):
    (tmp_path / "outside.txt").write_text(VALUE)
    done = run(notebook(READ, PRINTED, BENEATH, SHOWN, WRITTEN, RAISED), tmp_path / "run", THE_KEY=VALUE)
    assert done.returncode == 1, done.stderr
    folder = tmp_path / "run"
    holds = {path.name for path in folder.rglob("*") if path.is_file() and not path.is_symlink()
             and any(shape in path.read_bytes() for shape in shapes(VALUE))}
    assert holds == {"odd.bin"}  # which is told of
    assert [shape for shape in shapes(VALUE) if shape.decode() in done.stdout + done.stderr] == [], done.stderr
    record = json.loads((folder / "run.json").read_text())
    assert record["secrets"] == ["THE_KEY"] and record["error"] == "RuntimeError: no entry with [THE_KEY]"
    assert record["warnings"] == ["odd.bin holds a secret and is no text that can be redacted: remove it"]
    assert "failed: RuntimeError: no entry with [THE_KEY]" in done.stderr
    assert done.stderr.count("[THE_KEY]") > 10 and "[THE_KEY]" in (folder / "tiny.html").read_text()
    executed = nbformat.read(folder / "tiny.ipynb", as_version=4)
    nbformat.validate(executed)
    assert executed.cells[3].outputs[0].text.endswith("\n[THE_KEY]\n")  # printed in two pieces
    assert executed.cells[3].outputs[0].text.startswith("[THE_KEY]\n'[THE_KEY]'\n['[THE_KEY]'] {'[THE_KEY]': ")
    assert json.loads((folder / "metrics.json").read_text()) == {"a": 1.5, "said": "[THE_KEY]"}
    assert (tmp_path / "outside.txt").read_text() == VALUE  # a link is not followed
    assert (folder / "notes" / "plain.txt").read_text() == "the key is [THE_KEY]!"


def test_a_multi_line_secret_is_kept_out_too(notebook, tmp_path):
    key = "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA7\nq83vEjRWeJq83vEj\n-----END KEY-----"
    done = run(notebook(READ, "for line in key.splitlines(): pass\nprint(key, flush=True)\nprint([key])"),
               tmp_path / "run", THE_KEY=key)
    assert done.returncode == 0, done.stderr
    for path in (tmp_path / "run").iterdir():
        assert b"MIIEpAIBAAKCAQEA7" not in path.read_bytes(), path.name
    assert "MIIEpAIBAAKCAQEA7" not in done.stdout + done.stderr


@pytest.mark.parametrize(("value", "says"), [("", "is not set: set the variable"), ("abc", "fewer than 4 characters")])
def test_a_secret_must_be_there_and_be_recognisable(notebook, tmp_path, value, says):
    done = run(notebook(READ), tmp_path / "run", THE_KEY=value)
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_it_may_stand_in_no_parameter_and_in_no_cell(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("THE_KEY", "hunter22")
    with pytest.raises(ValueError, match=r"parameter name holds the value of the secret THE_KEY.*os.environ"):
        keep_out(["THE_KEY"], {"cells": []}, {"name": "a hunter22 b"})
    done = run(notebook("token = 'hunter22'"), tmp_path / "run", THE_KEY="hunter22")
    assert done.returncode == 2 and "the notebook holds the value of the secret THE_KEY" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_that_goes_on_asks_for_its_secret(notebook, tmp_path):
    source = notebook(READ, "print(len(key))\nassert not os.environ.get('FIRST')")
    assert run(source, tmp_path / "run", THE_KEY=VALUE, FIRST="1").returncode == 1
    again = [sys.executable, "-m", "workbench", "run", str(tmp_path / "run")]
    bare = {name: value for name, value in os.environ.items() if name != "THE_KEY"}
    done = subprocess.run(again, capture_output=True, text=True, timeout=120, env=bare)
    assert done.returncode == 2 and "the secret THE_KEY is not set" in done.stderr
    done = subprocess.run(again, capture_output=True, text=True, timeout=120, env={**bare, "THE_KEY": VALUE})
    assert done.returncode == 0 and json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "succeeded"


def test_pieces_of_a_stream_are_put_together():
    redactor = Redactor({"A": "secret-one", "B": "another\nof two lines"})
    text = b"x secret-one y another\nof two lines z secret-on"
    for cut in range(len(text)):
        held, out = b"", b""
        for piece in (text[:cut], text[cut:]):
            held = redactor.bytes(held + piece)
            keep = redactor.unfinished(held)
            out, held = out + held[: len(held) - keep], held[len(held) - keep :]
        assert out + held == b"x [A] y [B] z secret-on"


def test_without_secrets_nothing_is_touched(tmp_path):
    (tmp_path / "a.txt").write_text("as it was")
    redactor = Redactor(values(None))
    assert redactor.folder(tmp_path) == [] and redactor.all({"a": ["b", 1]}) == {"a": ["b", 1]}
    assert (tmp_path / "a.txt").read_text() == "as it was"


def test_forms_come_longest_first_and_hold_the_value_itself():
    found = forms(VALUE)
    assert VALUE in found and [len(one) for one in found] == sorted(map(len, found), reverse=True)
    assert all(len(one) > 3 for one in found)


def test_checkpoints_and_names_are_told_of_and_left(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "00000001.json").write_text('{"a": "hunter22"}')
    (tmp_path / "hunter22.txt").write_text("nothing")
    told = Redactor({"KEY": "hunter22"}).folder(tmp_path)
    assert len(told) == 2 and "checkpoints/00000001.json holds a secret" in told[0]
    assert "the name of [KEY].txt" in told[1]
    assert (tmp_path / "checkpoints" / "00000001.json").read_text() == '{"a": "hunter22"}'
