"""A student, critic or teacher as a view of a shared base: the base's network with one slot of adapters."""

from __future__ import annotations

import weakref
from contextlib import AbstractContextManager
from typing import Any

from torch import nn

from workbench.students.inputs import Inputs
from workbench.students.shared import Shared
from workbench.students.whole import Whole, carried, wished


class Adapted(Whole):
    """net(x_t, t, s, cond, guidance) of the base with this view's adapters; its parameters are theirs alone.

    ``slot`` None is the base itself: the teacher. A copy (``copy.deepcopy``, ``clone``) is a new slot with equal
    weights, freed when the copy goes. ``inputs`` are further inputs of this view.
    """

    def __init__(self, network: nn.Module, shared: Shared, slot: str | None, inputs: Inputs | None = None) -> None:
        nn.Module.__init__(self)
        self.__dict__.update(network=network, shared=shared)  # not registered: the base is nobody's own
        self.slot, self.inputs = slot, inputs
        for path, param in (shared.weights(slot) if slot else {}).items():
            self.register_parameter(path, param)
        if slot:
            weakref.finalize(self, shared.drop, slot)

    @classmethod
    def student(cls, network: nn.Module, shared: Shared, *, seed: int = 0, second_time: bool = False,
                guided: bool = False) -> Adapted:
        """A fresh view that answers as the base does."""
        return cls(network, shared, shared.add(seed), wished(network, second_time, guided, seed))

    def computing(self) -> AbstractContextManager:
        return self.shared.active(self.slot)

    def cloned(self, second_time: bool | None = None, guided: bool | None = None) -> Adapted:
        """A trainable copy in a slot of its own, with further inputs where asked; see ``nets.clone``."""
        slot = self.shared.add()
        return carried(self, Adapted(self.network, self.shared, slot, self.inputs_of_copy(second_time, guided)))

    def __deepcopy__(self, memo: dict) -> Adapted:
        return self if self.slot is None else self.cloned()

    def _apply(self, fn: Any, recurse: bool = True) -> Adapted:
        """The base moves with each of its views."""
        self.network._apply(fn)
        if self.inputs is not None:
            self.inputs._apply(fn)
        return self

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """The view's own weights; the base's for the base itself."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.slot is None:
            base = self.network.state_dict(keep_vars=keep_vars)
            destination.update({prefix + path: one for path, one in base.items() if ".lora_" not in path})
