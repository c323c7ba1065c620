"""Orders against what theory says, straightness of paths that are known, the table of switches."""

import math

import pytest
import torch

from workbench import cells as w
from workbench.benches import load
from workbench.cells.solvers import slope, walked_by
from workbench.cells.straightness import turns


def test_the_orders_seen_are_the_solvers_own(teacher):
    found = {one.solver: one for one in w.orders(teacher, num_inference_steps=(16, 32, 64, 128), n=256)}
    assert -found["euler"].slope == pytest.approx(1, abs=0.25)
    assert -found["heun"].slope == pytest.approx(2, abs=0.5) and -found["dpmpp"].slope == pytest.approx(2, abs=0.5)
    assert abs(found["ancestral"].slope) < 0.2 and min(found["ancestral"].error) > 0.5
    assert found["heun"].evaluations == [31, 63, 127, 255]


def test_a_slope_is_that_of_the_finer_half():
    assert slope([1, 2, 4, 8], [9.0, 9.0, 1.0, 0.25]) == pytest.approx(-2)
    assert math.isnan(slope([4], [1.0]))


def test_solvers_walk_one_noise(teacher):
    found = w.solvers(teacher, names=("euler", "heun"), num_inference_steps=3, seed=4)
    assert [*found] == ["euler", "heun"] and torch.equal(found["euler"][0].x_t, found["heun"][0].x_t)
    with pytest.raises(ValueError, match="unknown solver 'rk4'; known: euler"):
        walked_by(teacher, "rk4")


def test_turns_by_hand():
    steps = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]], [[0.0, 2.0]], [[0.0, -1.0]]]).double()
    assert turns(steps).tolist() == pytest.approx([0, 90, 180], abs=1e-5)


def test_a_ring_s_paths_bend():
    ring = w.straightness(w.teacher(load("gmm2d"), num_inference_steps=40), samples=200)
    assert ring.straightness.shape == (200,) and bool((ring.straightness <= 1 + 1e-9).all())
    assert float(ring.straightness.mean()) < 0.9 and len(ring.turns) == len(ring.sigma) == 39
    with pytest.raises(ValueError, match="2 or more"):
        w.straightness(w.teacher(load("gmm2d"), num_inference_steps=1))


def test_switches_go_from_the_student_to_the_teacher(teacher, ring, tmp_path):
    student = w.distil("consistency", ring, steps=40, batch_size=64, folder=tmp_path / "run", grid=6).at(3)
    found = w.switches(teacher, student, n=256, seeds=2)
    assert [one.switch for one in found] == [0, 1, 2, 3] and found[0].evaluations == 3
    alone = [ring.measure(student.generate(None, 256, seed))["energy_distance"] for seed in range(2)]
    assert found[0].quality == pytest.approx(alone)
    whole = [ring.measure(teacher.generate(None, 256, seed))["energy_distance"] for seed in range(2)]
    assert found[-1].quality == pytest.approx(whole, abs=1e-4)
