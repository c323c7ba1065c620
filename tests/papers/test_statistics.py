import math

import numpy
import pytest

from workbench.papers.expectation import parse
from workbench.papers.statistics import compare, interval


def test_interval_worked_by_hand():
    # 1..5: mean 3, s^2 = 10/4, standard error sqrt(2.5/5) = 0.70711; t(0.95, 4) = 2.13185 (tables)
    mean, low, high = interval([1, 2, 3, 4, 5])
    assert mean == 3
    assert low == pytest.approx(3 - 2.13185 * 0.70711, abs=2e-5)
    assert high == pytest.approx(3 + 2.13185 * 0.70711, abs=2e-5)


def test_one_value_has_no_interval():
    with pytest.raises(ValueError, match="at least 2 values"):
        interval([1.0])


def test_difference_worked_by_hand():
    # on - off = -1, -2, -3: mean -2, s = 1, error 1/sqrt(3), t(0.95, 2) = 2.91999
    verdict = compare([1, 2, 3], [2, 4, 6], parse("on < off"))
    assert verdict.effect == -2 and verdict.held
    assert verdict.high == pytest.approx(-2 + 2.91999 / math.sqrt(3), abs=1e-5)
    assert not compare([1, 2, 3], [2, 4, 6], parse("on > off")).held
    assert not compare([1, 2, 3], [2, 4, 6], parse("on < off - 0.5")).held  # high is -0.314


@pytest.mark.parametrize("expect, allowed", [("on < off", 0), ("on > off", 0), ("on < 0.5 * off", 0.5),
                                             ("on < off - 0.1", 0.1), ("on <= off + 0.1", -0.1)])
def test_at_the_threshold_one_in_twenty_passes(expect, allowed):
    """1000 simulations of 5 seeds exactly at the threshold: at most 5 %, give or take three standard errors."""
    generator, expectation, passed = numpy.random.default_rng(0), parse(expect), 0
    for _ in range(1000):
        off = numpy.exp(0.3 * generator.standard_normal(5))
        noise = 0.2 * generator.standard_normal(5)
        on = off * 0.5 * numpy.exp(noise) if "*" in expect else off - allowed + noise
        passed += compare(on.tolist(), off.tolist(), expectation).held
    assert passed <= 50 + 3 * math.sqrt(1000 * 0.05 * 0.95)
    assert passed >= 50 - 3 * math.sqrt(1000 * 0.05 * 0.95)  # nor is the test stricter than it says


def test_a_real_effect_passes_where_seeds_vary_more_than_it():
    generator, passed = numpy.random.default_rng(1), 0
    for _ in range(200):
        seeds = generator.standard_normal(5)  # between seeds: 1, effect: 0.2, within a pair: 0.05
        on, off = seeds - 0.2 + 0.05 * generator.standard_normal(5), seeds
        passed += compare(on.tolist(), off.tolist(), parse("on < off")).held
    assert passed >= 196


def test_equal_arms_fail_every_strict_claim_and_pass_non_inferiority():
    same = [0.1, 0.2, 0.3]
    for expect in ("on < off", "on > off", "on < 0.9 * off", "on > 1.1 * off"):
        assert not compare(same, same, parse(expect)).held
    assert compare(same, same, parse("on <= off + 0.01")).held
    assert compare(same, same, parse("on >= 0.9 * off")).held


def test_ratio_is_reported_as_a_ratio():
    verdict = compare([1.0, 2.0, 4.0], [2.0, 4.0, 8.0], parse("on < 0.6 * off"))
    assert verdict.held and verdict.effect == pytest.approx(0.5) and verdict.threshold == pytest.approx(0.6)


@pytest.mark.parametrize("on, off, expect, word", [
    ([1, math.nan], [2, 3], "on < off", "on is nan at figure 2"),
    ([1, 2], [math.inf, 3], "on < off", "off is inf at figure 1"),
    ([-1, 2], [2, 3], "on < 0.5 * off", "ratios need positive"),
])
def test_nothing_to_compare_is_not_held(on, off, expect, word):
    verdict = compare(on, off, parse(expect))
    assert not verdict.held and word in verdict.note


def test_unpaired_arms_are_refused():
    with pytest.raises(ValueError, match="paired by seed"):
        compare([1, 2], [1, 2, 3], parse("on < off"))
