"""Distribution matching: both gradient paths against autograd, and the direction against the gradient of a KL."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from workbench.methods.parts.gan import fool
from workbench.methods.parts.pull import pull, score_difference
from workbench.methods.score.dmd2 import Dmd2
from workbench.nets.heads import judge_like
from workbench.nets.mlp import Mlp
from workbench.noise import Edm, from_x0, speak
from workbench.papers.identities.conversions import worst
from workbench.papers.identities.exact import on_the_ring, ring
from workbench.randomness import Key
from workbench.types import Loss, Now, Samples


def gradients(total: Tensor, net: nn.Module) -> Tensor:
    """The gradient of a loss [] by a net's weights, flat (1, P)."""
    return torch.cat([g.flatten() for g in torch.autograd.grad(total, list(net.parameters()), retain_graph=True)])[None]


def pulled_back(x: Tensor, by: Tensor, net: nn.Module) -> Tensor:
    """J^T by (1, P): a vector (B, ...) at the samples x pulled back to the weights that made them."""
    return torch.cat([g.flatten() for g in torch.autograd.grad(x, list(net.parameters()), by, retain_graph=True)])[None]


def student_step(**settings) -> tuple[Dmd2, dict[str, nn.Module], Loss, Tensor]:
    """(method, nets, student's loss, its generated x) on the ring in fp64: small student, critic and judge."""
    method = on_the_ring(Dmd2(**settings))
    sizes = dict(sigma_max=method.process.sigma_max, sigma_data=method.process.sigma_data)
    nets: dict[str, nn.Module] = {"teacher": ring()}
    for seed, name in enumerate(("student", "critic")):
        nets[name] = speak(Mlp(2, 16, 2, seed=seed, **sizes).double(), method.process)
    nets["judge"] = judge_like(ring(), torch.zeros(1, 2), method.process).double()
    x, _ = ring().sample(64, Key(0).generator("data"))
    batch, now = Samples(x.double()), Now(0, 100, Key(0))
    return method, nets, method.student_loss(nets, batch, now), method.generate(nets, batch, now)


def matching_gradient() -> float:
    """The student's gradient without a judge against J^T of (fake x0 - real x0)/mean |x - real x0|, per entry."""
    _, nets, loss, x = student_step(gan=0.0, num_inference_steps=2)
    real, fake = loss.seen["target"].detach(), loss.seen["guess"].detach()
    direction = (fake - real) / (x.detach() - real).abs().mean(1, keepdim=True)
    expected = pulled_back(x, direction / x.numel(), nets["student"])
    return worst(gradients(loss.total, nets["student"]) - expected, expected)


def adversarial_gradient() -> float:
    """The judge's share of the student's gradient, through noise and critic, against the chain rule done by hand."""
    method, nets, loss, x = student_step(gan=0.5)
    x_t, t = loss.seen["x_t"].detach().requires_grad_(), loss.seen["t"]  # Edm: d x_t / d x = 1
    (by,) = torch.autograd.grad(fool(nets["judge"](nets["critic"], x_t, t, None)), x_t)
    expected = pulled_back(x, by, nets["student"])
    found = (gradients(loss.total, nets["student"]) - gradients(loss.parts["match"], nets["student"])) / method.gan
    return worst(found - expected, expected)


def kl_gradient() -> float:
    """The direction, its normaliser undone, against the closed gradient of KL(q_t || p_t) by a generator's weights.

    Data N(0.7, 0.4^2), generator x = shift + scale z, noise level 0.6 in Edm; the expectation over z and the noise by
    Gauss-Hermite quadrature, exact for the linear scores of Gaussians.
    """
    nodes, weights = (torch.tensor(v, dtype=torch.float64) for v in np.polynomial.hermite_e.hermegauss(12))
    share = (weights[:, None] * weights[None, :] / weights.sum() ** 2).reshape(-1, 1)
    z, noise = (grid.reshape(-1, 1) for grid in torch.meshgrid(nodes, nodes, indexing="ij"))
    shift, scale = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (-0.3, 0.9))
    sigma, process = torch.full((len(z),), 0.6, dtype=torch.float64), Edm()
    x = shift + scale * z
    x_t = x + 0.6 * noise
    with torch.no_grad():
        real = denoised(x_t, 0.7, 0.4, 0.6)
        fake = denoised(x_t, shift, scale, 0.6)
        direction = score_difference(x, real, fake) * (x - real).abs()  # fake x0 - real x0
        zero = torch.zeros_like(x_t)
        scores = [from_x0(x0, "score", process, x_t, sigma) for x0 in (direction, zero)]  # score is affine in x0
        difference = (scores[0] - scores[1]) * share * x.numel()
    found = torch.autograd.grad(pull(x, difference), (shift, scale))
    p, q = 0.4**2 + 0.36, scale**2 + 0.36
    kl = 0.5 * (torch.log(p / q) + (q + (shift - 0.7) ** 2) / p - 1)
    expected = torch.autograd.grad(kl, (shift, scale))
    return worst(torch.stack(found)[None] - torch.stack(expected)[None], torch.stack(expected)[None])


def denoised(x_t: Tensor, mean, deviation, sigma: float) -> Tensor:
    """E[x0 | x_t] of Gaussian data in Edm."""
    return mean + deviation**2 / (deviation**2 + sigma**2) * (x_t - mean)
