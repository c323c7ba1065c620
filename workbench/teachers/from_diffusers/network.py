"""A pipeline's network as the engine calls it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from workbench.noise import LinearFlow, Process
from workbench.teachers.from_diffusers.conditions import Conditions
from workbench.teachers.from_diffusers.kinds import Kind


class Network(nn.Module):
    """net(x_t, t, s=None, cond=None, guidance=None) around a diffusers network, in its own process and form.

    x_t (B, C, H, W), for video (B, C, F, H, W); t (B,). cond (B,) are indices into ``conditions``; None, or an index
    of ``num_classes``, is the empty prompt. ``guidance`` (B,) is for networks with guidance as an input
    (``guided`` True; ``guidance_scale`` where it is not given); others are to be wrapped in ``Guided``.
    Computes in the network's own dtype and answers in x_t's. ValueError for a second time: see ``students``.
    """

    second_time = False

    def __init__(self, model: nn.Module, kind: Kind, process: Process, form: str, conditions: Conditions,
                 guidance_scale: float = 3.5) -> None:
        super().__init__()
        self.model, self.kind, self.process, self.form = model, kind, process, form
        self.conditions, self.guidance_scale = conditions, guidance_scale
        self.guided = bool(model.config.get("guidance_embeds", False))
        self.taps = ("bottleneck",)

    @property
    def num_classes(self) -> int | None:
        """The number of prompts, None for an unconditional network."""
        return len(self.conditions) or None

    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, cond: Tensor | None = None,
                guidance: Tensor | float | None = None) -> Tensor:
        if s is not None:
            raise ValueError("this network knows no second time: a student born with second_time=True does")
        own = self.model.dtype
        rows = self.conditions.rows(cond, len(x_t), x_t.device, own)
        scale = None
        if self.guided:
            scale = torch.as_tensor(self.guidance_scale if guidance is None else guidance, device=x_t.device)
            scale = scale.to(torch.float32).expand(len(x_t))
        out = self.kind.call(self.model, x_t.to(own), self.timestep(t), rows, scale)
        return out[:, : x_t.shape[1]].to(x_t.dtype)  # some networks answer with a variance beside

    def timestep(self, t: Tensor) -> Tensor:
        """What the network was trained to be told of t: 0 ... 999 of a table, 1000 t of a flow."""
        return 1000 * t if isinstance(self.process, LinearFlow) else (t - 1).clamp(min=0)

    def features(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, cond=None, guidance=None,
                 taps: tuple[str, ...] = ("bottleneck",)) -> dict[str, Tensor]:
        """Activations (B, C, H, W) of modules by name; "bottleneck" is the middle one. Tokens (B, N, C) come as
        (B, C, N, 1). ValueError, naming near ones, for a module that is not there."""
        found: dict[str, Tensor] = {}
        hooks = [self.module(tap).register_forward_hook(lambda _, __, out, tap=tap: found.__setitem__(tap, out))
                 for tap in taps]
        try:
            self(x_t, t, s, cond, guidance)
        finally:
            for hook in hooks:
                hook.remove()
        return {tap: as_map(found[tap]) for tap in taps}

    def module(self, tap: str) -> nn.Module:
        if tap == "bottleneck":
            middle = self.model.get_submodule(self.kind.bottleneck)
            return middle[len(middle) // 2] if isinstance(middle, nn.ModuleList) else middle
        try:
            return self.model.get_submodule(tap)
        except AttributeError:
            from workbench.naming import unknown

            raise ValueError(unknown("module", tap, [name for name, _ in self.model.named_modules()])) from None


def as_map(out: Any) -> Tensor:
    """A block's output as a map: the picture's tokens are the last of those that a block answers with."""
    out = out[-1] if isinstance(out, tuple) else out
    return out.transpose(1, 2).unsqueeze(-1) if out.ndim == 3 else out.flatten(3) if out.ndim == 5 else out
