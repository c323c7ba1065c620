"""Trained nets on disk: kept under a fingerprint of all that made them, loaded only when whole.

A net lies in ``<cache>/<name>-<fingerprint>/`` as ``weights.safetensors`` and ``net.json`` (fingerprint, SHA-256 of the
weights, what was measured while training). The folder appears at once, by renaming; a stale, torn or foreign one is
never used. Training itself is the caller's: benches alone train.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as read_weights
from safetensors.torch import save as write_weights
from torch import Tensor, nn

Notes = Mapping[str, Any]  # JSON: what a training has to say of itself, e.g. seconds and losses


def cache_folder() -> Path:
    """The folder of trained nets: $WORKBENCH_CACHE, else ``distillation-workbench`` in $XDG_CACHE_HOME or ~/.cache."""
    if chosen := os.environ.get("WORKBENCH_CACHE"):
        return Path(chosen).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "distillation-workbench"


def fingerprint(recipe: Mapping[str, Any], *data: Tensor) -> str:
    """Hex digest of a recipe (JSON) and of the exact bytes of the data: any change of either gives another one."""
    digest = sha256(json.dumps(recipe, sort_keys=True).encode())
    for tensor in data:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy(force=True).tobytes())
    return digest.hexdigest()


def frozen(net: nn.Module) -> nn.Module:
    """The net in eval mode, no parameter of it trainable."""
    return net.requires_grad_(False).eval()


def load(folder: Path, net: nn.Module, expected: str) -> Notes | None:
    """Fill ``net`` from the folder and return its notes; None where it is absent, stale, torn or does not fit."""
    try:
        said = json.loads((folder / "net.json").read_text())
        raw = (folder / "weights.safetensors").read_bytes()
        if said["fingerprint"] != expected or said["sha256"] != sha256(raw).hexdigest():
            return None
        net.load_state_dict(read_weights(raw))
        return said["notes"]
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None


def save(folder: Path, net: nn.Module, made_of: str, notes: Notes) -> None:
    """Write the net's folder beside its place, flushed, then rename it there; what lay there before goes."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        raw = write_weights({name: value.contiguous() for name, value in net.state_dict().items()})
        said = {"fingerprint": made_of, "sha256": sha256(raw).hexdigest(), "notes": dict(notes)}
        write(beside / "weights.safetensors", raw)
        write(beside / "net.json", json.dumps(said, indent=1).encode())
        if folder.exists():
            shutil.rmtree(folder)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write(path: Path, content: bytes) -> None:
    """Write bytes and wait until the disk has them."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def kept(name: str, net: nn.Module, made_of: str, train: Callable[[nn.Module], Notes]) -> nn.Module:
    """``net`` frozen, with the weights kept under this name and fingerprint; where there are none, ``train(net)``
    makes them first. One process trains at a time: another one that wants the same net waits for it.
    """
    folder = cache_folder() / f"{name}-{made_of[:16]}"
    if load(folder, net, made_of) is None:
        with alone(folder):
            if load(folder, net, made_of) is None:
                with torch.enable_grad():
                    notes = train(net)
                save(folder, net, made_of, notes)
    return frozen(net)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock beside the folder; it falls with the process. Where the system has none, go on without."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # not a POSIX system: two processes may train the same net, the last to finish is kept
        yield
        return
    with (folder.parent / f"{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
