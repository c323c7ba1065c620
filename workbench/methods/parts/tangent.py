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

    "jvp" is torch.func.jvp; "difference" takes two more evaluations, ``step`` of the tangent to both sides: within
    2 % for small pipelines in float32, of no use with weights in bfloat16. Both leave autocast: in its few digits even
    forward mode loses the fast sines of a network's time. Attention runs unfused under "jvp": the fused kernels have no
    tangent. Nets shared by several processes, sharded ones too, have theirs. ValueError where something else of the net
    has none, or where the net insists on a fused kernel.
    """
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        if how == "jvp":
            try:
                with sdpa_kernel(SDPBackend.MATH):
                    return torch.func.jvp(net, (x, t), (dx, dt))
            except RuntimeError as error:  # the most common is NotImplementedError, of a kernel without a tangent
                if not isinstance(error, NotImplementedError) and "functorch" not in str(error):
                    raise
                why = str(error).split(" that")[0].split(". ")[0].split("\n")[0]
                raise ValueError(f"this network has no tangent in forward mode ({why}): "
                                 "set tangent=\"difference\", which asks it at two more points") from error
        ahead, behind = net(x + step * dx, t + step * dt), net(x - step * dx, t - step * dt)
        return net(x, t), (ahead - behind) / (2 * step)
