"""Digests of files' contents, remembered: an unchanged file costs one look at its size and times, not a reading."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from workbench.files import write_whole
from workbench.teachers.trained import cache_folder

CHUNK, THREADS = 1000, 8
SETTLED = 2 * 10**9  # ns: a file that changed so shortly ago may change again within one tick of its clock

Stamp = list[int]  # size, ns of the last change of the content, ns of the last change of anything


def fingerprint(settings: Any, root: Path, names: Sequence[str], *, hash_content: bool = True) -> str:
    """sha256 (hex) over ``settings`` (JSON) and, of each of the ``names`` under ``root`` in order, name and content.

    Contents are read once (about 1 GB/s from memory, else as fast as the disk) and their sha256 is remembered in the
    cache folder under size and times to the nanosecond, those of inodes too, as git does: asked again, 100,000
    unchanged files take seconds. Without ``hash_content`` size and time of change stand for the content and nothing is
    read: a copy of the set then has another fingerprint, and a file forged with its old time the old one.
    """
    told = hashlib.sha256(json.dumps([settings, hash_content]).encode())
    stamps = [stamp_of(root / name) for name in names]
    found = contents(root, names, stamps) if hash_content else [f"{size} {time}" for size, time, _ in stamps]
    for name, content in zip(names, found, strict=True):
        told.update(json.dumps([name, content]).encode())
    return told.hexdigest()


def stamp_of(path: Path) -> Stamp:
    found = os.stat(path)
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def contents(root: Path, names: Sequence[str], stamps: Sequence[Stamp]) -> list[str]:
    """sha256 (hex) of each file, from memory where its stamp is the remembered one."""
    place = cache_folder() / "digests" / f"{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]}.json"
    known = remembered(place)
    found = {name: known[name][1] for name, stamp in zip(names, stamps, strict=True)
             if name in known and known[name][0] == stamp}  # fmt: skip
    unread = [name for name in names if name not in found]
    if unread:
        with ThreadPoolExecutor(THREADS) as pool, tqdm(total=len(unread), desc=f"reading {root.name} once", delay=2,
                                                       unit="file", file=sys.stderr, leave=False) as bar:
            for start in range(0, len(unread), CHUNK):
                chunk = unread[start : start + CHUNK]
                found.update(zip(chunk, pool.map(lambda name: digest_of(root / name), chunk), strict=True))
                bar.update(len(chunk))
        latest = time.time_ns() - SETTLED
        remember(place, known | {name: [stamp, found[name]] for name, stamp in zip(names, stamps, strict=True)
                                 if max(stamp[1:]) < latest})
    return [found[name] for name in names]


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remembered(place: Path) -> dict[str, Any]:
    try:
        return json.loads(place.read_text())
    except (OSError, ValueError):
        return {}


def remember(place: Path, known: dict[str, Any]) -> None:
    """Write the memory; without a writable cache folder the next asking reads the files again."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, json.dumps(known).encode())  # names need not be UTF-8: \u escapes hold any
    except OSError:
        pass
