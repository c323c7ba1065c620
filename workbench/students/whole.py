"""A student that is a network of its own: a foreign one copied whole, with further inputs where asked."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from workbench.students.inputs import Inputs, added, width_of


class Whole(nn.Module):
    """net(x_t, t, s, cond, guidance) of a foreign ``network`` that is this student's own, with further ``inputs``.

    ValueError for a second time given to a student that was born without one.
    """

    def __init__(self, network: nn.Module, inputs: Inputs | None = None) -> None:
        super().__init__()
        self.network, self.inputs = network, inputs

    @classmethod
    def student(cls, network: nn.Module, *, seed: int = 0, second_time: bool = False, guided: bool = False) -> Whole:
        """A trainable copy of the network that answers as it does."""
        return cls(copy.deepcopy(network), wished(network, second_time, guided, seed)).requires_grad_(True)

    def __getattr__(self, name: str) -> Any:
        if name in ("process", "form", "conditions", "num_classes", "taps", "kind"):
            return getattr(self.network, name)
        return super().__getattr__(name)

    @property
    def second_time(self) -> bool:
        return self.inputs is not None and "s" in self.inputs.ways

    @property
    def guided(self) -> bool:
        """Whether guidance is an input, the network's own or an added one."""
        return self.network.guided or (self.inputs is not None and "guidance" in self.inputs.ways)

    def computing(self) -> AbstractContextManager:
        """What holds while the network computes for this student."""
        return nullcontext()

    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, cond: Tensor | None = None,
                guidance: Tensor | None = None) -> Tensor:
        with self.computing(), added(self.time, self.told(s, guidance)):
            return self.network(x_t, t, None, cond, guidance if self.network.guided else None)

    def features(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, cond: Tensor | None = None,
                 guidance: Tensor | None = None, taps: tuple[str, ...] = ("bottleneck",)) -> dict[str, Tensor]:
        """See ``Network.features``."""
        with self.computing(), added(self.time, self.told(s, guidance)):
            return self.network.features(x_t, t, None, cond, guidance if self.network.guided else None, taps=taps)

    @property
    def time(self) -> nn.Module:
        return self.network.model.get_submodule(self.network.kind.time)

    def told(self, s: Tensor | None, guidance: Tensor | None) -> Tensor | None:
        """What is added to the time embedding."""
        if s is not None and not self.second_time:
            raise ValueError("this student knows no second time: it was born without second_time=True")
        if self.inputs is None:
            return None
        return self.inputs(None if s is None else self.network.timestep(s), None if self.network.guided else guidance)

    def cloned(self, second_time: bool | None = None, guided: bool | None = None) -> Whole:
        """A trainable copy with equal weights and further inputs where asked; see ``nets.clone``."""
        return carried(self, Whole(copy.deepcopy(self.network), self.inputs_of_copy(second_time, guided)))

    def inputs_of_copy(self, second_time: bool | None, guided: bool | None) -> Inputs | None:
        return wished(self.network, self.second_time if second_time is None else second_time,
                      self.guided if guided is None else guided, 0)


def carried(source: nn.Module, target: Any) -> Any:
    """``target``, trainable, with the weights that it shares names with."""
    weights = dict(source.named_parameters())
    with torch.no_grad():
        for name, param in target.named_parameters():
            if name in weights:
                param.copy_(weights[name])
    return target.requires_grad_(True).train()


def wished(network: nn.Module, second_time: bool, guided: bool, seed: int) -> Inputs | None:
    """Inputs that the network lacks, None where it lacks none of those asked for."""
    guided = guided and not network.guided
    if not (second_time or guided):
        return None
    return Inputs(width_of(network.model.get_submodule(network.kind.time)), second_time, guided, seed)
