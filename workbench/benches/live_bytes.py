"""How many bytes of tensors live at once while something computes, counted tensor by tensor, on any device."""

from __future__ import annotations

import weakref
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only


class LiveBytes(TorchDispatchMode):
    """Inside the block: ``live`` bytes of tensors made since it began and still alive, ``peak`` their highest.

    Tensors that share memory count once. What a kernel needs while it runs and never hands out is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.seen: dict[int, int] = {}  # of a storage: its bytes

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {x.untyped_storage()._cdata for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        out = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, lambda x: self.see(x, given), out)
        return out

    def see(self, x: Tensor, given: set[int]) -> None:
        storage = x.untyped_storage()
        key = storage._cdata
        if key in self.seen or key in given:  # a tensor from before the block, changed in place, is no new one
            return
        self.seen[key] = storage.nbytes()
        self.live += self.seen[key]
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self.gone, key)

    def gone(self, key: int) -> None:
        self.live -= self.seen.pop(key, 0)
