"""The engine against loops written by hand, in few pairs: ``python -m tests.perf`` measures in full.

On a machine that is busy with other things a ratio is known to a few per cent, so a bound counts as broken when the
lower end of the 95 % interval is over it, twice in a row.
"""

import math
import time

import pytest
import torch

from tests.perf.cases import watched
from tests.perf.check import apart, unlike
from tests.perf.measure import MEASUREMENTS, QUICK, Measurement, same_samples
from tests.perf.pairs import compare, interval, keep_freed_memory


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    keep_freed_memory()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("method", ["consistency", "scm", "ctm", "dmd2"])
def test_the_mlps_training_is_the_one_written_by_hand(method):
    assert apart("mlp", method) <= 1e-6


@pytest.mark.parametrize("method", ["consistency", "dmd2"])
def test_the_unets_training_is_the_one_written_by_hand(method):
    assert apart("unet", method, steps=11, batch_size=4) <= 1e-6


def test_another_training_is_found(monkeypatch):
    monkeypatch.setattr("tests.perf.bare_steps.ramp", lambda step: 0.5)  # the average that is sampled: in no loss
    monkeypatch.setattr("tests.perf.bare_steps.cosine", lambda lr, step, steps: lr)
    assert apart("mlp", "consistency", steps=5) > 1e-6


@pytest.mark.parametrize(("net", "steps", "batch_size"), [("mlp", 30, 64), ("unet", 11, 4)])
def test_watching_changes_no_bit(tmp_path, net, steps, batch_size):
    assert unlike(net, "consistency", tmp_path / "run", steps, batch_size) == []


def test_watching_live_changes_no_bit(tmp_path):
    assert unlike("mlp", "consistency", tmp_path / "run", by=lambda run: watched(run, 0.0)) == []


def test_the_walk_samples_what_the_plain_sampler_does():
    assert same_samples() == ""


def over(measurement: Measurement) -> str:
    """What was found where the bound is broken, nothing where it holds."""
    found = measurement.taken(QUICK)
    print(f"{found.ratio:.3f} [{found.low:.3f}, {found.high:.3f}]")
    return f"{found.ratio:.3f} [{found.low:.3f}, {found.high:.3f}]" if found.low > measurement.bound else ""


QUICK_ONES = ("mlp", "recorders.mlp", "watching", "walk")


@pytest.mark.quiet
@pytest.mark.parametrize("name", [name for name in MEASUREMENTS if name.startswith(QUICK_ONES)])
def test_bounds(name):
    measurement = MEASUREMENTS[name]
    first = over(measurement)
    second = first and over(measurement)
    assert not second, f"{name} took {first} and, again, {second} of the loop it is compared with: {measurement.bound}"


def slower(steps, share):
    """The same generator, each step taking ``share`` longer."""
    while True:
        started = time.process_time()
        seen = next(steps)
        until = time.process_time() + share * (time.process_time() - started)
        while time.process_time() < until:
            pass
        yield seen


@pytest.mark.quiet
def test_ten_per_cent_are_found():
    with MEASUREMENTS["null.mlp"].both() as (a, b):
        assert compare(slower(a, 0.1), b, pairs=QUICK, turns=5).low > 1.05


@pytest.mark.parametrize("count", [10, 30, 60, 61, 120])
def test_the_interval_holds_the_median_19_times_in_20(count):
    low, high = interval(count)
    law = [math.comb(count, k) / 2**count for k in range(count + 1)]
    assert sum(law[low + 1 : high + 1]) >= 0.95 > sum(law[low + 2 : high])
