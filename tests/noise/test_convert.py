"""Conversions: round trips through every process, the papers' wrappers, each form by hand, translated nets."""

import itertools

import pytest
import torch

from workbench.noise import FORMS, Edm, LinearFlow, Spoken, TrigFlow, VpCosine, VpLinear, from_x0, move, speak, to_x0
from workbench.papers.identities import conversions
from workbench.papers.identities.conversions import SIGMAS, Told, round_trip, states

PROCESSES = [Edm(), LinearFlow(), TrigFlow(), VpCosine(), VpLinear()]


def test_round_trips_in_fp64_are_below_1e_12():
    errors = round_trip(torch.float64, well_posed=False)
    assert errors.keys() == {"state", "time", *FORMS}
    assert max(errors.values()) < 1e-12, errors


def test_round_trips_in_fp32_are_below_5e_5():
    """Outputs in units of the terms they are made of: a noise read off x_t at sigma = 0.002 is no better known."""
    errors = round_trip(torch.float32)
    assert max(errors.values()) < 5e-5, errors


def test_round_trips_in_fp32_are_below_5e_5_of_the_output_itself_from_sigma_0_01(monkeypatch):
    monkeypatch.setattr(conversions, "SIGMAS", SIGMAS[1:])
    errors = round_trip(torch.float32, well_posed=False)
    assert max(errors.values()) < 5e-5, errors


@pytest.mark.parametrize(("source", "target"), itertools.permutations(PROCESSES, 2))
def test_a_moved_state_is_the_same_data_and_noise(source, target):
    """Noised there and noised here differ by a scale alone, and their times name one noise level."""
    x0, noise = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = source.t_max * torch.tensor([0.1, 0.4, 0.7, 0.98], dtype=torch.float64)
    x, there = move(source.add_noise(x0, t, noise), t, source, target)
    assert torch.allclose(x, target.add_noise(x0, there, noise), rtol=1e-10, atol=1e-12)


def test_a_move_is_finite_at_pure_data_and_at_pure_noise():
    x = torch.ones(2, 3)
    moved, t = move(x, torch.tensor([0.0, 1.0]), LinearFlow(), TrigFlow())
    assert t.tolist() == pytest.approx([0.0, torch.pi / 2]) and moved[0].tolist() == [1.0] * 3
    assert moved[1].tolist() == pytest.approx([0.5] * 3)  # sigma_data times unit noise


def test_every_form_by_hand():
    """VP at alpha = 0.8, sigma = 0.6: x0 = 2, eps = -1 make x_t = 1."""
    process = VpCosine()
    t = process.time(torch.tensor([0.8], dtype=torch.float64), torch.tensor([0.6], dtype=torch.float64))
    x_t, x0 = torch.tensor([[1.0]], dtype=torch.float64), torch.tensor([[2.0]], dtype=torch.float64)
    half_pi = torch.pi / 2
    expected = {"x0": 2.0, "eps": -1.0, "v": 0.8 * -1 - 0.6 * 2, "score": 1 / 0.6,
                "velocity": half_pi * (-0.6 * 2 + 0.8 * -1)}  # fmt: skip
    for form, value in expected.items():
        output = from_x0(x0, form, process, x_t, t)
        assert output.item() == pytest.approx(value, rel=1e-13), form
        assert to_x0(output, form, process, x_t, t).item() == pytest.approx(2.0, rel=1e-13), form
    trig = TrigFlow(sigma_data=0.5)
    angle = torch.atan2(torch.tensor([0.6], dtype=torch.float64), torch.tensor([0.8], dtype=torch.float64))
    state = trig.add_noise(x0, angle, torch.tensor([[-1.0]], dtype=torch.float64))
    assert from_x0(x0, "F", trig, state, angle).item() == pytest.approx(0.8 * -1 - 0.6 * 2 / 0.5, rel=1e-13)


def test_velocity_is_the_derivative_of_the_state():
    for process in PROCESSES:
        x0, noise = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        t = process.t_max * torch.tensor([0.1, 0.4, 0.7, 0.95], dtype=torch.float64)
        step = 1e-6 * process.t_max
        slope = (process.add_noise(x0, t + step, noise) - process.add_noise(x0, t - step, noise)) / (2 * step)
        assert torch.allclose(from_x0(x0, "velocity", process, process.add_noise(x0, t, noise), t), slope, rtol=1e-6)


@pytest.mark.parametrize(("check", "bound"), [
    (conversions.edm_preconditioning, 1e-12),
    (conversions.sana_sprint_wrapper, 1e-12),
    (conversions.rcm_wrapper, 1e-12),
    (conversions.ddim_step, 1e-12),
])  # fmt: skip
def test_wrapper_identities(check, bound):
    assert check() < bound


def test_second_time_label_and_guidance_reach_the_net():
    heard = {}

    class Listens(torch.nn.Module):
        process, form = TrigFlow(), "F"

        def forward(self, x_t, t, s=None, cond=None, guidance=None):
            heard.update(t=t, s=s, cond=cond, guidance=guidance)
            return torch.zeros_like(x_t)

    x_t, t, _ = states(copies=1)
    cond, guidance = torch.arange(len(t)), torch.full_like(t, 2.0)
    spoken = speak(Listens(), Edm())
    spoken(x_t, t, 0.5 * t, cond, guidance)
    assert torch.allclose(heard["t"], torch.atan(t / 0.5)) and torch.allclose(heard["s"], torch.atan(0.5 * t / 0.5))
    assert heard["cond"] is cond and heard["guidance"] is guidance
    spoken(x_t, t)
    assert heard["s"] is None and heard["cond"] is None and heard["guidance"] is None


def test_a_net_that_speaks_so_already_is_not_wrapped():
    net = Told(TrigFlow(sigma_max=10.0), "F", lambda x, t: x)
    assert speak(net, TrigFlow(sigma_max=80.0), "F") is net  # bounds change no state
    assert isinstance(speak(net, TrigFlow(sigma_data=1.0), "F"), Spoken)
    assert isinstance(speak(net, TrigFlow(sigma_max=10.0), "x0"), Spoken)


def test_features_are_asked_in_the_nets_own_process():
    class Feels(Told):
        def features(self, x_t, t, s=None, cond=None, guidance=None, taps=()):
            return {tap: (x_t, t) for tap in taps}

    x_t, t, _ = states(copies=1)
    felt = speak(Feels(TrigFlow(), "F", lambda x, t: x), Edm()).features(x_t, t, taps=("bottleneck",))["bottleneck"]
    assert torch.allclose(felt[0], move(x_t, t, Edm(), TrigFlow())[0]) and torch.allclose(felt[1], torch.atan(2 * t))


@pytest.mark.parametrize("form", ["x_0", "epsilon", ""])
def test_an_unknown_form_is_refused_with_the_known_ones(form):
    with pytest.raises(ValueError, match="unknown prediction form .*x0, eps, velocity, v, score, F"):
        speak(Told(Edm(), "x0", lambda x, t: x), Edm(), form)
    with pytest.raises(ValueError, match="unknown prediction form"):
        Spoken(Told(Edm(), form, lambda x, t: x), Edm())


def test_f_is_trigflows_alone():
    with pytest.raises(ValueError, match="F.* is TrigFlow's; with Edm"):
        speak(Told(Edm(), "x0", lambda x, t: x), Edm(), "F")
