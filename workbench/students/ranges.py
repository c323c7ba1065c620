"""One student made of several, each for a range of noise levels: adapters per range on one base."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, distributed, nn

from workbench.students.whole import Whole


class Ranges(nn.Module):
    """net(x_t, t, s, cond, guidance) of views of one base, each asked for the samples whose noise is in its range.

    ``bounds`` are noise over signal (EDM's sigma), rising: view i has levels from bounds[i - 1] up to below bounds[i],
    so there is one view more than bounds. A two-time net is chosen by t, not by s. Weights are those of all views, and
    only the views that were asked, by any process, get gradients. The host reads the levels at each call, and waits for
    the device. ValueError for bounds that do not rise, and for another number of views.
    """

    def __init__(self, views: Sequence[Whole], bounds: Sequence[float]) -> None:
        super().__init__()
        check_bounds(bounds)
        if len(views) != len(bounds) + 1:
            raise ValueError(f"{len(bounds)} bounds part {len(bounds) + 1} ranges, got {len(views)} views")
        self.views, self.bounds = nn.ModuleList(views), tuple(float(bound) for bound in bounds)

    def __getattr__(self, name: str) -> Any:
        if name in ("process", "form", "conditions", "num_classes", "taps", "kind", "network", "shared", "second_time",
                    "guided"):
            return getattr(self.views[0], name)
        return super().__getattr__(name)

    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, cond: Tensor | None = None,
                guidance: Tensor | float | None = None) -> Tensor:
        (found,) = self.each(lambda view, *given: (view(*given),), x_t, t, s, cond, guidance)
        return found

    def features(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, cond: Tensor | None = None,
                 guidance: Tensor | float | None = None, taps: tuple[str, ...] = ("bottleneck",)) -> dict[str, Tensor]:
        """See ``Network.features``."""
        found = self.each(lambda view, *given: tuple(view.features(*given, taps=taps).values()), x_t, t, s, cond,
                          guidance)
        return dict(zip(taps, found, strict=True))

    def each(self, ask: Callable[..., tuple[Tensor, ...]], x_t: Tensor, t: Tensor, *others: Any) -> list[Tensor]:
        """What each sample's own view answers, in the samples' order."""
        given = [x_t, t.expand(len(x_t)), *others]
        rows = self.rows(given[1])
        if len(rows) == 1:
            found = list(ask(self.views[next(iter(rows))], *given))
        else:
            parts = [ask(self.views[index], *(of(one, chosen) for one in given)) for index, chosen in rows.items()]
            back = torch.argsort(torch.cat(list(rows.values())))
            found = [torch.cat(pieces)[back] for pieces in zip(*parts, strict=True)]
        unmoved = [0 * weight.sum() for view in self.elsewhere(rows, x_t.device) for weight in view.parameters()]
        return [one + sum(unmoved) for one in found] if unmoved else found

    def elsewhere(self, rows: dict[int, Tensor], device: torch.device) -> list[nn.Module]:
        """Views that another process asks now and this one does not: their gradients are zero here, to be summed."""
        together = distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
        if not (together and torch.is_grad_enabled()):
            return []
        asked = torch.tensor([float(index in rows) for index in range(len(self.views))], device=device)
        distributed.all_reduce(asked, distributed.ReduceOp.MAX)
        return [self.views[index] for index, flag in enumerate(asked.tolist()) if flag and index not in rows]

    def rows(self, t: Tensor) -> dict[int, Tensor]:
        """The samples of each range that any lies in, by the range's number."""
        alpha, sigma = self.process.signal_noise(t.detach())
        level = (sigma / alpha).double()
        number = torch.bucketize(level, torch.tensor(self.bounds, dtype=level.dtype, device=t.device), right=True)
        return {index: (number == index).nonzero().squeeze(1) for index in number.unique().tolist()}

    def cloned(self, second_time: bool | None = None, guided: bool | None = None) -> Ranges:
        """A trainable copy, each view in a slot of its own; see ``nets.clone``."""
        return Ranges([view.cloned(second_time, guided) for view in self.views], self.bounds)


def of(value: Any, chosen: Tensor) -> Any:
    """The chosen rows of what is given for each sample; what is given for all as it is."""
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value
    return value.expand(int(chosen.max()) + 1, *value.shape[1:])[chosen] if len(value) == 1 else value[chosen]


def check_bounds(bounds: Sequence[float]) -> None:
    if not bounds or not all(low < high for low, high in pairwise([0.0, *bounds, float("inf")])):
        raise ValueError(f"ranges {tuple(bounds)} are to be rising levels of noise over signal, above 0: e.g. (1, 5)")
