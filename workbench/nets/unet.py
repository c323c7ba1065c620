"""A small class-conditional U-Net, natively TrigFlow, for pictures of any even size (arXiv 1505.04597, 2206.00364).

Fed x_t / sigma_data (unit variance at every t), it answers F of unit variance; x0 = cos t x_t - sin t sigma_data F
is EDM's preconditioning exactly (2410.11081, sec. 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.nets.blocks import Attention, Conditioner, Residual, draw, group_norm, zeroed
from workbench.noise import TrigFlow
from workbench.randomness import Key


class UNet(nn.Module):
    """F (B, C, H, W) from x_t (B, C, H, W), t (B,), and optionally s (B,), cond (B,) labels, guidance (B,).

    ``widths`` are the channels of each resolution, outmost first; H and W must divide by 2 ** (len(widths) - 1).
    ``blocks`` residual blocks per resolution each way; ``attention_heads`` = 0 leaves attention out.
    """

    form = "F"

    def __init__(
        self, *, channels: int = 1, widths: Sequence[int] = (32, 96), blocks: int = 1, attention_heads: int = 0,
        condition: int = 128, num_classes: int | None = None, second_time: bool = False, guided: bool = False,
        sigma_min: float = 0.002, sigma_max: float = 80.0, sigma_data: float = 0.5, seed: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.settings = dict(
            channels=channels, widths=tuple(widths), blocks=blocks, attention_heads=attention_heads,
            condition=condition, num_classes=num_classes, second_time=second_time, guided=guided,
            sigma_min=sigma_min, sigma_max=sigma_max, sigma_data=sigma_data, seed=seed,
        )  # fmt: skip
        self.num_classes, self.second_time, self.guided = num_classes, second_time, guided
        self.process = TrigFlow(sigma_min, sigma_max, sigma_data)
        with torch.random.fork_rng(devices=[]):  # torch draws weights as it builds; ``draw`` writes over them
            self.conditioner = Conditioner(condition, num_classes, second_time, guided)
            self.first = nn.Conv2d(channels, widths[0], 3, padding=1)
            self._build(tuple(widths), blocks, attention_heads, condition)
            self.last_norm = group_norm(widths[0])
            self.last = zeroed(nn.Conv2d(widths[0], channels, 3, padding=1))
        draw(self, Key(seed or 0))

    def _build(self, widths: tuple[int, ...], blocks: int, heads: int, condition: int) -> None:
        self.down, self.up, self.narrow = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        before = widths[0]
        for width in widths:
            ins = [before] + [width] * (blocks - 1)
            self.down.append(nn.ModuleList(Residual(i, width, condition) for i in ins))
            before = width
        self.middle = Residual(before, before, condition)
        self.attention = Attention(before, heads) if heads else None
        for width in reversed(widths):
            self.narrow.append(nn.Identity() if before == width else nn.Conv2d(before, width, 1))
            ins = [2 * width] + [width] * (blocks - 1)
            self.up.append(nn.ModuleList(Residual(i, width, condition) for i in ins))
            before = width

    @property
    def taps(self) -> tuple[str, ...]:
        """Names that ``features`` knows, in the order they are computed."""
        levels = range(len(self.down))
        return (*(f"down{i}" for i in levels), "bottleneck", *(f"up{i}" for i in reversed(levels)))

    def stages(self, x_t: Tensor, t: Tensor, s=None, cond=None, guidance=None) -> Iterator[tuple[str, Tensor]]:
        """(tap, activations (B, C', H', W')) as they are computed; stop early and the rest is never run."""
        step = 2 ** (len(self.down) - 1)
        if x_t.shape[-1] % step or x_t.shape[-2] % step:
            size = f"{x_t.shape[-2]} x {x_t.shape[-1]}"
            raise ValueError(f"height and width must divide by {step} for {len(self.down)} widths, got {size}")
        condition = self.conditioner(t, s, cond, guidance)
        h, kept = self.first(x_t / self.process.sigma_data), []
        for level, rows in enumerate(self.down):
            h = functional.avg_pool2d(h, 2) if level else h
            for block in rows:
                h = block(h, condition)
            kept.append(h)
            yield f"down{level}", h
        h = self.middle(h, condition)
        h = h if self.attention is None else self.attention(h)
        yield "bottleneck", h
        for level, (narrow, rows) in enumerate(zip(self.narrow, self.up, strict=True)):
            h = narrow(h)
            h = torch.cat([functional.interpolate(h, scale_factor=2.0) if level else h, kept.pop()], dim=1)
            for block in rows:
                h = block(h, condition)
            yield f"up{len(self.up) - 1 - level}", h

    def forward(self, x_t: Tensor, t: Tensor, s=None, cond=None, guidance=None) -> Tensor:
        *_, (_, h) = self.stages(x_t, t, s, cond, guidance)
        return self.last(functional.silu(self.last_norm(h)))

    def features(
        self, x_t: Tensor, t: Tensor, s=None, cond=None, guidance=None, taps: Sequence[str] = ("bottleneck",)
    ) -> dict[str, Tensor]:
        """Activations (B, C', H', W') at the named taps; layers behind the last one asked for are not run."""
        unknown = [tap for tap in taps if tap not in self.taps]
        if unknown:
            raise ValueError(f"unknown tap {unknown[0]!r}; this net has {', '.join(self.taps)}")
        found: dict[str, Tensor] = {}
        for name, h in self.stages(x_t, t, s, cond, guidance):
            if name in taps:
                found[name] = h
            if len(found) == len(set(taps)):
                break
        return {tap: found[tap] for tap in taps}
