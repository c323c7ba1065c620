"""Secrets: variables that a run is given by name. Their values reach its kernel and nothing that is written.

Known in these forms: as it is, escaped as in JSON, Python's repr, HTML and URLs, in hexadecimal and in base64, also
within a longer text. A value that a cell encodes in another way (encrypted, compressed, drawn, in pieces) is beyond
recognition.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from workbench.files import write_whole

SHORTEST = 4  # characters: shorter values would be found everywhere


def values(names: Sequence[str] | None) -> dict[str, str]:
    """The value of each variable. ValueError for one that is not set or is too short to be told from other text."""
    found = {}
    for name in names or ():
        value = os.environ.get(name)
        if not value:
            raise ValueError(f"the secret {name} is not set: set the variable (export {name}=...) and run again")
        if len(value) < SHORTEST:
            raise ValueError(f"the secret {name} has fewer than {SHORTEST} characters: it cannot be told from other "
                             "text, give a longer one")
        found[name] = value
    return found


def forms(value: str) -> list[str]:
    """How the value may stand in a text, longest first; each of them may itself have been escaped once more."""
    raw = value.encode()
    once = {value, *escaped(value), repr(raw)[2:-1], quote(value), quote(value, safe=""), quote_plus(value), raw.hex(),
            *in_base64(raw)}
    return sorted(once | {form for one in once for form in escaped(one)}, key=lambda form: (-len(form), form))


def escaped(text: str) -> set[str]:
    return {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], escape(text), repr(text)[1:-1],
            ascii(text)[1:-1]}


def in_base64(raw: bytes) -> set[str]:
    """The value alone, and what is the same of any longer text it stands in: it may begin at three places of a group.

    Left out are the letters at both ends that depend on the text around it.
    """
    found = {base64.b64encode(raw).decode().rstrip("=")}
    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw).decode().rstrip("=")
        last = len(whole) - ((before + len(raw)) % 3 != 0)
        found.add(whole[(0, 2, 3)[before] : last])
    return found | {one.replace("+", "-").replace("/", "_") for one in found}


def keep_out(names: Sequence[str] | None, notebook: dict[str, Any], parameters: dict[str, Any]) -> None:
    """ValueError where a secret stands in the notebook or in a parameter: both are kept as they are."""
    for name, value in values(names).items():
        redactor = Redactor({name: value})
        where = [f"parameter {key}" for key, given in parameters.items() if redactor.all(given) != given]
        if redactor.all(notebook) != notebook:
            where.append("the notebook")
        if where:
            raise ValueError(f"{where[0]} holds the value of the secret {name}, and is kept: let a cell read it "
                             f"with os.environ[{name!r}]")


class Redactor:
    """Puts ``[NAME]`` in place of a secret's value wherever it stands; without secrets it leaves all as it is."""

    def __init__(self, secrets: dict[str, str]) -> None:
        self.forms = sorted(((form, f"[{name}]") for name, value in secrets.items() for form in forms(value)),
                            key=lambda pair: -len(pair[0]))
        self.longest = max((len(form.encode()) for form, _ in self.forms), default=0)

    def text(self, text: str) -> str:
        for form, name in self.forms:
            text = text.replace(form, name)
        return text

    def all(self, content: Any) -> Any:
        """The same for every text within lists and mappings, keys too."""
        if isinstance(content, str):
            return self.text(content)
        if isinstance(content, dict):
            return type(content)({self.text(name): self.all(value) for name, value in content.items()})
        return [self.all(value) for value in content] if isinstance(content, list) else content

    def bytes(self, data: bytes) -> bytes:
        for form, name in self.forms:
            data = data.replace(form.encode(), name.encode())
        return data

    def unfinished(self, data: bytes) -> int:
        """Bytes at the end of ``data`` that may be the beginning of a value."""
        encoded = [form.encode() for form, _ in self.forms]
        for length in range(min(self.longest - 1, len(data)), 0, -1):
            if any(form.startswith(data[-length:]) for form in encoded):
                return length
        return 0

    def folder(self, folder: Path) -> list[str]:
        """Redact the text files in a folder; sentences on what cannot be redacted.

        Links are not followed. Files that a checkpoint's sum covers are told of, not touched.
        """
        told = []
        for path in sorted(folder.rglob("*")) if self.forms else []:
            name = path.relative_to(folder).as_posix()
            if self.text(name) != name:
                told.append(f"the name of {self.text(name)} holds a secret: rename or remove it")
            if path.is_symlink() or not path.is_file():
                continue
            try:
                told += self.file(path, self.text(name))
            except OSError as error:
                told.append(f"{self.text(name)} could not be searched for secrets ({error.strerror}): look yourself")
        return told

    def file(self, path: Path, name: str) -> list[str]:
        data = path.read_bytes()
        clean = self.bytes(data)
        if "checkpoints" in path.parts or not readable(data):
            found = clean != data or self.wide(data)
            return [f"{name} holds a secret and is no text that can be redacted: remove it"] if found else []
        if clean != data:
            write_whole(path, clean)
        return []

    def wide(self, data: bytes) -> bool:
        return any(form.encode("utf-16-le") in data for form, _ in self.forms)


def readable(data: bytes) -> bool:
    """Whether it is text."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


@contextmanager
def hushed(redactor: Redactor) -> Iterator[None]:
    """All that this process and those it starts print goes through the redactor."""
    if not redactor.forms:
        yield
        return
    streams = [hush(redactor, number) for number in (1, 2)]
    try:
        yield
    finally:
        for number, kept, reader in streams:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os.dup2(kept, number)  # closes our end of the pipe: the reader comes to its end
            reader.join(2)
            os.close(kept)


def hush(redactor: Redactor, number: int) -> tuple[int, int, threading.Thread]:
    """Put a redacting pipe before a file descriptor: (its number, where it went before, the pipe's reader)."""
    kept = os.dup(number)
    out, into = os.pipe()
    os.dup2(into, number)
    os.close(into)
    target = os.dup(kept)
    reader = threading.Thread(target=pump, args=(redactor, out, target), daemon=True)
    reader.start()
    return number, kept, reader


def pump(redactor: Redactor, out: int, target: int) -> None:
    held = b""
    with open(out, "rb", buffering=0) as source, open(target, "wb", buffering=0) as sink:
        while chunk := source.read(65536):
            held += chunk
            clean = redactor.bytes(held)
            keep = redactor.unfinished(clean)
            sink.write(clean[: len(clean) - keep])
            held = clean[len(clean) - keep :]
        sink.write(held)
