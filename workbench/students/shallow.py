"""A copy of a foreign network with fewer blocks, in a config of its own that diffusers saves and loads."""

from __future__ import annotations

from typing import Any

from torch import nn

from workbench.teachers.from_diffusers.network import Network

DEPTHS = ("num_layers", "num_single_layers", "layers_per_block", "transformer_layers_per_block",
          "reverse_transformer_layers_per_block")  # fmt: skip


def shallow(network: Network, keep: float = 0.5) -> Network:
    """The network with a share ``keep`` of each list of blocks, weights copied; in (0, 1], at least one block of each.

    Transformers keep blocks spread evenly over their depth, the last among them. UNets keep fewer pairs of residual
    block and attention in each stage and fewer layers in each attention: the first pairs on the way down, the first and
    the last on the way up, as BK-SDM does (2305.15798); the middle stays. ValueError where nothing can be left out.
    """
    from accelerate import init_empty_weights

    old = network.model
    asked = {name: cut(name, old.config[name], keep) for name in DEPTHS if old.config.get(name) is not None}
    if not 0 < keep <= 1 or all(old.config[name] == value for name, value in asked.items()):
        raise ValueError(f"keep = {keep} leaves no block out of {type(old).__name__} ({told(old.config)}): give a "
                         "smaller share of 1, above 0")
    with init_empty_weights():
        new = made(old, asked)
        kept = kept_blocks(new, old)
        if dual := old.config.get("dual_attention_layers"):  # of SD3.5: which blocks attend twice
            places = [place for place, index in enumerate(kept["transformer_blocks"]) if index in dual]
            new = made(old, asked | {"dual_attention_layers": tuple(places)})
    weights = old.state_dict()
    copied = {name: weights.get(source(name, kept)) for name in new.state_dict()}
    for name, value in new.state_dict().items():
        if copied[name] is None or copied[name].shape != value.shape:
            raise ValueError(f"{type(old).__name__} cannot be made shallower: its {name} would have no weights; leave "
                             "depth at 1")
    new.load_state_dict({name: value.clone() for name, value in copied.items()}, assign=True)
    return like(network, new)


def cut(name: str, value: Any, keep: float) -> Any:
    """A number of blocks, or one for each stage, made smaller."""
    if isinstance(value, int):
        return max(1, int(keep * value + 0.5))
    if not all(isinstance(one, int) for one in value):
        raise ValueError(f"{name} = {value} has a number for each attention: such a network cannot be made shallower")
    return type(value)(cut(name, one, keep) for one in value)


def told(config: Any) -> str:
    return ", ".join(f"{name} = {config[name]}" for name in DEPTHS if config.get(name) is not None)


def made(old: nn.Module, changes: dict[str, Any]) -> nn.Module:
    """A network of the same class, config changed; ValueError where the class takes no such config."""
    config = {name: value for name, value in old.config.items() if not name.startswith("_")} | changes
    try:
        return type(old).from_config(config)
    except (ValueError, RuntimeError, ZeroDivisionError) as error:
        raise ValueError(f"{type(old).__name__} cannot have {changes}: {error}") from error


def like(network: Network, model: nn.Module) -> Network:
    """The same process, form and prompts around another network, frozen and on the same device."""
    model = model.to(network.model.device).requires_grad_(False)
    return Network(model, network.kind, network.process, network.form, network.conditions,
                   network.guidance_scale).eval()


def kept_blocks(new: nn.Module, old: nn.Module) -> dict[str, list[int]]:
    """For each list of ``new`` that is shorter than in ``old``, by its path in ``new``: the indices in ``old``."""
    found: dict[str, list[int]] = {}
    lists = {path: len(part) for path, part in old.named_modules() if isinstance(part, nn.ModuleList)}
    for path, blocks in new.named_modules():
        count, before = len(blocks) if isinstance(blocks, nn.ModuleList) else 0, lists.get(source(path, found), 0)
        if 0 < count < before:
            first = path.startswith("down_blocks") and not path.endswith("transformer_blocks")
            found[path] = [place * before // count if first else spread(place, count, before) for place in range(count)]
    return found


def spread(place: int, count: int, before: int) -> int:
    """One of ``count`` indices spread evenly over ``before``, both ends among them; the last where it is the only."""
    return before - 1 if count == 1 else int(place * (before - 1) / (count - 1) + 0.5)


def source(path: str, kept: dict[str, list[int]]) -> str:
    """Where what lies at ``path`` of the new network lies in the old one."""
    parts, there = path.split("."), []
    for depth, part in enumerate(parts):
        blocks = kept.get(".".join(parts[:depth])) if part.isdigit() else None
        there.append(str(blocks[int(part)]) if blocks else part)
    return ".".join(there)
