"""Guidance wraps any form: it commutes with translation and refuses a scale without labels."""

import pytest
import torch

from workbench.benches import load
from workbench.noise import TrigFlow, speak
from workbench.teachers.guidance import Guided

X, T, Y = torch.linspace(-1, 1, 16).reshape(8, 2), torch.linspace(0.05, 1.4, 8), torch.arange(8) % 4


def test_a_guided_net_is_the_mixture_s_own_guidance_in_every_form():
    bench = load("gmm2d")
    process = bench.process(TrigFlow)
    for form in ("x0", "eps", "velocity", "v", "score", "F"):
        wrapped = Guided(speak(bench.teacher(), process, form), 3.0)
        assert wrapped.form == form and wrapped.process is process
        expected = speak(bench.teacher(), process, form)(X, T, None, Y, 3.0)
        assert torch.allclose(wrapped(X, T, None, Y), expected, rtol=1e-3, atol=1e-4)


def test_scale_one_is_the_conditional_net_and_zero_the_unconditional():
    teacher = load("gmm2d").teacher()
    assert torch.allclose(Guided(teacher, 1.0)(X, T, None, Y), teacher(X, T, None, Y), atol=1e-6)
    assert torch.equal(Guided(teacher, 0.0)(X, T, None, Y), teacher(X, T))
    assert torch.equal(Guided(teacher, 1.0)(X, T), teacher(X, T))


def test_a_scale_in_the_call_overrides_per_sample():
    teacher = load("gmm2d").teacher()
    scales = torch.tensor([0.0, 1.0, 2.0, 4.0] * 2)
    each = torch.cat([Guided(teacher, g)(X[i : i + 1], T[i : i + 1], None, Y[i : i + 1]) for i, g in enumerate(scales)])
    assert torch.allclose(Guided(teacher, 9.0)(X, T, None, Y, scales), each, atol=1e-6)


def test_it_counts_two_evaluations():
    calls = []
    teacher = load("gmm2d").teacher()
    handle = teacher.register_forward_hook(lambda *_: calls.append(1))
    wrapped = Guided(teacher, 2.0)
    wrapped(X, T, None, Y)
    handle.remove()
    assert len(calls) == wrapped.evaluations == 2


def test_a_scale_without_labels_is_refused():
    wrapped = Guided(load("gmm2d").teacher(), 2.0)
    for guidance in (None, 3.0, torch.full((8,), 3.0)):
        with pytest.raises(ValueError, match="needs labels"):
            wrapped(X, T, guidance=guidance)
