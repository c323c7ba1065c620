"""A fork: a run that goes on from another run's checkpoint in a folder of its own, unchanged, changed or longer."""

from __future__ import annotations

import os
import shutil
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from workbench.files import sealed, write_json
from workbench.record.store import Store, read_state
from workbench.train.checkpoint import BrokenCheckpoint, checkpoints, read


def fork(folder: Path | str, new_folder: Path | str, checkpoint: int | None = None, steps: int | None = None,
         **changes: Any) -> Path:
    """Copy a checkpoint of ``folder`` and the events up to it into ``new_folder``, which appears whole or not at all.

    ``checkpoint`` is the step it stands at, by default the newest whole one. ``steps`` is the fork's whole length.
    ``changes`` are plain fields of the method, set at the fork as ``Run.change`` does and replayed on resume. run.json
    keeps the parent's recipe (with the new steps) and names the ``parent``; ``session`` goes on from there. Without
    steps and changes the fork ends with its parent's bits. Raises ValueError, naming the fix, for a folder that exists,
    a checkpoint that does not, and changes that do not fit; BrokenCheckpoint when no checkpoint is whole.
    """
    folder, new_folder = Path(folder), Path(new_folder)
    if new_folder.exists():
        raise ValueError(f"{new_folder} exists: a fork needs a new folder, choose another name")
    told = read_state(folder)
    path, state = chosen(folder, checkpoint)
    recipe = longer(told.get("recipe") or {}, state, steps)
    state["changes"] = [*state["changes"], *changed(recipe, state, changes)]
    state["steps"] = recipe.get("steps", state["steps"])
    parent = {"folder": os.path.relpath(folder, new_folder), "step": state["step"], "sha256": state["sha256"]}
    beside = new_folder.with_name(f".{new_folder.name}.{os.getpid()}.part")
    try:
        (beside / "checkpoints").mkdir(parents=True)
        shutil.copyfile(path.with_suffix(".safetensors"), beside / "checkpoints" / f"{path.stem}.safetensors")
        write_json(beside / "checkpoints" / path.name, sealed(state))
        store = Store(beside)
        store.log.write((folder / "events.jsonl").read_bytes()[: state["extra"].get("offset", 0)])
        store.log.close()
        store.describe(status="stopped", recipe=recipe, parent=parent, step=state["step"], pid=None)
        os.rename(beside, new_folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return new_folder


def chosen(folder: Path, step: int | None) -> tuple[Path, dict[str, Any]]:
    """The checkpoint at ``step``, or the newest whole one, and its state."""
    paths = checkpoints(folder)
    if step is not None:
        steps = [int(path.stem) for path in paths]
        if step not in steps:
            known = ", ".join(map(str, steps)) or "none"
            raise ValueError(f"{folder} has no checkpoint at step {step}; it has {known}")
        path = paths[steps.index(step)]
        return path, read(path)[0]
    broken = []
    for path in reversed(paths):
        try:
            return path, read(path)[0]
        except BrokenCheckpoint as error:
            broken.append(str(error))
    raise BrokenCheckpoint("; ".join(broken) or f"no checkpoint in {folder}: there is nothing to fork from yet")


def longer(recipe: dict[str, Any], state: dict[str, Any], steps: int | None) -> dict[str, Any]:
    """The recipe with ``steps`` in place of its own."""
    if steps is None:
        return recipe
    if steps <= state["step"]:
        raise ValueError(f"the checkpoint stands at step {state['step']} already: give steps above that, got {steps}")
    return {**recipe, "steps": steps}


def changed(recipe: dict[str, Any], state: dict[str, Any], changes: dict[str, Any]) -> list[dict[str, Any]]:
    """``changes`` as a run keeps them: which field of the act's method takes which value from this step on."""
    fields = [name for name in recipe.get("method", {}) if name != "class"]
    for name, value in changes.items():
        if fields and name not in fields:
            near = get_close_matches(name, fields, n=1, cutoff=0)[0]
            raise ValueError(f"the method has no field {name!r}; did you mean {near!r}? fields: {', '.join(fields)}")
        if not isinstance(value, bool | int | float | str | None):
            raise ValueError(f"{name} must be a number, a truth value or a word to be changed in a fork, got {value!r}")
    return [{"act": state["act"], "act_step": state["act_step"], "name": n, "value": v} for n, v in changes.items()]
