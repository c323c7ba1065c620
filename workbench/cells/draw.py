"""How one batch of states is drawn: pictures as pictures, points of a plane as points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from workbench.cells.style import bare, canvas, drawing
from workbench.noise import Process


def pictures(bench: Any) -> bool:
    """Whether one sample is a picture (C, H, W), or decodes to one."""
    return len(bench.shape) == 3 or hasattr(bench, "decode")


def visible(bench: Any, x: Tensor) -> Tensor:
    """What is drawn of samples (..., *bench.shape): themselves, or the pictures that latents decode to.

    Of a video, the frame in its middle.
    """
    if not hasattr(bench, "decode"):
        return x
    decoded = bench.decode(x.reshape(-1, *bench.shape))
    decoded = decoded[:, :, decoded.shape[2] // 2] if decoded.ndim == 5 else decoded
    return decoded.reshape(*x.shape[: x.ndim - len(bench.shape)], *decoded.shape[1:])


def limits(bench: Any) -> tuple[float, float]:
    """What is drawn as paper and as ink (pictures), or how far the axes reach (points)."""
    if hasattr(bench, "decode"):
        return -1.0, 1.0
    x = bench.data(0, 256).at(0).x
    if pictures(bench):
        return float(x.min()), float(x.max())
    reach = 1.25 * float(x.abs().max())
    return -reach, reach


def comparable(x_t: Tensor, t: Tensor, process: Process, sigma_data: float) -> Tensor:
    """x_t (B, ...) brought to the data's variance, so that noisy states fit the same scale."""
    alpha, sigma = process.signal_noise(t.reshape(-1)[:1])
    return x_t * sigma_data / torch.sqrt((alpha * sigma_data) ** 2 + sigma**2)


def picture(axis: Axes, x: Tensor, low: float, high: float) -> None:
    """One sample (C, H, W); one channel in ink on paper, three in colour."""
    bare(axis)
    shown = x.detach().float().cpu()
    if len(shown) == 3:
        axis.imshow(((shown - low) / (high - low)).clamp(0, 1).permute(1, 2, 0).numpy())
    else:
        axis.imshow(shown[0].numpy(), vmin=low, vmax=high, cmap="gray_r", interpolation="nearest")


def sheet(axis: Axes, x: Tensor, columns: int, low: float, high: float) -> None:
    """Samples (B, C, H, W) side by side in rows of ``columns``, a line of paper between them."""
    count, channels, height, width = x.shape
    rows = -(-count // columns)
    page = torch.full((channels, rows * (height + 1) - 1, columns * (width + 1) - 1), low)
    for index, one in enumerate(x.detach().float().cpu()):
        top, left = index // columns * (height + 1), index % columns * (width + 1)
        page[:, top : top + height, left : left + width] = one
    picture(axis, page, low, high)


def points(axis: Axes, x: Tensor, low: float, high: float, colour: str) -> None:
    """Samples (B, D) by their first two coordinates, in data units."""
    shown = x.detach().float().cpu().numpy()
    axis.scatter(shown[:, 0], shown[:, 1], s=2, color=colour, linewidths=0, alpha=0.6)
    axis.set(xlim=(low, high), ylim=(low, high), aspect="equal")


@drawing
def side_by_side(bench: Any, drawn: Mapping[str, tuple[Tensor, str]]) -> Figure:
    """One panel a batch, four in a row: name -> (samples (B, ...), colour)."""
    low, high = limits(bench)
    width, columns = (4.4 if len(drawn) < 3 else 2.4) if pictures(bench) else 3.2, min(4, len(drawn))
    rows, tall = -(-len(drawn) // columns), (0.6 * width if pictures(bench) else 3.1)
    figure, axes = canvas(rows, columns, size=(width * columns, tall * rows))
    flat = [axis for row in axes for axis in row]
    for axis, (title, (x, colour)) in zip(flat, drawn.items(), strict=False):
        if pictures(bench):
            sheet(bare(axis), visible(bench, x[:40]), 10, low, high)
        else:
            points(axis, x, low, high, colour)
            axis.set(xlabel="x1 (data units)", ylabel="x2 (data units)")
        axis.set_title(title, color=colour)
    for axis in flat[len(drawn) :]:
        axis.set_visible(False)
    return figure
