"""Guidance distillation: the guided target and its scales by hand, two stages, labels and scales everywhere."""

from dataclasses import replace

import pytest
import torch

from tests.methods.fakes import Gaussian, Times, at, drawn, points
from workbench.methods.guidance.guidance_distillation import GuidanceDistillation
from workbench.noise import VpCosine
from workbench.papers.identities import halving

PROCESS = VpCosine(0.01, 10.0, 1.0)
STAGE_1 = GuidanceDistillation(PROCESS, start_steps=0)
A = 0.7


def nets():
    student, previous = Times(A, PROCESS), Times(0.4, PROCESS)
    return {"teacher": Gaussian(0.5, 0.2, PROCESS, shift=1.5), "student": student, "previous": previous}


def scales(now, low=1.0, high=5.0):
    return high - (high - low) * torch.rand(64, generator=now.rng("scale"))


def test_stage_one_regresses_the_guided_teacher_at_a_drawn_scale():
    batch, now, roles = points(labelled=True), at(), nets()
    loss = STAGE_1.loss(roles, batch, now)
    t = (1 - torch.rand(64, generator=now.rng("time"))) * PROCESS.t_max
    alpha, sigma = (v[:, None] for v in PROCESS.signal_noise(t))
    x_t = alpha * batch.x + sigma * drawn("noise", now, batch.x)
    gain = alpha * 0.25 / (alpha**2 * 0.25 + sigma**2)
    free = 0.2 + gain * (x_t - alpha * 0.2)
    mean = 0.2 + 1.5 * batch.y[:, None]
    bound = mean + gain * (x_t - alpha * mean)
    target = free + scales(now)[:, None] * (bound - free)  # uncond + g (cond - uncond)
    assert torch.allclose(loss.seen["x_t"], x_t, atol=1e-6) and torch.allclose(loss.seen["target"], target, atol=1e-5)
    weight = (alpha / sigma).square().clamp(1.0, 1e4)[:, 0]
    expected = (weight * (A * x_t - target).square().sum(1)).mean()
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-5) and loss.parts.keys() == {"guidance"}


def test_student_and_guide_hear_one_scale_and_one_label():
    batch, now = points(labelled=True), at()
    for method, guide in ((STAGE_1, "teacher"), (replace(STAGE_1, steps=4), "previous")):
        roles = nets()
        method.loss(roles, batch, now)
        for role in ("student", guide):
            assert all(torch.equal(call["guidance"], scales(now)) for call in roles[role].asked)
            assert all(call["cond"] is batch.y for call in roles[role].asked)
        assert len(roles[guide].asked) == (1 if guide == "teacher" else 2)
        assert guide == "teacher" or roles["teacher"].asked == []


def test_scales_cover_their_range_or_are_one():
    now = at()
    for embed, low in ((True, 1.0), (False, 5.0)):
        roles = nets()
        replace(STAGE_1, embed=embed).loss(roles, points(5000, labelled=True), now)
        heard = roles["student"].asked[0]["guidance"]
        assert heard.min().item() == pytest.approx(low, abs=0.01) and heard.max().item() == pytest.approx(5.0, abs=0.01)


def test_stage_two_makes_two_steps_of_the_previous_self_one():
    batch, roles = points(labelled=True), nets()
    loss = replace(STAGE_1, steps=4).loss(roles, batch, at())
    x, t, target = (loss.seen[name] for name in ("x_t", "t", "target"))
    stride = PROCESS.t_max / 4
    m, s = t - stride / 2, (t - stride).clamp(min=0)
    x_m = PROCESS.jump(x, t, m, 0.4 * x)
    landed = PROCESS.jump(x_m, m, s, 0.4 * x_m)
    assert torch.allclose(PROCESS.jump(x, t, s, target), landed, atol=1e-5) and loss.parts.keys() == {"halving"}


def test_acts_regress_then_halve():
    method = GuidanceDistillation(PROCESS, start_steps=4, first_stage=0.4)
    acts = method.acts(20)
    assert [(act.name, act.steps, act.method.steps) for act in acts] == [
        ("guidance", 8, 0), ("4 steps", 4, 4), ("2 steps", 4, 2), ("1 steps", 4, 1)]
    assert acts[0].enter is None and all(act.enter is not None for act in acts[1:])
    assert [(act.name, act.steps) for act in STAGE_1.acts(20)] == [("guidance", 20)]


def test_it_is_guided_and_needs_labels():
    assert GuidanceDistillation.guided and GuidanceDistillation.conditional
    assert STAGE_1.sampler().num_inference_steps > 1 and GuidanceDistillation().sampler().num_inference_steps == 1


def test_the_guided_teacher_leaves_nothing_to_learn_in_either_stage():
    assert halving.guided_zero_residual() < 1e-10
