"""What both mixture benches promise: counted data, exact truth, metrics that see failures, computed references."""

import math

import pytest
import torch

from workbench.benches import load
from workbench.benches.bench import Generated
from workbench.noise import Edm, LinearFlow, TrigFlow, speak

BENCHES = [load("gmm2d"), load("gmmd"), load("gmm2d", conditional=True)]


@pytest.mark.parametrize("bench", BENCHES, ids=lambda b: f"{b.name}-{b.conditional}")
def test_data_are_counted_and_fresh_at_each_step_and_block(bench):
    data = bench.data(0, 64)
    again = bench.data(0, 64)
    state = torch.get_rng_state()
    first = data.at(0)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.x.shape == (64, *bench.shape) and first.x.dtype == torch.float32
    assert torch.equal(first.x, again.at(0).x)
    others = [data.at(1).x, data.at(0, 1).x, bench.data(1, 64).at(0).x]
    assert not any(torch.equal(first.x, other) for other in others)
    assert (first.y is not None) == bench.conditional == (bench.num_classes is not None)


@pytest.mark.parametrize("bench", BENCHES, ids=lambda b: f"{b.name}-{b.conditional}")
def test_sigma_data_is_the_spread_of_the_data(bench):
    x = bench.data(0, 50_000).at(0).x
    spread = (x - x.mean(0)).square().mean().sqrt().item()
    assert spread == pytest.approx(bench.sigma_data, rel=0.01)
    process = bench.process(LinearFlow)
    assert (process.sigma_min, process.sigma_max, process.sigma_data) == (
        bench.sigma_min, bench.sigma_max, bench.sigma_data,
    )  # fmt: skip


@pytest.mark.parametrize("bench", BENCHES, ids=lambda b: f"{b.name}-{b.conditional}")
def test_student_teacher_and_start_fit_together(bench):
    noise, cond = bench.start(32, 5)
    assert torch.equal(noise, bench.start(32, 5)[0]) and not torch.equal(noise, bench.start(32, 6)[0])
    assert (cond is not None) == bench.conditional
    process = bench.process(TrigFlow)
    t = torch.full((32,), process.t_max)
    student = bench.student(0, second_time=True, guided=True)
    assert student.process == process and student.num_classes == bench.num_classes
    for net in (student, bench.teacher()):
        x0 = speak(net, process, "x0")(process.prior(noise), t, t / 2, cond)
        assert x0.shape == noise.shape and x0.isfinite().all()
    assert bench.teacher() is bench.teacher() is not bench.truth and not list(bench.teacher().parameters())


@pytest.mark.parametrize("bench", BENCHES, ids=lambda b: f"{b.name}-{b.conditional}")
def test_the_exact_map_of_the_noise_has_no_error_and_reads_as_perfect(bench):
    noise, cond = bench.start(1024, 0)
    values = bench.measure(Generated(bench.endpoints(noise, cond).float(), cond, noise))
    assert tuple(values) == bench.metrics
    assert values["endpoint_error"] < 1e-6 and values["modes_hit"] == 8 and values["outside"] < 0.005
    perfect = bench.perfect(1024, seeds=5)
    assert tuple(perfect) == bench.metrics
    wide = 3 * (perfect["energy_distance"].high - perfect["energy_distance"].low)
    assert abs(values["energy_distance"] - perfect["energy_distance"].mean) < wide
    assert values["nll"] == pytest.approx(perfect["nll"].mean, abs=0.3)


@pytest.mark.parametrize("bench", BENCHES[:2], ids=lambda b: b.name)
def test_measures_tell_failures_from_perfection(bench):
    x, _ = bench.teacher().sample(1000, torch.Generator().manual_seed(0))
    perfect = bench.perfect(1000, seeds=5)
    noisy = bench.measure(Generated(x + 0.5 * bench.sigma_data * bench.start(1000, 0)[0]))
    dropped = bench.measure(Generated(x[torch.cdist(x.double(), bench.truth.means).argmin(1) != 3]))
    for name in ("energy_distance", "sliced_wasserstein"):
        assert min(noisy[name], dropped[name]) > perfect[name].high
    assert noisy["outside"] > 0.5 and noisy["nll"] > perfect["nll"].high
    assert dropped["modes_hit"] == 7 and dropped["mode_p"] < 1e-6
    blown = bench.measure(Generated(torch.full((16, *bench.shape), math.nan)))
    assert blown["outside"] == 1 and blown["modes_hit"] == 0 and math.isnan(blown["energy_distance"])


def test_endpoints_are_kept_by_content_and_follow_the_label_and_scale():
    bench = load("gmm2d", conditional=True)
    noise, cond = bench.start(64, 0)
    assert bench.endpoints(noise, cond) is bench.endpoints(noise.clone(), cond.clone())
    plain, guided = bench.endpoints(noise, cond), bench.endpoints(noise, cond, 3.0)
    assert len(bench.memory) == 2 and not torch.allclose(plain, guided, atol=1e-3)
    assert bench.teacher().posterior(plain, torch.zeros(64, dtype=torch.float64)).argmax(1).remainder(4).equal(cond)
    wrong = bench.measure(Generated(plain.float(), cond, noise, guidance=3.0))
    assert bench.measure(Generated(guided.float(), cond, noise, guidance=3.0))["endpoint_error"] < 1e-6
    assert wrong["endpoint_error"] > 0.01


def test_the_prior_of_every_process_is_the_noise_the_endpoints_start_from():
    bench = load("gmm2d")
    noise, _ = bench.start(16, 0)
    for kind in (Edm, TrigFlow, LinearFlow):
        process = bench.process(kind)
        t = torch.full((16,), process.t_max, dtype=torch.float64)
        x_t = process.prior(noise.double())
        landed = process.jump(x_t, t, 0 * t, speak(bench.teacher(), process, "x0")(x_t, t, 0 * t))
        assert torch.allclose(landed, bench.endpoints(noise), atol=1e-6)


def test_reference_is_computed_once():
    bench = load("gmm2d")
    calls = []
    object.__setattr__(bench, "perfect", lambda: calls.append(1) or {"nll": 0})
    assert bench.reference is bench.reference and calls == [1]


def test_equal_benches_are_equal_and_steps_follow_the_budget():
    assert load("gmm2d") == load("gmm2d") != load("gmm2d", std=0.1)
    assert load("gmm2d").budget.steps == 20_000  # 1.024e7 / 512
