"""Adversarial losses on logits (B,): the non-saturating pair (1406.2661), in its stable softplus form."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus


def tell_apart(real: Tensor, fake: Tensor) -> Tensor:
    """Loss [] of a judge whose logit should be high on real and low on fake."""
    return (softplus(-real) + softplus(fake)).mean()


def fool(fake: Tensor) -> Tensor:
    """Loss [] of a generator that wants its samples judged real."""
    return softplus(-fake).mean()
