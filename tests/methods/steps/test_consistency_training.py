"""Improved consistency training: N(k), the log-normal mass, lambda and pseudo-Huber by hand; the limit of one point."""

import math

import pytest
import torch

from tests.methods.fakes import Times, at, drawn, points
from tests.train.toys import Line, Points
from workbench.methods.parts.grids import log_normal_grid
from workbench.methods.steps.consistency_training import ConsistencyTraining
from workbench.noise import Edm
from workbench.papers.identities import consistency_training
from workbench.train.loop import train
from workbench.train.run import Run


@pytest.mark.parametrize(("step", "levels"), [
    (0, 11), (999, 11), (1000, 21), (1999, 21), (2000, 41), (6999, 641), (7000, 1281), (7999, 1281),
])  # fmt: skip
def test_the_grid_doubles_as_equation_14_says(step, levels):
    """K = 8000: K' = 8000 / (log2 128 + 1) = 1000."""
    assert ConsistencyTraining().grid(at(step, 8000)) == levels


def test_the_grid_stays_where_asked_and_never_exceeds_its_end():
    fixed, uneven = ConsistencyTraining(start_grid=30, end_grid=30), ConsistencyTraining(start_grid=30, end_grid=100)
    assert [fixed.grid(at(k, 100)) for k in (0, 50, 99)] == [31] * 3
    # K' = floor(100 / (log2 floor(100/30) + 1)) = floor(100 / 2.58) = 38; the third doubling would be 120
    assert [uneven.grid(at(k, 100)) for k in (0, 37, 38, 75, 76, 99)] == [31, 31, 61, 61, 101, 101]


def test_the_mass_of_each_interval_is_the_log_normals():
    """erf((log sigma' - P)/(sqrt 2 S)) - erf((log sigma - P)/(sqrt 2 S)), normalised; three levels by hand."""
    times, sigmas, cumulated = log_normal_grid(Edm(), 3, -1.1, 2.0)
    middle = ((80 ** (1 / 7) + 0.002 ** (1 / 7)) / 2) ** 7
    assert sigmas.tolist() == pytest.approx([0.002, middle, 80.0], rel=1e-6) and torch.equal(times, sigmas)
    edges = [math.erf((math.log(v) + 1.1) / (2 * math.sqrt(2))) for v in (0.002, middle, 80.0)]
    assert cumulated.tolist() == pytest.approx([(edges[1] - edges[0]) / (edges[2] - edges[0]), 1.0], rel=1e-6)


def test_levels_are_drawn_with_that_mass():
    batch = points(40_000)
    method = ConsistencyTraining(start_grid=10, end_grid=10)
    loss = method.loss({"student": Times(1.0), "student.average": Times(1.0)}, batch, at())
    times, _, cumulated = log_normal_grid(Edm(), 11, -1.1, 2.0)
    mass = torch.diff(cumulated, prepend=torch.zeros(1)).double()
    found = torch.stack([(loss.seen["t"] == level).double().mean() for level in times[1:]])
    assert bool(((found - mass).abs() <= 5 * torch.sqrt(mass * (1 - mass) / 40_000) + 1e-9).all())


def test_the_loss_by_hand():
    """Both levels share one noise; pseudo-Huber with c = 0.00054 sqrt 2; lambda = 1/(sigma' - sigma)."""
    batch, now = points(), at()
    method = ConsistencyTraining(Edm(1.0, 4.0), start_grid=1, end_grid=1)  # two levels, 1 and 4
    roles = {"student": Times(0.7), "student.average": Times(0.4)}
    loss = method.loss(roles, batch, now)
    noise, c = drawn("noise", now, batch.x), 0.00054 * math.sqrt(2)
    guess, target = 0.7 * (batch.x + 4 * noise), 0.4 * (batch.x + noise)
    gap = torch.sqrt((guess - target).square().sum(1) + c**2) - c
    assert torch.allclose(loss.seen["target"], target, rtol=1e-6)
    assert torch.allclose(loss.seen["guess"], guess, rtol=1e-6)
    assert loss.total.item() == pytest.approx(float((gap / 3).mean()), rel=1e-6)
    assert roles["student.average"].asked[0]["t"].tolist() == pytest.approx([1.0] * 64, rel=1e-6)
    assert not roles["student.average"].asked[0]["grad"]


class Spoken(Line):
    """A line that takes a time and a label."""

    def forward(self, x_t, t, s=None, cond=None, guidance=None):
        return super().forward(x_t)


@pytest.mark.parametrize("average", [0.0, 0.95])
def test_at_average_zero_the_target_is_the_students_current_weights(average):
    run = Run(ConsistencyTraining(average=average), {"student": Spoken()}, Points(), steps=6)
    same = []
    for _ in train(run):
        same.append(torch.equal(run.averages["student.average"].w, run.nets["student"].w))
    assert all(same) if average == 0 else not any(same)


def test_it_asks_no_teacher():
    method = ConsistencyTraining()
    method.loss({"student": Times(0.7), "student.average": Times(0.4)}, points(), at())  # there is none to ask


def test_one_point_has_a_finite_limit_with_the_current_weights():
    assert consistency_training.delta_limit() < 1e-3
    assert consistency_training.first_order() < 0.02
    assert consistency_training.limit() == pytest.approx(2 * (1.1 - 0.3) * 0.303, rel=0.01)


def test_one_point_diverges_with_a_lagging_target():
    assert consistency_training.lagging_target_diverges() < 0.02
