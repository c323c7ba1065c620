"""Files that are seen whole or not at all."""

from __future__ import annotations

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


def write_json(path: Path, content: Any) -> None:
    """``content`` as indented JSON, written whole."""
    write_whole(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
