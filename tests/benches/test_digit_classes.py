"""Digit classes: labelled data, a teacher that knows more than its student, and what is measured of a classifier."""

import pytest
import torch

from workbench.benches import load
from workbench.benches.assemble import born
from workbench.methods.classifiers.logits import LogitMatching
from workbench.train.loop import train
from workbench.types import Labelled


@pytest.fixture(scope="module")
def bench():
    return load("digit_classes")


def test_data_are_labelled_and_counted(bench):
    batch = bench.data(1).at(2)
    assert isinstance(batch, Labelled) and batch.x.shape == (64, 1, 8, 8) and batch.y.shape == (64,)
    assert torch.equal(batch.x, bench.data(1).at(2).x)


def test_lessons_can_be_scarce_and_wrong_but_are_always_the_same():
    bench = load("digit_classes", per_class=20, flipped=0.25)
    (x, y), (again, labels) = bench.lessons, load("digit_classes", per_class=20, flipped=0.25).lessons
    assert torch.equal(x, again) and torch.equal(y, labels) and len(x) == 200
    true = load("digit_classes", per_class=20).lessons
    assert torch.equal(true[0], x) and true[1].bincount().tolist() == [20] * 10
    assert int((true[1] != y).sum()) == 50  # exactly a quarter, and each to another class
    for bad in (0, 10_000):
        with pytest.raises(ValueError, match="per_class must lie in 1 to"):
            load("digit_classes", per_class=bad).data(0)


def test_the_teacher_is_the_judge_of_digits_and_agrees_with_itself(bench):
    assert bench.reference["agreement"] == 1.0 and bench.reference["accuracy"] >= 0.985
    assert set(bench.reference) == set(bench.metrics)
    teacher = load("digits").classifier()
    assert all(torch.equal(a, b) for a, b in zip(teacher.parameters(), bench.teacher().parameters(), strict=True))


def test_sizes_are_as_said(bench):
    count = lambda net: sum(p.numel() for p in net.parameters())  # noqa: E731
    assert count(bench.student()) == 1210 and count(bench.teacher()) == 126_602
    assert not torch.equal(bench.student(0).head.weight, bench.student(1).head.weight)


def test_a_student_that_has_learned_nothing_reads_as_chance(bench):
    values = bench.measure(bench.student())
    assert 0 < values["accuracy"] < 0.35 and values["nll"] == pytest.approx(2.3, abs=0.3)


def test_a_broken_student_reads_as_nan(bench):
    net = bench.student()
    torch.nn.init.constant_(net.head.bias, float("nan"))
    assert all(value != value for value in bench.measure(net).values())


def test_a_student_learns_from_the_teacher(bench):
    run = born(bench, LogitMatching(lr=5e-3), seed=0, steps=400)
    for _ in train(run):
        pass
    values = bench.measure(run)
    assert values["accuracy"] > 0.9 and values["agreement"] > 0.9 and values["nll"] < 0.4


def test_a_teacher_helps_where_labels_are_wrong():
    bench = load("digit_classes", flipped=0.3)
    values = {}
    for hard in (0.0, 1.0):  # the teacher's word alone, the labels' word alone
        run = born(bench, LogitMatching(lr=5e-3, hard=hard), seed=0, steps=400)
        for _ in train(run):
            pass
        values[hard] = bench.measure(run)
    assert values[0.0]["accuracy"] > values[1.0]["accuracy"] and values[0.0]["nll"] < values[1.0]["nll"] - 0.2
