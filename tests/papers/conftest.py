"""A folder of records of our own, so that no test depends on which papers run today."""

import pytest

HEAD = """
title = "A Paper"
arxiv = "2303.01469"
arxiv_checked = true
year = 2023
family = "trajectory"
kind = "objective"
trust = "recalled"
"""
RUNS = HEAD + """
method = "steps.consistency:ConsistencyDistillation"
settings = { grid = 8 }
departures = ["the boundary sits at zero"]

[[claim]]
says = "a fresh target beats an old one"
bench = "gmm2d"
measure = "energy_distance"
on = { average = 0.0 }
off = { average = 0.95 }
expect = "on < off"
seeds = 3
budget = { steps = 4, batch_size = 8 }

[[claim]]
says = "two steps are no worse than one"
bench = "gmm2d"
measure = "energy_distance"
on = { average = 0.0, num_inference_steps = 2 }
off = { average = 0.0 }
expect = "on <= off + 0.5"
seeds = 3
budget = { steps = 4, batch_size = 8 }

[[identity]]
says = "the boundary holds"
check = "somewhere:boundary"
bound = 1e-6
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "runs.toml").write_text(RUNS, encoding="utf-8")
    (tmp_path / "waits.toml").write_text(HEAD.replace("A Paper", "Another") + 'status = "missing"\n', encoding="utf-8")
    return tmp_path


@pytest.fixture
def runs():
    return RUNS
