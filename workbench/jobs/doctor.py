"""What a person asks first when something does not run: versions, threads, folders, disk."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
import tempfile
from pathlib import Path

from workbench.jobs.provenance import machine

NEEDED_GIB = 1.0  # free disk below which a run is likely to stop


def report() -> tuple[list[str], bool]:
    """Lines to print, and whether everything needed is in order."""
    good, lines = True, [f"python        {platform.python_version()}  {sys.executable}"]
    for name, wanted, found, well in requirements():
        good &= well
        fix = f"needs {wanted}: pip install '{name}{wanted}'" if wanted else "not installed: pip install -e ."
        advice = "" if well else fix
        lines.append(f"{name:<23} {found or 'missing':<14} {advice}".rstrip())
    facts = machine()
    lines.append(f"machine       {facts['system']}, {facts['cores']} cores, {facts['memory_gib']} GiB")
    lines.append(f"threads       OMP_NUM_THREADS={facts['threads'] or 'not set (torch takes all cores)'}")
    for title, folder in (("runs", Path("runs")), ("temporary", Path(tempfile.gettempdir())), ("cache", cache())):
        line, well = place(folder)
        good &= well
        lines.append(f"{title:<13} {line}")
    lines.append("all in order" if good else "see the lines above that say what to do")
    return lines, good


def requirements() -> list[tuple[str, str, str | None, bool]]:
    """(name, wanted range, version found or None, satisfied) of every required package."""
    from packaging.requirements import Requirement

    rows = []
    try:
        wanted = importlib.metadata.requires("distillation-workbench") or []
    except importlib.metadata.PackageNotFoundError:
        return [("distillation-workbench", "", None, False)]
    for one in map(Requirement, wanted):
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        try:
            found = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            found = None
        well = found is not None and one.specifier.contains(re.sub(r"\+.*", "", found))
        rows.append((one.name, str(one.specifier), found, well))
    return rows


def cache() -> Path:
    """Where trained teachers are kept between runs."""
    from workbench.teachers.trained import cache_folder

    return cache_folder()


def place(folder: Path) -> tuple[str, bool]:
    """(a line on a folder, whether one can write there with room to spare); looks at the nearest folder that exists."""
    there = next(path for path in [folder.absolute(), *folder.absolute().parents] if path.exists())
    free = shutil.disk_usage(there).free / 2**30
    writable = os.access(there, os.W_OK)
    trouble = "" if writable else "  not writable: choose another folder"
    trouble += "" if free >= NEEDED_GIB else f"  less than {NEEDED_GIB:g} GiB free: make room"
    return f"{folder}  {free:.1f} GiB free{trouble}", not trouble
