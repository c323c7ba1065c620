"""Checkpoints: a run on disk, whole or absent.

``checkpoints/<step>.safetensors`` holds the tensors, ``<step>.json`` the rest with the tensors' sha256 and a digest
of itself. Both are written beside, flushed and renamed, the JSON last: a checkpoint exists once its JSON does. Nothing
is unpickled. Of a sharded run it holds the whole tensors, as of any other: each goes on as the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from workbench.files import sealed, write_whole
from workbench.train.run import Run
from workbench.train.shard import cut, like, share, whole

FORMAT = 1
KEEP = 3  # newest checkpoints kept on disk
PRINTS: WeakKeyDictionary[nn.Module, tuple[Any, str]] = WeakKeyDictionary()  # frozen nets are summed up once


class BrokenCheckpoint(ValueError):
    """A checkpoint that is torn, altered, foreign or of a newer format; the message names the file and the way out."""


def fingerprint(net: nn.Module) -> str:
    """sha256 over names, shapes and bytes of a net's state, first 16 hex digits; taken again where it was written."""
    state = net.state_dict()
    versions = tuple((own.data_ptr(), own._version) for own in map(share, state.values()))
    if PRINTS.get(net, (None, ""))[0] != versions:
        PRINTS[net] = (versions, sum_of(state))
    return PRINTS[net][1]


def sum_of(tensors: Mapping[str, Tensor]) -> str:
    """The same of any named tensors."""
    digest = hashlib.sha256()
    for name, tensor in ((name, whole(tensor)) for name, tensor in sorted(tensors.items())):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() if tensor.ndim else
                      repr(tensor.item()).encode())
    return digest.hexdigest()[:16]


def tensors_of(run: Run, keep: bool = True) -> dict[str, Tensor]:
    """Every tensor that the run must have back: its own nets, averages, optimiser moments, non-finite counts.

    Those of a sharded run are gathered, by all processes in one order; one that keeps them not only takes part.
    """
    found = ((name, whole(tensor.detach())) for name, tensor in sorted(held_by(run).items()))
    return {name: tensor.cpu().contiguous() for name, tensor in found if keep}


def held_by(run: Run) -> dict[str, Tensor]:
    """The same as they are, the sharded ones sharded."""
    kept = {name: net for name, net in run.nets.items() if name not in run.given}
    found = {f"nets/{n}/{k}": v for n, net in (kept | run.averages).items() for k, v in net.state_dict().items()}
    for index, (opt, weights) in enumerate(zip(run.optimizers, run.learners, strict=True)):
        found[f"bad_streak/{index}"] = run.bad_streak[index]
        for i, weight in enumerate(weights):
            owner = weight if run.shards is None else run.shards.owner(weight)
            found |= {f"optimizer/{index}/{i}/{k}": cut(v, owner) for k, v in opt.state.get(weight, {}).items()}
    return found


def save_run(run: Run, milestone: int | None = None, **extra: Any) -> Path:
    """Write a checkpoint of the run between two steps and drop all but the newest few; returns its JSON's path.

    Those at multiples of ``milestone`` steps are never dropped.
    ``extra`` is kept with it (the recorder's offsets). A step that was not finite changed nothing: its run is good.
    All processes of a sharded run call it alike; the first one writes.
    """
    if run.folder is None:
        raise ValueError("this run has no folder: give one at birth to save it")
    folder = run.folder / "checkpoints"
    path = folder / f"{run.step:08d}.json"
    writes = run.shards is None or run.place.rank == 0
    if run.shards is not None:
        run.shards.gathering()
    tensors, given = tensors_of(run, writes), {name: fingerprint(run.nets[name]) for name in sorted(run.given)}
    if not writes:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    data = save(tensors)
    state = {
        "format": FORMAT, "step": run.step, "act": run.act, "act_step": run.act_step, "seed": run.seed,
        "steps": run.steps, "blocks": run.blocks, "changes": run.changes, "teacher_calls": run.teacher_calls,
        "given": given, "sha256": hashlib.sha256(data).hexdigest(), "extra": extra,
    }
    write_whole(folder / f"{run.step:08d}.safetensors", data)
    write_whole(path, json.dumps(sealed(state), indent=1).encode())
    for old in [path for path in checkpoints(run.folder)[:-KEEP] if not milestone or int(path.stem) % milestone]:
        old.unlink()
        old.with_suffix(".safetensors").unlink(missing_ok=True)
    return path


def checkpoints(folder: Path) -> list[Path]:
    """The JSON paths of a run folder's checkpoints, oldest first."""
    return sorted((Path(folder) / "checkpoints").glob("[0-9]*.json"))


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """State and tensors of one checkpoint; BrokenCheckpoint when any byte is not as it was written."""
    try:
        state = json.loads(path.read_text())
        data = path.with_suffix(".safetensors").read_bytes()
        written, known = state["sha256"], int(state["format"])
        whole = known > FORMAT or sealed(state)["digest"] == state.pop("digest")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenCheckpoint(f"{path} is torn or not a checkpoint ({error}); resume from an earlier one") from error
    if known > FORMAT:
        raise BrokenCheckpoint(f"{path} has format {known}, this version reads up to {FORMAT}: update the package")
    if not whole:
        raise BrokenCheckpoint(f"{path} was altered or is torn; resume from an earlier one")
    if hashlib.sha256(data).hexdigest() != written:
        raise BrokenCheckpoint(f"{path.with_suffix('.safetensors')} was altered or is torn; resume from an earlier one")
    try:
        return state, load(data)
    except SafetensorError as error:
        raise BrokenCheckpoint(f"{path.with_suffix('.safetensors')}: {error}") from error


def restore(run: Run, path: Path | None = None) -> dict[str, Any]:
    """Bring a freshly born run to a checkpoint (the newest whole one by default); returns the state with its ``extra``.

    Raises BrokenCheckpoint when none is whole, ValueError when it belongs to another run: other nets, steps or teacher.
    """
    tried = []
    for candidate in [path] if path else reversed(checkpoints(run.folder)):
        try:
            state, tensors = read(candidate)
        except BrokenCheckpoint as error:
            tried.append(str(error))
            continue
        write_back(run, state, tensors, candidate)
        return state | {"skipped": tried}
    raise BrokenCheckpoint("; ".join(tried) or f"no checkpoint in {run.folder}: start the run anew")


def write_back(run: Run, state: dict[str, Any], tensors: dict[str, Tensor], path: Path) -> None:
    for name in sorted(run.given & state["given"].keys()):
        if fingerprint(run.nets[name]) != state["given"][name]:
            raise ValueError(f"{path} was made with another {name}: its weights differ from the ones given now")
    if (state["blocks"], len(run.acts)) != (run.blocks, len(run.acts)) or state["act"] >= len(run.acts):
        raise ValueError(f"{path} was made with {state['blocks']} micro-batches a step, this run has {run.blocks}")
    if state["seed"] != run.seed:
        raise ValueError(f"{path} was made with seed {state['seed']}, this run has {run.seed}: its data are others")
    before = sum(act.steps for act in run.acts[: state["act"]])
    if before + state["act_step"] != state["step"] or state["act_step"] > run.acts[state["act"]].steps:
        raise ValueError(f"{path} stands at step {state['act_step']} of act {state['act'] + 1}; "
                         f"here acts have {[act.steps for act in run.acts]} steps: give the steps of its birth")
    run.changes = list(state["changes"])
    run.enter(state["act"], restoring=True)
    run.step, run.act_step = state["step"], state["act_step"]
    if run.counter is not None:
        run.counter.calls = state["teacher_calls"]
    own = held_by(run)
    wrong = {n for n in own if n not in tensors or own[n].shape != tensors[n].shape} | {
        n for n in tensors if not n.startswith("optimizer/") and n not in own}
    if wrong:
        raise ValueError(f"{path} belongs to another run: {sorted(wrong)[0]} does not fit (and {len(wrong) - 1} more)")
    for name, net in {**{n: run.nets[n] for n in run.nets if n not in run.given}, **run.averages}.items():
        net.load_state_dict({k: like(tensors[f"nets/{name}/{k}"], own) for k, own in net.state_dict().items()})
    for index, (opt, weights) in enumerate(zip(run.optimizers, run.learners, strict=True)):
        run.bad_streak[index].copy_(tensors[f"bad_streak/{index}"])
        for i, weight in enumerate(weights):
            start = f"optimizer/{index}/{i}/"
            owner = weight if run.shards is None else run.shards.owner(weight)
            moments = {n.removeprefix(start): share(like(v, owner)).to(weight.device)
                       for n, v in tensors.items() if n.startswith(start)}
            if moments:
                opt.state[weight] = moments
