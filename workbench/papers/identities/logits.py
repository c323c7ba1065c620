"""Logit distillation: the softened KL against the definition, and the limit of a high temperature."""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.methods.classifiers.logits import softened_kl
from workbench.randomness import Key


def logits() -> tuple[Tensor, Tensor]:
    """Student's and teacher's zero-mean logits (16, 5) in fp64; seed 0."""
    said, told = 2 * torch.randn(2, 16, 5, generator=Key(0).generator("logits"), dtype=torch.float64)
    return said - said.mean(1, keepdim=True), told - told.mean(1, keepdim=True)


def definition() -> float:
    """T^2 sum p (log p - log q), term by term, at T = 1, 4 and 20; relative error."""
    said, told = logits()
    errors = []
    for temperature in (1.0, 4.0, 20.0):
        p, q = (torch.exp(v / temperature) for v in (told, said))
        p, q = p / p.sum(1, keepdim=True), q / q.sum(1, keepdim=True)
        expected = temperature**2 * (p * (p.log() - q.log())).sum(1).mean()
        errors.append(float((softened_kl(said, told, temperature) / expected - 1).abs()))
    return max(errors)


def gradient() -> float:
    """Its gradient by the student's logits is T (q - p) / B, which is eq. 2 times T^2; largest error."""
    said, told = logits()
    said.requires_grad_()
    (found,) = torch.autograd.grad(softened_kl(said, told, 4.0), said)
    expected = 4.0 * (torch.softmax(said / 4, 1) - torch.softmax(told / 4, 1)) / len(said)
    return float((found - expected).abs().max().detach())


def high_temperature() -> float:
    """As T grows, distillation of zero-mean logits is mean |z - v|^2 / (2 K) (eq. 4); relative error at T = 10,000."""
    said, told = logits()
    expected = (said - told).square().sum(1).mean() / (2 * said.shape[1])
    return float((softened_kl(said, told, 1e4) / expected - 1).abs())
