"""Small heads beside a network: judges (through a network's features, or directly), and weights over t."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.noise import Process
from workbench.randomness import Key


class FeatureJudge(nn.Module):
    """Logit (B,) that x_t is noised data, read off another net's bottleneck (DMD2, 2405.14867, sec. 4.3)."""

    def __init__(self, channels: int, width: int = 64) -> None:
        super().__init__()
        self.read = nn.Sequential(nn.Conv2d(channels, width, 1), nn.GroupNorm(8, width), nn.SiLU(),
                                  nn.Conv2d(width, width, 3, stride=2, padding=1), nn.SiLU())
        self.out = nn.Linear(width, 1)

    def forward(self, net, x_t: Tensor, t: Tensor, cond: Tensor | None = None) -> Tensor:
        features = net.features(x_t, t, cond=cond, taps=("bottleneck",))["bottleneck"]
        return self.out(self.read(features).mean((2, 3))).squeeze(1)


class PointJudge(nn.Module):
    """Logit (B,) that x_t is noised data, from the point and its noise level; for nets without features."""

    def __init__(self, dim: int, process: Process, num_classes: int | None = None, width: int = 128) -> None:
        super().__init__()
        self.process = process
        self.label = nn.Embedding(num_classes + 1, width) if num_classes else None
        self.first = nn.Linear(dim + 3, width)
        self.rest = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1))

    def forward(self, net, x_t: Tensor, t: Tensor, cond: Tensor | None = None) -> Tensor:
        alpha, sigma = self.process.signal_noise(t)
        norm = torch.sqrt((alpha * self.process.sigma_data) ** 2 + sigma**2)
        angle = torch.atan2(sigma, alpha * self.process.sigma_data)
        level = torch.stack([torch.sin(angle), torch.cos(angle), torch.sin(2 * angle)], 1)
        h = self.first(torch.cat([x_t.flatten(1) / norm[:, None], level], 1))
        if self.label is not None and cond is not None:
            h = h + self.label(cond)
        return self.rest(h).squeeze(1)


def judge_like(net: nn.Module, example: Tensor, process: Process, seed: int = 0) -> nn.Module:
    """The judge that fits ``net``: on its bottleneck where it has taps, else on the points themselves. Seeded."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(Key(seed).number("judge"))
        if not hasattr(net, "taps"):
            return PointJudge(example[0].numel(), process, getattr(net, "num_classes", None))
        with torch.no_grad():
            t = torch.full((1,), 0.5, device=example.device)
            channels = net.features(example[:1], t, taps=("bottleneck",))["bottleneck"].shape[1]
        return FeatureJudge(channels)


class Uncertainty(nn.Module):
    """Learned log-variance w(t) (B,) of a loss over noise levels, born at 0 (2312.02696 sec. 2.5, 2410.11081)."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.register_buffer("octaves", torch.tensor([1.0, 2.0, 4.0, 8.0]))
        self.out = nn.Linear(width, 1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.hidden = nn.Linear(8, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, t: Tensor) -> Tensor:
        angle = t[:, None] * self.octaves
        return self.out(functional.silu(self.hidden(torch.cat([torch.sin(angle), torch.cos(angle)], 1)))).squeeze(1)
