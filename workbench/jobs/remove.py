"""Run folders removed: these alone, and none that somebody still works in."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from workbench.jobs import folder as folders
from workbench.jobs.provenance import alive


def check(paths: Sequence[Path]) -> None:
    """ValueError for the first path that is not the folder of a run that has ended."""
    for path in paths:
        if path.is_symlink():
            raise ValueError(f"{path} is a link: name the folder itself")
        record = folders.read(path)
        status = record["status"]
        if status == "running" or (status == "paused" and alive({"id": record.get("pid")})):
            raise ValueError(f"{path} is {status}: end that run first")
        if Path.cwd().is_relative_to(path.resolve()):
            raise ValueError(f"{path} holds the folder you are in: leave it first")


def remove(paths: Sequence[Path]) -> None:
    """Remove run folders and all that is in them, after all were checked. Links within are removed, not followed."""
    check(paths)
    for path in paths:
        try:
            with folders.alone(path):
                shutil.rmtree(path)
        except folders.Taken:
            raise ValueError(f"{path} was just taken by another process: end that run first") from None
