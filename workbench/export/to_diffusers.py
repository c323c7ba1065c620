"""A student as a pipeline's folder, which plain diffusers loads and samples without this package."""

from __future__ import annotations

import copy
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from workbench.export.card import card
from workbench.export.schedule import Plan, plan


def export(teacher: Any, student: nn.Module, sampler: Any, process: Any, folder: Path | str, *,
           num_inference_steps: int | None = None, told: Mapping[str, Any] | None = None) -> tuple[Path, Plan]:
    """Write ``folder``: the pipeline with the student's network and a stock scheduler; returns it and its plan.

    Beside the pipeline: ``sampling.json``, what to call it with; ``lora/``, a student's adapters as weights that the
    teacher's own pipeline loads; README.md, a model card with ``told`` (provenance and measured numbers). The folder
    appears whole. ValueError for one that holds something, and for a student that plain diffusers cannot run: with
    inputs that its network lacks, or with jumps that no stock scheduler makes.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and is not an empty folder: name another")
    if getattr(student, "inputs", None) is not None:
        raise ValueError("this student has a second time or a guidance input of its own, which diffusers' network "
                         "lacks: distil without it, or sample it here")
    if hasattr(student, "bounds"):
        raise ValueError("diffusers has no adapters per noise range: distil without ranges, or sample it here")
    chosen = plan(sampler, process, student, teacher.pipe, num_inference_steps)
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        parts = dict(teacher.pipe.components) | {teacher.kind.network: plain(student), "scheduler": chosen.scheduler}
        settings = {name: value for name, value in teacher.pipe.config.items()
                    if name not in parts and not name.startswith("_")}
        type(teacher.pipe)(**parts, **settings).save_pretrained(beside, safe_serialization=True)
        adapters = lora(student)
        if adapters:
            layers = {f"{teacher.kind.network}_lora_layers": adapters}
            type(teacher.pipe).save_lora_weights(beside / "lora", **layers, safe_serialization=True)
        own = teacher.net.guidance_scale if teacher.net.guided else 1.0
        said = {**chosen.call, "guidance_scale": own} if len(teacher.net.conditions) else chosen.call
        (beside / "sampling.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
        name = type(teacher.pipe).__name__
        (beside / "README.md").write_text(card(name, folder.name, said, bool(adapters), told or {}), encoding="utf-8")
        beside.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        os.replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder, chosen


@torch.no_grad()
def plain(student: nn.Module) -> nn.Module:
    """The network with the adapters worked into its weights, of diffusers' own class and nothing else."""
    shared = getattr(student, "shared", None)
    if shared is None:
        return copy.deepcopy(student.network.model).eval()
    model, slot = student.network.model, student.slot
    state = {path.replace(".base_layer", ""): value.clone() for path, value in model.state_dict().items()
             if ".lora_" not in path}
    for path, layer in model.named_modules():
        if slot in getattr(layer, "lora_A", {}):
            state[f"{path}.weight"] += layer.get_delta_weight(slot).to(state[f"{path}.weight"].dtype)
    own = type(model).from_config(model.config).to(model.dtype)
    own.load_state_dict(state)
    return own.eval()


def lora(student: nn.Module) -> dict[str, Tensor]:
    """The adapters by the names that ``load_lora_weights`` knows, their scale worked in; {} for a whole copy."""
    if getattr(student, "shared", None) is None:
        return {}
    scale = student.shared.config.lora_alpha / student.shared.rank
    found = {}
    for path, weight in student.named_parameters():
        value = weight.detach().clone() * (scale if path.endswith("lora_B") else 1.0)
        found[path.replace("/", ".") + ".weight"] = value.contiguous()
    return found
