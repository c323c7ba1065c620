"""Trainable copies of nets, with further inputs where asked."""

from __future__ import annotations

from torch import nn

from workbench.noise import Spoken

EXTRA_INPUTS = ("second_time", "guided")


def clone(net: nn.Module, second_time: bool | None = None, guided: bool | None = None) -> nn.Module:
    """A trainable copy of ``net`` on its device: equal weights, every parameter trainable, train mode.

    ``second_time`` and ``guided`` add these inputs (None: as ``net`` has them), born as zeros, so the copy answers as
    ``net`` does. A ``Spoken`` net is copied with its translation. Raises ValueError for a net without ``settings``
    (the keyword arguments of its constructor) and when an input would have to be taken away.
    """
    if isinstance(net, Spoken):
        return Spoken(clone(net.net, second_time, guided), net.process, net.form)
    if hasattr(net, "cloned"):  # of a foreign net: it says itself how it is copied
        return net.cloned(second_time, guided)
    if not hasattr(net, "settings"):
        raise ValueError(f"{type(net).__name__} has no settings to be rebuilt from; clone one of workbench.nets")
    asked = {name: flag for name, flag in zip(EXTRA_INPUTS, (second_time, guided), strict=True) if flag is not None}
    for name, flag in asked.items():
        if name not in net.settings:
            raise ValueError(f"{type(net).__name__} has no input {name}; leave {name} as None")
        if net.settings[name] and not flag:
            raise ValueError(f"{name}=False would drop weights the net has; leave {name} as None to keep them")
    copy = type(net)(**{**net.settings, **asked})
    missing, unexpected = copy.load_state_dict(net.state_dict(), strict=False)
    added = {name for name, _ in copy.named_parameters()} - {name for name, _ in net.named_parameters()}
    if unexpected or set(missing) - added:
        raise ValueError(f"weights do not fit the settings: missing {sorted(missing)}, unexpected {sorted(unexpected)}")
    like = next(net.parameters())
    return copy.to(like.device, like.dtype).requires_grad_(True).train()
