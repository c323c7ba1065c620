"""What a run was made of: notebook, code, packages and machine, told so that another run can be held against it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import psutil

PACKAGE = Path(__file__).resolve().parents[1]
NUMERIC = ("torch", "numpy", "scipy", "scikit-learn", "POT", "accelerate", "safetensors", "diffusers", "transformers",
           "peft")  # packages that decide a run's numbers: with another version a finished job is not this job


def sources_digest(notebook: Mapping[str, Any]) -> str:
    """sha256 over kind and source of every cell of a notebook's JSON, outputs and metadata left out."""
    cells = [[cell["cell_type"], text(cell["source"])] for cell in notebook["cells"]]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def text(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)


@cache
def code_digest() -> str:
    """sha256 over this package's modules (and the widgets beside it), first 16 hex digits."""
    digest = hashlib.sha256()
    for folder in (PACKAGE, PACKAGE.parent / "widgets"):
        for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.js"), *folder.glob("papers/*.toml")]):
            digest.update(path.relative_to(folder.parent).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def key(notebook_sha256: str, parameters: Mapping[str, Any]) -> str:
    """The content address of a job: its cells, its parameters, our code and the packages that decide numbers."""
    content = [notebook_sha256, parameters, code_digest(), versions()]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@cache
def versions() -> dict[str, str]:
    """Of Python and of the packages that decide numbers."""
    found = {"python": platform.python_version()}
    for name in ("distillation-workbench", *NUMERIC):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def lock() -> list[str]:
    """``name==version`` of everything that is installed here, sorted: what ``pip install -r`` takes.

    Read from the names of the folders that installers leave: opening all of them takes a second.
    """
    found: dict[str, str] = {}
    for place in sys.path:
        for folder in Path(place).glob("*.dist-info") if place else ():
            name, _, version = folder.stem.rpartition("-")
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), version)
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def machine() -> dict[str, Any]:
    """System, processor, cores and threads, memory in GiB, GPUs by name."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"system": f"{platform.system()} {platform.machine()}", "processor": processor(), "cores": usable,
            "threads": os.environ.get("OMP_NUM_THREADS"), "gpus": gpus(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1)}


def processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor()


@cache
def gpus() -> list[str]:
    """Names of the GPUs that the driver knows; none where there is no driver."""
    if shutil.which("nvidia-smi") is None:
        return []
    return said("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()


@cache
def commit() -> str | None:
    """Commit of the checkout this package runs from, with ``+`` when files differ from it; None outside a checkout."""
    root = PACKAGE.parent
    if not (root / ".git").exists():
        return None
    return said("git", "-C", str(root), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*") or None


def said(*command: str) -> str:
    """What a command prints, or nothing where it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def process() -> dict[str, Any]:
    """This process, so that anybody on this machine can tell later whether it still lives."""
    return {"id": os.getpid(), "host": socket.gethostname(), "began": began(os.getpid())}


def alive(process: Mapping[str, Any]) -> bool:
    """Whether that process still runs here; another one that got its number does not count."""
    number = process.get("id")
    found = began(number) if number is not None else None
    return found is not None and process.get("began") in (None, found)


def began(number: int) -> str | None:
    """When a process began, by a clock that nobody sets back (ticks since this boot); None if it is gone."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
        return None if fields[0] == "Z" else f"{boot}-{fields[19]}"
    except OSError:
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:
        return f"{psutil.Process(number).create_time():.0f}"
    except psutil.Error:
        return None
