"""A short run of what ``python -m tests.perf.sweeps`` measures on 24 jobs."""

import pytest

from tests.perf.sweeps import lives, overhead, throughput

pytestmark = pytest.mark.quiet


def test_two_slots_are_kept_busy(tmp_path):
    share = throughput(tmp_path, jobs=8)
    print(f"8 jobs on 2 slots: {share:.3f} of the ideal")
    assert share >= 0.9


def test_a_job_costs_little_more_than_its_notebook(tmp_path):
    took = lives(tmp_path, pairs=4)
    print(f"{overhead(took):.2f} s beyond bare nbclient and the imports of both: {took}")
    assert took["ours"] - took["bare"] <= 0.3
