"""Eight kills of a sweep's processes, beside the twelve of trainings in ``test_chaos``."""

import pytest

from tests.chaos.jobs import torment

pytestmark = pytest.mark.chaos


def test_a_tormented_sweep_ends_as_an_undisturbed_one(tmp_path):
    outcome = torment(tmp_path, kills=8, seed=1)
    print(outcome)
    assert outcome.killed == 8
    assert outcome.said == []  # bits, events, success told once, nothing finished redone, nobody left behind
