"""Progressive distillation: the target of two steps by hand, the weight, the halving of acts."""

import pytest
import torch

from tests.methods.fakes import Gaussian, Times, at, drawn, points
from workbench.methods.steps.progressive import ProgressiveDistillation
from workbench.noise import LinearFlow, VpCosine
from workbench.papers.identities import halving

A, B = 0.7, 0.4
FLOW = LinearFlow(0.0, float("inf"))


def test_the_loss_by_hand():
    """Flow, one stride 1 -> 1/2 -> 0 of a guide g = b x: x(1/2) = (b + 1) x/2, then x0 = b (b + 1) x/2."""
    batch, now = points(), at()
    method = ProgressiveDistillation(FLOW, start_steps=1, steps=1)
    roles = {"teacher": Times(B, FLOW), "student": Times(A, FLOW)}
    loss = method.loss(roles, batch, now)
    x = drawn("noise", now, batch.x)  # at t = 1 nothing of the data is left
    assert torch.allclose(loss.seen["x_t"], x) and loss.seen["t"].tolist() == [1.0] * 64
    assert torch.allclose(loss.seen["target"], B * (B + 1) / 2 * x, rtol=1e-6)
    expected = (A * x - B * (B + 1) / 2 * x).square().sum(1).mean()
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-6)  # SNR 0, so the weight is 1
    assert [call["t"].unique().item() for call in roles["teacher"].asked] == [1.0, 0.5]
    assert not roles["teacher"].asked[0]["grad"]


def test_the_weight_is_the_truncated_snr():
    batch, method = points(), ProgressiveDistillation(FLOW, steps=4)
    loss = method.loss({"teacher": Times(B, FLOW), "student": Times(A, FLOW)}, batch, at())
    t = loss.seen["t"].double()
    assert set(t.tolist()) == {0.25, 0.5, 0.75, 1.0}
    weight = ((1 - t) / t).square().clamp(min=1.0)  # 9, 1, 1, 1
    gap = (loss.seen["guess"] - loss.seen["target"]).square().sum(1)
    assert loss.total.item() == pytest.approx((weight * gap).mean().item(), rel=1e-6)


def test_one_ddim_step_with_the_target_is_two_of_the_guide():
    process, batch = VpCosine(0.002, 10.0, 1.0), points()
    guide = Gaussian(0.6, 0.2, process)
    loss = ProgressiveDistillation(process, steps=4).loss({"teacher": guide, "student": guide}, batch, at())
    x, t, target = (loss.seen[name] for name in ("x_t", "t", "target"))
    stride = process.t_max / 4
    m, s = t - stride / 2, (t - stride).clamp(min=0)
    x_m = process.jump(x, t, m, guide(x, t))
    two = process.jump(x_m, m, s, guide(x_m, m))
    assert torch.allclose(process.jump(x, t, s, target), two, atol=1e-5)


def test_acts_halve_and_hand_over():
    acts = ProgressiveDistillation(start_steps=8, end_steps=2).acts(11)
    assert [(act.name, act.method.steps, act.method.guide) for act in acts] == [
        ("8 steps", 8, "teacher"), ("4 steps", 4, "previous"), ("2 steps", 2, "previous")]
    assert [act.steps for act in acts] == [3, 4, 4] and acts[0].enter is None and acts[1].enter is acts[2].enter
    assert acts[2].method.sampler().num_inference_steps == 2


@pytest.mark.parametrize(("start", "end"), [(6, 1), (2, 4), (12, 8), (3, 2)])
def test_a_start_that_is_no_power_of_two_times_the_end_is_refused(start, end):
    with pytest.raises(ValueError, match=f"end_steps times a power of two, got {start} and {end}"):
        ProgressiveDistillation(start_steps=start, end_steps=end).acts(100)


def test_too_few_training_steps_are_refused():
    with pytest.raises(ValueError, match="4 halvings need at least as many training steps, got 3"):
        ProgressiveDistillation(start_steps=8).acts(3)


def test_the_identities():
    assert halving.two_ddim_steps() < 1e-12
    assert halving.progressive_zero_residual() < 1e-10
