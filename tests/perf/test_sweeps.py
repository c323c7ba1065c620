"""A short run of what ``python -m tests.perf.sweeps`` measures on 24 jobs."""

import numpy as np
import pytest

from tests.perf.sweeps import overheads, throughput

pytestmark = pytest.mark.quiet


def test_two_slots_are_kept_busy(tmp_path):
    share = throughput(tmp_path, jobs=8)
    print(f"8 jobs on 2 slots: {share:.3f} of the ideal")
    assert share >= 0.9


def test_a_job_costs_little_more_than_its_notebook(tmp_path):
    costs = overheads(tmp_path, pairs=5)
    print(f"beyond bare nbclient and imports: median {np.median(costs):.2f} s of {[round(one, 2) for one in costs]}")
    assert np.median(costs) <= 0.3
