"""The training loop: one generator, one event per step. Pausing is not calling ``next``; watching is consuming."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext

import torch
from torch import Tensor

from workbench.train.divergence import check
from workbench.train.run import Run
from workbench.types import Loss, Stepped, Taken


def train(run: Run, until: int | None = None) -> Iterator[Stepped]:
    """Step the run to its end, or to ``until`` steps since birth; at every yield it is whole: save, fork or look."""
    end = run.steps if until is None else min(until, run.steps)
    while run.step < end:
        act, batches = run.acts[run.act].name, [run.data.at(run.step, block) for block in run.place.blocks(run.blocks)]
        due = [index for index, update in enumerate(run.updates) if update.due(run.act_step)]
        taken = tuple(take(run, index, batches) for index in due)
        act_step = run.act_step + 1
        run.advance()
        yield Stepped(run.step, act, act_step, taken)
        if run.place.device.type == "cpu" or run.step % 100 == 0:
            check(run, taken)


def take(run: Run, index: int, batches: list) -> Taken:
    """One gradient step for the update's own learners: micro-batches, clipping, optimiser, averages."""
    update, weights = run.updates[index], run.learners[index]
    for weight in weights:
        weight.grad = None
    blocks, shown = run.place.blocks(run.blocks), []
    if not weights and run.place.world > 1:  # a memory is filled by all micro-batches, on every process alike
        blocks = range(run.blocks)
        batches = [run.data.at(run.step, block) for block in blocks]
    with nullcontext() if run.shards is None else run.shards.learning(weights):
        for block, batch in zip(blocks, batches, strict=True):
            with torch.set_grad_enabled(bool(weights)), run.place.autocast():
                loss = update.loss(run.views, batch, run.now(index, block))
            shown = shown or [quiet(loss)]  # the first micro-batch's, which one process and the first of several have
            if weights:
                total = loss.total if run.blocks == 1 else loss.total / run.blocks
                total.backward(inputs=weights) if run.shards is None else run.shards.backward(total)
    now = run.now(index, 0)
    lr = float(update.lr(now)) if callable(update.lr) else update.lr
    norm, good = descend(run, index, lr) if weights else (torch.zeros(()), 1.0)
    if run.followers[index]:
        follow(run, index, now, good)
    return Taken(index, update.trains, shown[0], norm, lr)


def descend(run: Run, index: int, lr: float) -> tuple[Tensor, Tensor | float]:
    """Clip and step; a non-finite gradient changes no weight, decided on the device: (its norm [], 1 or then 0)."""
    optimizer, clip = run.optimizers[index], run.updates[index].optimizer.clip
    weights = [weight for weight in run.learners[index] if weight.grad is not None]
    gradients = [weight.grad for weight in weights]
    if run.shards is None:
        run.place.sum(gradients)
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    else:
        run.shards.sum(weights)
        norm = run.shards.norm(weights)
    if clip is not None:
        torch._foreach_mul_(gradients, (clip / (norm + 1e-6)).clamp(max=1.0))
    if norm.device.type == "cpu":  # the host may look, and leave out a bad step, at half the cost of a flag
        good = float(math.isfinite(norm))
    else:
        good = torch.isfinite(norm).float()
        optimizer.found_inf = 1 - good
    if isinstance(good, Tensor) or not good or run.bad_streak[index]:
        run.bad_streak[index].add_(1).mul_(1 - good)
    for group in optimizer.param_groups:
        group["lr"] = lr
    if isinstance(good, Tensor) or good:
        optimizer.step()
    return norm, good


def follow(run: Run, index: int, now, good: Tensor | float) -> None:
    """Move the averages of the update's first learner: mu average + (1 - mu) weights, unless ``good`` is 0."""
    decay = run.updates[index].average
    decays = [mu(now) if callable(mu) else mu for mu in (decay if isinstance(decay, tuple) else (decay,))]
    with torch.no_grad():
        for mu, (averages, weights) in zip(decays, run.followers[index], strict=True):
            share = (1 - mu) * good
            torch._foreach_lerp_(averages, weights, [share] * len(weights) if isinstance(share, Tensor) else share)


def quiet(loss: Loss) -> Loss:
    """The loss without its graph."""
    return Loss(loss.total.detach(), {k: v.detach() for k, v in loss.parts.items()},
                {k: v.detach() if v.requires_grad else v for k, v in loss.seen.items()})
