"""How benches train their teachers: the engine with a plain method, a progress bar, and a cache.

A recipe is data: the method's fields, the net's settings, steps and seed. It is fingerprinted with the training data,
so a change of any of them trains anew.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from workbench.methods.parts.draws import noise_like
from workbench.methods.parts.schedules import cosine
from workbench.noise import Process, TrigFlow
from workbench.randomness import Key
from workbench.teachers.trained import Notes, fingerprint, kept
from workbench.train.loop import train
from workbench.train.run import Run
from workbench.types import Adam, Labelled, Loss, NonNegative, Now, Positive, Samples, Unit, Update

VERSION = 1  # of what this file computes: raise it when a recipe's weights would change


@dataclass(frozen=True)
class DrawnData:
    """Batches (B, ...) drawn with replacement from x (N, ...), y (N,): a pure function of seed, step and block."""

    x: Tensor
    y: Tensor
    seed: int
    batch_size: int
    kind: type = Samples

    def at(self, step: int, block: int = 0) -> Samples | Labelled:
        generator = Key(self.seed, step=step, block=block).generator("data")
        index = torch.randint(len(self.x), (self.batch_size,), generator=generator)
        return self.kind(self.x[index], self.y[index])


@dataclass(frozen=True)
class FlowMatching:
    """Plain denoising in TrigFlow: |F - (cos t eps - sin t x0 / sigma_data)|^2, which is EDM's weighted loss.

    log sigma ~ N(mean, std^2) (2206.00364, table 1), stratified over the batch. ``unlabelled`` is the share of
    samples whose label is hidden, for guidance (2207.12598). ``tail`` is the power of the averaging profile
    (2312.02696, eq. 3). ``bend``: pictures are moved by affine maps I + bend N(0, 1), so that a small set is not
    learned by heart (0: not). Source: 2410.11081, sec. 3.
    """

    process: Process = TrigFlow()
    mean: float = -0.5
    std: Positive = 1.2
    unlabelled: Unit = 0.05
    tail: Positive = 8.0
    bend: NonNegative = 0.0
    lr: Positive = 4e-3
    form = "F"

    def updates(self) -> tuple[Update, ...]:
        rate, optimizer = cosine(self.lr, warmup=0.05), Adam(betas=(0.9, 0.99))
        return (Update(("student",), self.loss, rate, average=self.average, optimizer=optimizer),)

    def average(self, now: Now) -> float:
        """Decay (1 - 1/n)^(tail + 1) after n steps: the average keeps the last share ~1/tail of the training."""
        return (1 - 1 / (now.step + 1)) ** (self.tail + 1)

    def loss(self, nets: Mapping[str, Any], batch: Samples, now: Now) -> Loss:
        x = bent(batch.x, self.bend, now, "bicubic") if self.bend else batch.x
        t, noise = self.times(len(x), now), noise_like(x, now)
        null = nets["student"].num_classes
        hidden = torch.rand(len(t), generator=now.rng("unlabelled"), device=now.device) < self.unlabelled
        x_t = self.process.add_noise(x, t, noise)
        guess = nets["student"](x_t, t, None, torch.where(hidden, null, batch.y))
        c, s = (value.view(-1, *(1,) * (x_t.ndim - 1)) for value in (t.cos(), t.sin()))
        target = c * noise - s * x / self.process.sigma_data
        return Loss(functional.mse_loss(guess, target), seen=dict(x_t=x_t, t=t, target=target, guess=guess))

    def times(self, count: int, now: Now) -> Tensor:
        """t (B,), one in each of B slices of equal probability."""
        inside = torch.rand(count, generator=now.rng("time"), device=now.device)
        shares = (torch.arange(count, device=now.device) + inside) / count
        sigma = torch.exp(self.mean + self.std * torch.special.ndtri(shares.clamp(1e-6, 1 - 1e-6)))
        sigma = sigma.clamp(self.process.sigma_min, self.process.sigma_max)
        return self.process.time(torch.ones_like(sigma), sigma)


@dataclass(frozen=True)
class Supervised:
    """Cross-entropy with the labels; pictures shifted, turned and stretched by affine maps I + ``bend`` N(0, 1)."""

    bend: float = 0.1
    weight_decay: float = 1e-2
    lr: Positive = 2e-3

    def updates(self) -> tuple[Update, ...]:
        optimizer = Adam(weight_decay=self.weight_decay)
        return (Update(("student",), self.loss, cosine(self.lr, warmup=0.05), optimizer=optimizer),)

    def loss(self, nets: Mapping[str, Any], batch: Labelled, now: Now) -> Loss:
        return Loss(functional.cross_entropy(nets["student"](bent(batch.x, self.bend, now)), batch.y))


def bent(x: Tensor, bend: float, now: Now, mode: str = "bilinear") -> Tensor:
    """Pictures (B, C, H, W), each moved by an affine map of its own, I + bend N(0, 1)."""
    maps = torch.eye(2, 3).expand(len(x), 2, 3)
    maps = maps + bend * torch.randn(len(x), 2, 3, generator=now.rng("bend"))
    grid = functional.affine_grid(maps, x.shape, align_corners=False)
    return functional.grid_sample(x, grid, mode=mode, padding_mode="border", align_corners=False)


@dataclass(frozen=True)
class Recipe:
    """What trains a net: a method, how long, on which batches, from which seed."""

    method: Any
    steps: int
    batch_size: int
    seed: int = 0

    def told(self, net: nn.Module) -> dict[str, Any]:
        """Everything the trained weights depend on but the data, as JSON."""
        fields = asdict(self)
        return {**fields, "kind": type(self.method).__name__, "net": type(net).__name__, "settings": net.settings,
                "version": VERSION}  # fmt: skip


def trained(name: str, net: nn.Module, recipe: Recipe, x: Tensor, y: Tensor, kind: type = Samples) -> nn.Module:
    """``net`` frozen, trained by the recipe on x (N, ...), y (N,), or loaded when the cache holds just that.

    A progress bar goes to stderr. The caller's generators and thread count are left as they are.
    """
    def run_it(fresh: nn.Module) -> Notes:
        started = time.perf_counter()
        run = Run(recipe.method, {"student": fresh}, DrawnData(x, y, recipe.seed, recipe.batch_size, kind),
                  seed=recipe.seed, steps=recipe.steps)  # fmt: skip
        losses = shown(run, f"training {name} (once, then cached)")
        fresh.load_state_dict(run.student().state_dict())
        return {"seconds": round(time.perf_counter() - started, 1), "last_loss": losses, "torch": torch.__version__}

    return kept(name, net, fingerprint(recipe.told(net), x, y), run_it)


def shown(run: Run, title: str) -> float:
    """Train to the end behind a progress bar on stderr; the mean loss of the last tenth."""
    total, count = 0.0, 0
    with tqdm(total=run.steps, desc=title, file=sys.stderr, unit="step", mininterval=0.5, leave=False) as bar:
        for stepped in train(run):
            bar.update()
            if stepped.step > 0.9 * run.steps:
                total, count = total + float(stepped.taken[0].loss.total), count + 1
    return total / max(count, 1)
