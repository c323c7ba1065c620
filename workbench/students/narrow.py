"""A fresh network of the same class with fewer channels, in a config of its own that diffusers saves and loads."""

from __future__ import annotations

from math import lcm
from typing import Any

import torch

from workbench.randomness import Key
from workbench.students.shallow import like, made
from workbench.teachers.from_diffusers.network import Network

FOLLOWING = ("caption_projection_dim", "cross_attention_dim")  # as wide as a transformer's tokens, where they are so


def narrow(network: Network, share: float = 0.5, seed: int = 0) -> Network:
    """The network's class with channels times ``share``, in (0, 1), weights drawn from ``seed``: it knows nothing yet.

    UNets: widths of the stages, rounded to what their groups and attention heads divide. Transformers: fewer heads of
    the same width, and feed-forward layers to match. Inputs, outputs and prompts are as before. ValueError where
    nothing becomes narrower.
    """
    if not 0 < share < 1:
        raise ValueError(f"share = {share}: give one between 0 and 1; the widths are multiplied by it")
    old = network.model
    asked = stages(old.config, share) if "block_out_channels" in old.config else heads(old.config, share)
    if not asked or all(old.config[name] == value for name, value in asked.items()):
        raise ValueError(f"share = {share} makes {type(old).__name__} no narrower ({asked}): groups and heads allow no "
                         "width between; give a smaller share, or a larger network")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(Key(seed).number("network"))
        new = made(old, asked)
    dtypes = {name: weight.dtype for name, weight in old.named_parameters()}
    for name, weight in new.named_parameters():  # a position table keeps its own precision
        weight.data = weight.data.to(dtypes[name])
    return like(network, new)


def stages(config: Any, share: float) -> dict[str, Any]:
    """A UNet's widths: multiples of its groups, of the number of heads (conditional), or of a head's width."""
    widths = config.block_out_channels
    divisors = config.get("attention_head_dim") or 1
    divisors = [divisors] * len(widths) if isinstance(divisors, int) else list(divisors)
    found = [rounded(share * width, lcm(config.get("norm_num_groups") or 1, divisor))
             for width, divisor in zip(widths, divisors, strict=True)]
    asked = {"block_out_channels": [min(pair) for pair in zip(found, widths, strict=True)]}
    if config.get("time_embedding_dim"):
        asked["time_embedding_dim"] = rounded(share * config.time_embedding_dim, 4)
    return {name: type(config[name])(value) for name, value in asked.items()}


def heads(config: Any, share: float) -> dict[str, Any]:
    """A transformer's number of heads, and what must be as wide as they are together."""
    before = config.get("num_attention_heads") or 1
    count = rounded(share * before, 1)
    asked = {"num_attention_heads": count} if "num_attention_heads" in config else {}
    if "num_cross_attention_heads" in config:
        asked["num_cross_attention_heads"] = rounded(share * config.num_cross_attention_heads, 1)
    width = config.get("attention_head_dim", 1)
    for name in FOLLOWING:
        if config.get(name) == before * width:
            asked[name] = count * width
    if config.get("ffn_dim"):
        asked["ffn_dim"] = rounded(config.ffn_dim * count / before, 2)
    return asked


def rounded(value: float, multiple: int) -> int:
    """The nearest multiple, at least one of it."""
    return max(1, int(value / multiple + 0.5)) * multiple
