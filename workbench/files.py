"""Files that are seen whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any


def write_whole(path: Path, data: bytes) -> None:
    """Write beside, flush, rename: a reader sees the old file or the new one, also after a crash or on a full disk."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """The content with the sha256 of its canonical JSON as ``digest``, which tells a byte that was changed later."""
    plain = {name: value for name, value in content.items() if name != "digest"}
    return plain | {"digest": hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()}


def sound(content: dict[str, Any]) -> bool:
    """Whether the content is as it was sealed, or never was."""
    return "digest" not in content or sealed(content)["digest"] == content["digest"]


def write_json(path: Path, content: Any) -> None:
    """``content`` as indented JSON, written whole."""
    write_whole(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
