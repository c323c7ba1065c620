"""A folder with two checkpoints, and what they hold."""

import pytest

from tests.train.toys import bits, drain, new
from workbench.train.checkpoint import save_run


@pytest.fixture
def two(tmp_path):
    """A folder with checkpoints at steps 2 and 4, and the run's bits at each."""
    run, known = new(folder=tmp_path), {}
    for step in (2, 4):
        save_run(drain(run, step), offset=step)
        known[step] = bits(run)
    return tmp_path, known
