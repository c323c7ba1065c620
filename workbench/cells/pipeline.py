"""``pipeline``: a diffusers pipeline of one's own, opened, and what it is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from workbench.benches import load
from workbench.cells.show import Table, tell
from workbench.teachers.from_diffusers.opening import dtype_of, opened
from workbench.teachers.from_diffusers.quiet import quiet
from workbench.teachers.from_diffusers.small import build


def pipeline(folder: str | Path = "", *, torch_dtype: str = "float32", device: str = "cpu") -> Any:
    """Open the pipeline in a folder (or in the hub's cache on this machine) and show its parts; nothing is downloaded.

    "shapes" is the bench's small text-to-image pipeline, trained here on first use; "" one of random weights, made on
    the spot. ValueError, with the way out, for what cannot be loaded. Only safetensors are read.
    """
    pipe = loaded(folder, dtype_of(torch_dtype)).to(device)
    config = pipe.scheduler.config
    trained = config.get("prediction_type") or "flow"
    tell(Table(["part", "class", "parameters", "dtype"], [row(*part) for part in pipe.components.items() if part[1]],
               f"{type(pipe).__name__}, sampled by {type(pipe.scheduler).__name__}; its network predicts {trained}"))
    return pipe


def loaded(given: Any, dtype: torch.dtype = torch.float32) -> Any:
    """A pipeline as it is, a teacher's own, the one of a folder, the bench shapes' own; "" builds the small one."""
    if not isinstance(given, str | Path):
        return getattr(given, "pipe", given)
    with quiet():
        if str(given) == "shapes":
            return load("shapes").pipe.to(dtype)
        return build("sd").to(dtype) if str(given) == "" else opened(given, dtype, False)


def row(name: str, part: Any) -> list[str]:
    if not isinstance(part, torch.nn.Module):
        return [name, type(part).__name__, "", ""]
    weights = list(part.parameters())
    kinds = ", ".join(sorted({str(weight.dtype).removeprefix("torch.") for weight in weights}))
    return [name, type(part).__name__, f"{sum(weight.numel() for weight in weights):,}", kinds]
