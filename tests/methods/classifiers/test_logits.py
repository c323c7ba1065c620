"""Logit distillation: softened KL and its mix with the labels by hand."""

import math

import pytest
import torch
from torch import nn

from tests.methods.fakes import at
from workbench.methods.classifiers.logits import LogitMatching, softened_kl
from workbench.papers.identities import logits
from workbench.types import Labelled


class Says(nn.Module):
    """The same logits for every sample."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.tensor(values, dtype=torch.float64))

    def forward(self, x):
        return self.values.expand(len(x), -1)


def test_two_classes_by_hand():
    """T = 2, logits (2, 0) and (0, 0): p = sigmoid(1), q = 1/2; 4 (p log 2p + (1 - p) log 2(1 - p))."""
    p = 1 / (1 + math.exp(-1))
    expected = 4 * (p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p)))
    said, told = torch.zeros(3, 2, dtype=torch.float64), torch.tensor([[2.0, 0.0]], dtype=torch.float64).expand(3, 2)
    assert softened_kl(said, told, 2.0).item() == pytest.approx(expected, rel=1e-12) == pytest.approx(0.4438, abs=1e-4)
    assert softened_kl(told, told, 2.0).item() == 0
    assert softened_kl(told, said, 2.0).item() != pytest.approx(expected, rel=0.01)  # not symmetric: teacher || student


@pytest.mark.parametrize("hard", [0.0, 0.3, 1.0])
def test_the_loss_mixes_soft_and_hard(hard):
    """Cross-entropy of logits (0, 0) with any label is log 2."""
    batch = Labelled(torch.zeros(4, 2), torch.tensor([0, 1, 1, 0]))
    roles = {"teacher": Says(2.0, 0.0), "student": Says(0.0, 0.0)}
    loss = LogitMatching(temperature=2.0, hard=hard).loss(roles, batch, at())
    soft = softened_kl(torch.zeros(1, 2, dtype=torch.float64), torch.tensor([[2.0, 0.0]], dtype=torch.float64), 2.0)
    assert loss.parts["hard"].item() == pytest.approx(math.log(2))
    assert loss.total.item() == pytest.approx((1 - hard) * soft.item() + hard * math.log(2))
    loss.total.backward()
    # T (q - p) / 1 for the soft part, q - share of the label for the hard one, which is 0 here
    p = 1 / (1 + math.exp(-1))
    assert roles["student"].values.grad[0].item() == pytest.approx((1 - hard) * 2 * (0.5 - p))
    assert roles["teacher"].values.grad is None


def test_the_identities():
    assert logits.definition() < 1e-12
    assert logits.gradient() < 1e-12
    assert logits.high_temperature() < 1e-4


def test_one_update_and_an_average():
    (update,) = LogitMatching().updates()
    assert update.trains == ("student",) and callable(update.average)
