"""What a classifier's logits (N, K) say of labels (N,), and of another classifier's logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of logits (N, K) whose largest entry is at the label (N,)."""
    check_labels(logits, labels)
    return float((logits.argmax(1) == labels).double().mean())


def agreement(logits: Tensor, others: Tensor) -> float:
    """Share of samples on which two classifiers (N, K) give the same class, right or wrong."""
    check_labels(logits, others.argmax(1))
    return float((logits.argmax(1) == others.argmax(1)).double().mean())


def negative_log_likelihood(logits: Tensor, labels: Tensor) -> float:
    """Mean of -log softmax(logits)[label], in nats."""
    check_labels(logits, labels)
    return float(functional.cross_entropy(logits.double(), labels))


def calibration_error(logits: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error (1706.04599, eq. 3): |accuracy - confidence| in equal bins of confidence, by share."""
    check_labels(logits, labels)
    confidence, guess = logits.double().softmax(1).max(1)
    right = (guess == labels).double()
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1  # bin m holds (m/bins, (m+1)/bins]
    gaps = torch.zeros(bins, dtype=torch.float64).index_add(0, place, right - confidence)
    return float(gaps.abs().sum() / len(labels))


def check_labels(logits: Tensor, labels: Tensor) -> None:
    """Raise ValueError unless logits are (N, K) and finite, and labels are (N,)."""
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels):
        raise ValueError(f"need logits (N, K) and N labels, got {tuple(logits.shape)} and {tuple(labels.shape)}")
    if not bool(torch.isfinite(logits).all()):
        raise ValueError("the logits hold NaN or infinity: the classifier that made them diverged")
