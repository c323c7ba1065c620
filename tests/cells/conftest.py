"""One bench, its teacher and a student of a few steps, shared by the tests of the verbs."""

import pytest

from workbench import cells as w
from workbench.benches import load


@pytest.fixture(scope="session")
def ring():
    return load("gmm2d")


@pytest.fixture(scope="session")
def teacher(ring):
    return w.teacher(ring, num_inference_steps=8)


@pytest.fixture(scope="session")
def student(ring, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "student"
    return w.distil("consistency", ring, steps=40, batch_size=64, seed=1, folder=folder, grid=6)
