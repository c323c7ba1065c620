"""Label metrics on hand-worked logits."""

import math

import pytest
import torch

from workbench.metrics.labels import accuracy, agreement, calibration_error, negative_log_likelihood

SURE = torch.tensor([[3.0, 0.0], [3.0, 0.0], [0.0, 3.0], [0.0, 3.0]]).double()
RIGHT = torch.tensor([0, 0, 1, 0])  # the last is wrong


def test_accuracy_and_agreement_by_hand():
    assert accuracy(SURE, RIGHT) == 0.75
    assert agreement(SURE, -SURE) == 0.0
    assert agreement(SURE, torch.tensor([[1.0, 0.0]] * 4)) == 0.5


def test_negative_log_likelihood_by_hand():
    hit, miss = math.log(1 + math.exp(-3)), math.log(1 + math.exp(3))
    assert negative_log_likelihood(SURE, RIGHT) == pytest.approx((3 * hit + miss) / 4, rel=1e-12)
    assert negative_log_likelihood(torch.zeros(5, 7), torch.arange(5)) == pytest.approx(math.log(7), rel=1e-12)


def test_calibration_error_by_hand():
    confidence = 1 / (1 + math.exp(-3))  # all four in one bin: |0.75 - confidence|
    assert calibration_error(SURE, RIGHT) == pytest.approx(confidence - 0.75, rel=1e-12)
    halves = torch.tensor([[math.log(0.6 / 0.4), 0.0]] * 5 + [[math.log(9.0), 0.0]] * 5, dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 1, 1] + [0, 0, 0, 0, 1])  # right 3 of 5 at 0.6, 4 of 5 at 0.9
    assert calibration_error(halves, labels) == pytest.approx(0.5 * 0.0 + 0.5 * 0.1, abs=1e-9)


def test_bad_logits_are_refused():
    with pytest.raises(ValueError, match="N labels"):
        accuracy(SURE, RIGHT[:3])
    with pytest.raises(ValueError, match="NaN"):
        calibration_error(SURE * float("nan"), RIGHT)
