"""Logit distillation: a small classifier learns the softened answers of a large one.

Distilling the Knowledge in a Neural Network, arXiv 1503.02531, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from workbench.methods.parts.schedules import cosine, ramped
from workbench.types import Average, Loss, Positive, Unit, Update


@dataclass(frozen=True)
class LogitMatching:
    """(1 - hard) T^2 KL(teacher || student at temperature T) + hard cross-entropy with the labels."""

    temperature: Positive = 4.0
    hard: Unit = 0.1
    ema: Average = 0.99
    lr: Positive = 1e-3

    def updates(self):
        return (Update(("student",), self.loss, cosine(self.lr), average=ramped(self.ema)),)

    def loss(self, nets, batch, now):
        with torch.no_grad():
            told = nets["teacher"](batch.x)  # [B, K] logits
        said = nets["student"](batch.x)  # [B, K]
        soft = softened_kl(said, told, self.temperature)
        hard = cross_entropy(said, batch.y)
        total = (1 - self.hard) * soft + self.hard * hard
        return Loss(total, dict(soft=soft, hard=hard), dict(target=told, guess=said))


def softened_kl(said: torch.Tensor, told: torch.Tensor, temperature: float) -> torch.Tensor:
    """T^2 KL(softmax(told / T) || softmax(said / T)) [], batch mean; T^2 keeps the gradient's size as T grows."""
    student, teacher = log_softmax(said / temperature, 1), log_softmax(told / temperature, 1)
    return temperature**2 * kl_div(student, teacher, reduction="batchmean", log_target=True)
