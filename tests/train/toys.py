"""The smallest nets, data and methods that have everything the engine must handle; all of it can be worked by hand."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from workbench.randomness import Key
from workbench.train.checkpoint import restore
from workbench.train.loop import train
from workbench.train.place import Place
from workbench.train.run import Run
from workbench.types import Act, Adam, Loss, Samples, Update


class Line(nn.Module):
    """x w + b of points (B, 2); ``features`` are x w."""

    def __init__(self, start: float = 0.5) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(torch.full((2,), start)), nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.w + self.b

    def features(self, x: Tensor) -> Tensor:
        return x * self.w


class Memory(nn.Module):
    """A counter and a sum, filled by an update that trains nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("sum", torch.zeros(2))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))


@dataclass(frozen=True)
class Points:
    """Batches (B, 2), a pure function of seed, step and block; ``bad`` are the steps whose data hold a NaN."""

    batch_size: int = 8
    seed: int = 0
    bad: tuple[int, ...] = ()

    def at(self, step: int, block: int = 0) -> Samples:
        generator = Key(self.seed, step=step, block=block).generator("data")
        x = torch.randn(self.batch_size, 2, generator=generator)
        if step in self.bad:
            x[2] = torch.nan
        return Samples(x)


@dataclass(frozen=True)
class Follow:
    """The student follows the teacher on noised points."""

    lr: float = 1e-2
    average: float = 0.5
    noise: float = 0.1
    adam: Adam = Adam()

    def updates(self):
        return (Update(("student",), self.loss, self.lr, average=self.average, optimizer=self.adam),)

    def loss(self, nets, batch, now):
        x = batch.x + self.noise * torch.randn(batch.x.shape, generator=now.rng("noise"))
        with torch.no_grad():
            target = nets["teacher"](x)
        guess, t = nets["student"](x), torch.linspace(0, 1, len(x))
        total = (guess - target).square().mean()
        return Loss(total, dict(match=total), dict(x_t=x, t=t, target=target, guess=guess))


@dataclass(frozen=True)
class Rich:
    """Two acts, three rhythms, a critic, a memory, two averages, a rate that depends on now."""

    lr: float = 1e-2
    turns: int = 2
    with_critic: bool = True
    stage: str = "first"

    def extras(self, teacher, student, example):
        return {"critic": Line(0.1), "memory": Memory()}

    def acts(self, steps):
        half = steps // 2
        return Act("first", self, half), Act("second", replace(self, stage="second"), steps - half, go_on)

    def updates(self):
        critic = Update(("critic",), self.critic_loss, lambda now: self.lr * (1 - now.progress), average=0.9)
        student = Update(("student",), self.loss, self.lr, self.turns, (0.0, 0.8), Adam(clip=0.05))
        return (*((critic,) if self.with_critic else ()), student, Update((), self.fill, every=lambda step: step > 0))

    def critic_loss(self, nets, batch, now):
        total = (nets["critic"](batch.x) - nets["student"](batch.x).detach()).square().mean()
        return Loss(total, dict(fit=total))

    def loss(self, nets, batch, now):
        x = batch.x + 0.1 * torch.randn(batch.x.shape, generator=now.rng("noise"))
        total = (nets["student"](x) - nets["teacher"](x)).square().mean() + 0.1 * nets["critic"](x).square().mean()
        return Loss(total, dict(match=total))

    def fill(self, nets, batch, now):
        nets["memory"].sum.add_(batch.x.mean(0))
        nets["memory"].count.add_(1)
        return Loss(torch.zeros(()))


def go_on(nets) -> None:
    """Enter the second act from the student's slow average."""
    nets["student"].load_state_dict(nets["student.average1"].state_dict())


def new(method=None, data=None, *, steps: int = 8, start: float = 0.5, **options) -> Run:
    nets = {"teacher": Line(2.0), "student": Line(start)}
    return Run(method or Follow(), nets, data or Points(), steps=steps, **options)


def drain(run: Run, until: int | None = None) -> Run:
    for _ in train(run, until):
        pass
    return run


def bits(run: Run) -> dict[str, bytes]:
    """Every tensor that a step could move: nets, averages, optimiser moments, as bytes."""
    found = {f"{name}/{k}": v for name, net in (run.nets | run.averages).items() for k, v in net.state_dict().items()}
    for i, (optimizer, weights) in enumerate(zip(run.optimizers, run.learners, strict=True)):
        for j, weight in enumerate(weights):
            found |= {f"optimizer {i}/{j}/{k}": v for k, v in optimizer.state.get(weight, {}).items()}
    return {name: tensor.detach().numpy().tobytes() for name, tensor in found.items()}


def back_from(folder: Path) -> tuple[Run, dict]:
    """A fresh run brought to the newest whole checkpoint of a folder, and the state that was read."""
    run = new(folder=folder)
    return run, restore(run)


def one_of_two(rank: int, folder: str) -> None:
    """One of two processes that share the micro-batches of a run; writes its student's weights."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    run = drain(new(Rich(), steps=6, blocks=2, place=Place(rank=rank, world=2)))
    found = bits(run)
    Path(folder, f"{rank}.txt").write_text("\n".join(f"{name} {found[name].hex()}" for name in sorted(found)))
    torch.distributed.barrier()
    os._exit(0)  # all is written: gloo's threads sometimes abort a process that takes itself down in order
