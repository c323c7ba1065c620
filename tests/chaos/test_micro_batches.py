"""Two micro-batches against one.

Draws are keyed by micro-batch, so a step of two micro-batches of B samples is not the step of one batch of 2 B drawn
anew. It is, bit for bit, the gradients of the two losses accumulated by hand; and, up to the rounding of a sum taken in
another order, the loss and gradient of one batch that holds the samples and the draws of both.
"""

import pytest
import torch

from workbench import benches
from workbench.benches.assemble import born
from workbench.methods.steps import consistency
from workbench.train.loop import train
from workbench.types import Samples

METHOD = consistency.ConsistencyDistillation()


def new(blocks: int):
    return born(benches.load("gmm2d"), METHOD, seed=5, steps=12, batch_size=32, blocks=blocks)


def test_two_micro_batches_are_accumulated_by_hand():
    run, bare = new(2), new(2)
    student, update = bare.nets["student"], bare.updates[0]
    adam = torch.optim.Adam(student.parameters(), betas=(0.9, 0.999), eps=1e-8, fused=True)
    for stepped in train(run):
        adam.zero_grad()
        for block in (0, 1):
            now = bare.now(0, block)
            (update.loss(bare.views, bare.data.at(bare.step, block), now).total / 2).backward()
        now = bare.now(0, 0)
        adam.param_groups[0]["lr"] = update.lr(now)
        adam.step()
        for name, decay in zip(("student.average", "student.average1"), update.average, strict=True):
            mu, average = decay(now) if callable(decay) else decay, bare.averages[name]
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), list(student.parameters()), 1 - mu)
        bare.advance()
        assert stepped.step == bare.step
    pairs = zip((run.nets | run.averages).values(), (bare.nets | bare.averages).values(), strict=True)
    for net, other in pairs:
        assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
    assert not torch.equal(student.out.weight, new(2).nets["student"].out.weight)


def test_two_micro_batches_are_one_batch_of_both(monkeypatch):
    run = new(2)
    weights, loss = list(run.nets["student"].parameters()), run.updates[0].loss
    nows, halves = [run.now(0, block) for block in (0, 1)], [run.data.at(0, block) for block in (0, 1)]
    apart = [loss(run.views, half, now).total for half, now in zip(halves, nows, strict=True)]
    gradients = torch.autograd.grad(sum(apart) / 2, weights)

    def of_both(draw):
        return lambda *arguments: torch.cat([draw(*arguments[:-1], now) for now in nows])

    integers, noise_like = consistency.integers, consistency.noise_like
    monkeypatch.setattr(consistency, "integers", of_both(lambda low, high, count, now: integers(low, high, 32, now)))
    monkeypatch.setattr(consistency, "noise_like", of_both(lambda x, now: noise_like(x[:32], now)))
    together = loss(run.views, Samples(torch.cat([half.x for half in halves])), nows[0]).total
    assert float(together.detach()) == pytest.approx(float(sum(apart).detach()) / 2, rel=1e-6)
    for one, two in zip(torch.autograd.grad(together, weights), gradients, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)


def test_one_batch_of_its_own_is_another_step():
    """The control: draws are keyed by micro-batch, so one batch gives other numbers, and the tests above can fail."""
    norms = [next(train(new(blocks))).taken[0].grad_norm for blocks in (1, 2)]
    assert not torch.equal(*norms)
