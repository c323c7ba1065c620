"""What is compared with what: pairs of generators that do the same work, the engine's and the one written by hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.perf import bare
from tests.perf.bare_score import dmd2
from tests.perf.bare_steps import consistency, ctm, scm
from workbench import benches
from workbench.benches.assemble import fitted
from workbench.benches.training import DrawnData
from workbench.methods.score.dmd2 import Dmd2
from workbench.methods.steps.consistency import ConsistencyDistillation
from workbench.methods.steps.continuous_consistency import ContinuousConsistency
from workbench.methods.steps.trajectory import ConsistencyTrajectory
from workbench.nets.unet import UNet
from workbench.noise import Edm
from workbench.noise.times import karras
from workbench.randomness import Key
from workbench.record.session import session
from workbench.solvers import Heun, walk
from workbench.train.loop import train
from workbench.train.run import Run
from workbench.types import Samples

STEPS = 20_000  # of a training: more than any measurement takes
METHODS = {"consistency": ConsistencyDistillation(), "scm": ContinuousConsistency(), "ctm": ConsistencyTrajectory(),
           "dmd2": Dmd2()}
LOOPS = {"consistency": consistency, "scm": scm, "ctm": ctm, "dmd2": dmd2}


@dataclass(frozen=True)
class Pictures:
    """A stand-in for the digits bench that needs no training: its shapes and U-Nets, a teacher of random weights."""

    sigma_data: float = 0.5
    sigma_min: float = 0.002
    sigma_max: float = 80.0

    def process(self, kind: type) -> Any:
        return kind(self.sigma_min, self.sigma_max, self.sigma_data)

    def data(self, seed: int, batch_size: int) -> DrawnData:
        generator = Key(seed).generator("pictures")
        x = self.sigma_data * torch.randn(512, 1, 8, 8, generator=generator)
        return DrawnData(x, torch.arange(512) % 10, seed, batch_size)

    def teacher(self) -> nn.Module:
        net = self.student(7)
        with torch.no_grad():
            for number, weight in enumerate(net.parameters()):
                if not bool(weight.any()):  # layers born as zeros would hide what lies before them
                    weight.normal_(std=0.02, generator=Key(number).generator("teacher"))
        return net.requires_grad_(False).eval()

    def student(self, seed: int, second_time: bool = False) -> nn.Module:
        return UNet(num_classes=10, second_time=second_time, sigma_data=self.sigma_data, seed=seed)


@dataclass(frozen=True)
class Doubled:
    """Data in fp64."""

    data: Any

    def at(self, step: int, block: int = 0) -> Samples:
        batch = self.data.at(step, block)
        return Samples(batch.x.double(), batch.y)


def cast(thing: Any) -> Any:
    """A net or data as they are, or in fp64 where that is the default type."""
    if torch.get_default_dtype() != torch.float64:
        return thing
    return thing.double() if isinstance(thing, nn.Module) else Doubled(thing)


def bench(name: str) -> Any:
    return benches.load("gmm2d") if name == "mlp" else Pictures()


def run_of(net: str, method: str, batch_size: int, folder: Path | None = None, seed: int = 0) -> Run:
    """The engine's training of a method on the 36k-parameter MLP of gmm2d ("mlp") or the 0.7M U-Net ("unet")."""
    place, rule = bench(net), METHODS[method]
    wants = {"second_time": True} if getattr(rule, "second_time", False) else {}
    nets = {"teacher": cast(place.teacher()), "student": cast(place.student(seed, **wants))}
    return Run(fitted(rule, place), nets, cast(place.data(seed, batch_size)), seed=seed, steps=STEPS, folder=folder)


def task_of(net: str, method: str, batch_size: int, seed: int = 0) -> bare.Task:
    """The same training for a loop written by hand."""
    place, wants = bench(net), {"second_time": True} if method == "ctm" else {}
    teacher, sd = cast(place.teacher()), place.sigma_data
    if net == "unet":
        teacher = speaks_x0(teacher, sd)
    elif method == "scm":
        teacher = speaks_f(teacher, sd)
    student, data = cast(place.student(seed, **wants)), cast(place.data(seed, batch_size))
    return bare.Task(teacher, student, data, sd, place.sigma_min, place.sigma_max, STEPS, seed)


def speaks_x0(net: nn.Module, sd: float) -> Callable[..., Tensor]:
    return lambda x, sigma, _=None, cond=None: bare.denoise(net, sd, x, sigma, cond)


def speaks_f(mixture: nn.Module, sd: float) -> Callable[..., Tensor]:
    """TrigFlow's F of an exact denoiser that speaks x0 of (x, sigma)."""

    def f(x: Tensor, t: Tensor, _: Tensor | None = None, cond: Tensor | None = None) -> Tensor:
        cos, sin = bare.wide(torch.cos(t), x), bare.wide(torch.sin(t), x)
        return (cos * x - mixture(x / cos, sd * torch.tan(t), None, cond)) / (sd * sin)

    return f


def engine(run: Run) -> bare.Seen:
    """(loss, gradient norm) of each gradient step, as the loops written by hand yield them."""
    for stepped in train(run):
        yield tuple((taken.loss.total, taken.grad_norm) for taken in stepped.taken)


def recorded(run: Run) -> Iterator[Any]:
    """The engine under its recorder at the default rhythm: a reading each 10 steps, a checkpoint each 500."""
    return session(run, {"bench": "perf", "method": type(run.method).__name__})


def watched(run: Run, interval: float = 0.1) -> Iterator[Any]:
    """The same, with the live panel's reader at its 10 looks a second, in turn with the steps so that its cost counts.

    No page listens: what it packs and hands to the kernel's connection is thrown away there.
    """
    from workbench.cells.watch import Watch

    watch, seen = None, 0.0
    for stepped in recorded(run):
        if watch is None:
            watch = Watch({"watched": run.folder})
        if time.perf_counter() - seen > interval:
            watch.look()
            seen = time.perf_counter()
        yield stepped


def walks(batch_size: int = 2000, levels: int = 18) -> tuple[Iterator[Tensor], Iterator[Tensor]]:
    """(recorded walks, plain samplings): Heun from one noise through one MLP, frames of 2,000 points kept or none."""
    place = bench("mlp")
    net, process = place.student(0).requires_grad_(False), place.process(Edm)
    x_T, grid = process.prior(place.start(batch_size, 0)[0]), karras(place.process(Edm), levels)

    def recorded_walks() -> Iterator[Tensor]:
        while True:
            frames = list(walk(net, process, Heun(), grid, x_T))
            yield frames[-1].x_t

    def plain() -> Iterator[Tensor]:
        while True:
            yield bare.sample(net, place.sigma_data, grid, x_T)

    return recorded_walks(), plain()
