"""Two finished runs held against each other: bits, counters, events; and the steps that a killed one took twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.chaos.life import BEGUN
from workbench.record.store import read_events, read_state
from workbench.train.checkpoint import checkpoints, read


def differences(reference: Path, folder: Path) -> list[str]:
    """What is not as in ``reference``, in words; empty when every bit, counter and event is the same."""
    status = read_state(folder)["status"]
    if status != "finished":
        return [f"status is {status}"]
    (known, wanted), (state, found) = (read(checkpoints(path)[-1]) for path in (reference, folder))
    said = [f"the last checkpoint says {name} = {state.get(name)}, not {value}" for name, value in known.items()
            if name not in ("extra", "sha256") and state.get(name) != value]
    names = sorted(wanted.keys() ^ found.keys())
    said += [f"tensor {name} is in one alone" for name in names[:3]]
    apart = [name for name in sorted(wanted.keys() & found.keys()) if not same_bits(wanted[name], found[name])]
    said += [f"{len(apart)} of {len(wanted)} tensors differ, {apart[0]} first"] if apart else []
    return said + other_events(reference, folder)


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()


def other_events(reference: Path, folder: Path) -> list[str]:
    """Step events that come twice, are missing or say something else; the clock is left out."""
    wanted, found = ([timeless(event) for event in read_events(path, "step")] for path in (reference, folder))
    steps = [event["step"] for event in found]
    if len(set(steps)) < len(steps):
        return [f"{len(steps) - len(set(steps))} step events come twice"]
    if steps != [event["step"] for event in wanted]:
        return [f"{len(steps)} step events where {len(wanted)} belong"]
    changed = [step for step, a, b in zip(steps, wanted, found, strict=True) if a != b]
    return [f"{len(changed)} events differ, that of step {changed[0]} first"] if changed else []


def timeless(event: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps({name: value for name, value in event.items() if name != "time"}))


def redone(folder: Path) -> list[int]:
    """For each life but the first, how many steps it began that an earlier one had begun already."""
    lives: list[list[int]] = []
    for line in (folder / BEGUN).read_text().split():
        if line == "life":
            lives.append([])
        else:
            lives[-1].append(int(line))
    again, furthest = [], lives[0][-1] if lives[0] else -1
    for begun in lives[1:]:
        again.append(max(0, furthest - begun[0] + 1) if begun else 0)
        furthest = max([furthest, *begun])
    return again
