"""Classifier-free guidance around any net (2207.12598), in diffusers' convention: 1 is off."""

from __future__ import annotations

from torch import Tensor, nn


class Guided(nn.Module):
    """uncond + g (cond - uncond) of a net's own output; every prediction form is linear in x0, so this fits them all.

    Called as the net is; one call costs two evaluations (``evaluations``), or one where the scale is the number 1. A
    ``guidance`` given in the call, a number or (B,), overrides ``guidance_scale``. Raises ValueError for cond None at a
    scale other than 1.
    """

    def __init__(self, net: nn.Module, guidance_scale: float) -> None:
        super().__init__()
        self.net, self.guidance_scale, self.evaluations = net, float(guidance_scale), 2
        self.process, self.form, self.num_classes = net.process, net.form, getattr(net, "num_classes", None)
        self.second_time, self.guided = getattr(net, "second_time", False), True

    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, cond=None, guidance=None) -> Tensor:
        scale = self.guidance_scale if guidance is None else guidance
        if cond is None:
            if isinstance(scale, Tensor) or scale != 1:
                raise ValueError(f"guidance_scale {scale} needs labels: pass cond (B,), or set the scale to 1 (off)")
            return self.net(x_t, t, s)
        if not isinstance(scale, Tensor) and scale == 1:
            return self.net(x_t, t, s, cond)
        scale = scale.reshape(scale.shape + (1,) * (x_t.ndim - scale.ndim)) if isinstance(scale, Tensor) else scale
        uncond = self.net(x_t, t, s)
        return uncond + scale * (self.net(x_t, t, s, cond) - uncond)
