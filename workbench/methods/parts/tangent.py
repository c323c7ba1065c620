"""d/dt of a network along a trajectory: exact by forward mode, or a central difference where no tangent can be had."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

Tangent = Literal["jvp", "difference"]


def along(net: Callable[[Tensor, Tensor], Tensor], x: Tensor, t: Tensor, dx: Tensor, dt: Tensor, how: Tangent = "jvp",
          step: float = 1e-3) -> tuple[Tensor, Tensor]:
    """(net(x, t), its derivative (B, ...) along (dx (B, ...), dt (B,))); no gradient is kept.

    "jvp" is torch.func.jvp; "difference" takes two more evaluations, ``step`` of the tangent to both sides. Attention
    runs unfused under "jvp": the fused kernels have no tangent. ValueError where something else of the net has none.
    """
    with torch.no_grad():
        if how == "jvp":
            try:
                with sdpa_kernel(SDPBackend.MATH):
                    return torch.func.jvp(net, (x, t), (dx, dt))
            except NotImplementedError as error:
                raise ValueError("this network has no tangent in forward mode (" + str(error).split(" that")[0] + "): "
                                 "set tangent=\"difference\", which asks it at two more points") from error
        ahead, behind = net(x + step * dx, t + step * dt), net(x - step * dx, t - step * dt)
        return net(x, t), (ahead - behind) / (2 * step)
