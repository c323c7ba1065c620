"""One frozen network, many adapters: every view computes with its own, and memory holds the base once."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from workbench.randomness import Key


class Shared:
    """A network's base with slots for adapters (LoRA, 2106.09685), at most one of them active.

    ``targets``: endings of the names of the layers that get an adapter, or "all-linear". Switching between slots
    changes no ``requires_grad``. A slot is used by one thread at a time. ValueError where no layer is called so.
    """

    def __init__(self, model: nn.Module, rank: int = 16, alpha: float | None = None,
                 targets: str | Sequence[str] = "all-linear") -> None:
        from peft import LoraConfig

        self.model, self.rank = model.requires_grad_(False).eval(), rank
        names = targets if isinstance(targets, str) else list(targets)
        self.config = LoraConfig(r=rank, lora_alpha=alpha or rank, target_modules=names)
        self.layers: list[Any] = []
        self.current: str | None = None
        self.lock, self.count = threading.RLock(), 0

    def add(self, seed: int = 0) -> str:
        """A new slot, born as zeros in its second factor (it changes nothing), its first drawn from ``seed``."""
        from peft import inject_adapter_in_model
        from peft.tuners.lora import LoraLayer

        with self.lock, torch.random.fork_rng(devices=[]):
            name, self.count = f"slot{self.count}", self.count + 1
            trained = {param for param in self.model.parameters() if param.requires_grad}
            torch.manual_seed(Key(seed).number("adapter"))
            try:
                inject_adapter_in_model(self.config, self.model, name)
            except ValueError as error:
                named = sorted({path.rsplit(".", 1)[-1] for path, part in self.model.named_modules()
                                if isinstance(part, nn.Linear)})
                raise ValueError(f"no layer is called {self.config.target_modules}; linear layers here end in "
                                 f"{', '.join(named)}") from error
            self.layers = [module for module in self.model.modules() if isinstance(module, LoraLayer)]
            for path, param in self.model.named_parameters():  # the injection wakes the new slot and puts others asleep
                param.requires_grad_(param in trained or f".{name}." in path)
            self.switch(self.current)
        return name

    def drop(self, name: str) -> None:
        """Free a slot."""
        with self.lock:
            for layer in self.layers:
                layer.delete_adapter(name)
            self.switch(self.current)

    def weights(self, name: str) -> dict[str, nn.Parameter]:
        """The slot's parameters by the path of their layer, e.g. ``mid_block/.../to_q/lora_A``."""
        found = {}
        for path, param in self.model.named_parameters():
            if f".{name}." in path:
                found[path.replace(f".{name}.weight", "").replace(".", "/")] = param
        return found

    def switch(self, name: str | None) -> None:
        self.current = name
        for layer in self.layers:
            layer._active_adapter = [name] if name else []

    @contextmanager
    def active(self, name: str | None) -> Iterator[None]:
        """The base with this slot alone; with none for None."""
        with self.lock:
            before = self.current
            self.switch(name)
            try:
                yield
            finally:
                self.switch(before)

    def checkpoint_gradients(self) -> None:
        """Recompute blocks in the backward pass, each with the slot that was active in its forward pass."""

        def again(block: Any, *args: Any) -> Any:
            name = self.current

            def run(*given: Any) -> Any:
                with self.active(name):
                    return block(*given)

            return checkpoint(run, *args, use_reentrant=False)

        self.model.enable_gradient_checkpointing(again)
        self.model.train()  # diffusers' blocks recompute in training mode only
        for part in self.model.modules():
            if isinstance(part, nn.Dropout):
                part.eval()
