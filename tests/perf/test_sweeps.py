"""A short run of what ``python -m tests.perf.sweeps`` measures on 24 jobs."""

import pytest

from tests.perf.sweeps import lives, throughput

pytestmark = pytest.mark.quiet


def test_two_slots_are_kept_busy(tmp_path):
    """8 jobs, not 24: what begins and ends the sweep weighs three times as much."""
    share = throughput(tmp_path, jobs=8)
    print(f"8 jobs on 2 slots: {share:.3f} of the ideal")
    assert share >= 0.85


def test_a_job_costs_little_more_than_its_notebook(tmp_path):
    ours, bare = lives(tmp_path, pairs=5)
    print(f"a job took {ours:.2f} s, bare nbclient {bare:.2f} s")
    assert ours - bare <= 0.3
