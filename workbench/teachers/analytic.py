"""An isotropic Gaussian mixture whose denoiser, score, flow map and likelihood are exact at every noise level."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import NamedTuple

import torch
from torch import Tensor, nn

from workbench.noise import Edm
from workbench.teachers.flow import transport

FAR = 1e9  # stands for infinity: pure noise, where the denoiser is the mean of the data


class Tables(NamedTuple):
    """Constants of the mixture in one dtype. Components come first: a softmax over a short last axis is 20x slower."""

    means: Tensor  # (M, D)
    offset: Tensor  # (M, 1), -|mean|^2 / 2
    std: Tensor  # (M, 1), or (1, 1) when all are equal
    variance: Tensor  # like std
    log_weights: Tensor  # (M, K + 1): within each class, minus infinity outside; last, of all components


def exact(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The method outside any autocast: products in bf16 would make the truth approximate."""

    @wraps(method)
    def run(self: Mixture, x_t: Tensor, *arguments, **named) -> Tensor:
        if not torch.is_autocast_enabled(x_t.device.type):
            return method(self, x_t, *arguments, **named)
        with torch.autocast(x_t.device.type, enabled=False):
            return method(self, x_t, *arguments, **named)

    return run


class Mixture(nn.Module):
    """Mixture of M isotropic Gaussians in D dimensions; each component has a class label.

    Speaks ``Edm`` (t = sigma in data units, t = 0 and any greater t allowed) and form "x0". ``means`` (M, D), ``stds``
    (M,) or a number, ``weights`` (M,) default equal, ``labels`` (M,) default all of class 0. ``sigma_data`` of the
    process is the exact per-coordinate standard deviation. Labels cond (B,) restrict to a class's components; the null
    label ``num_classes``, like None, does not. Guidance, a number or (B,): uncond + g (cond - uncond).
    """

    form, second_time, guided = "x0", True, True

    def __init__(self, means, stds, weights=None, labels=None, sigma_min=0.002, sigma_max=80.0) -> None:
        super().__init__()
        means = torch.as_tensor(means, dtype=torch.float64)
        if means.ndim != 2:
            raise ValueError(f"means must be (M, D), got shape {tuple(means.shape)}")
        count = len(means)
        stds = torch.as_tensor(stds, dtype=torch.float64).expand(count).clone()
        weights = torch.ones(count) if weights is None else torch.as_tensor(weights)
        labels = torch.zeros(count).long() if labels is None else torch.as_tensor(labels).long()
        if not bool((stds > 0).all() and (weights > 0).all() and len(weights) == len(labels) == count):
            raise ValueError(f"need {count} positive stds, {count} positive weights and {count} labels, one per mean")
        if not torch.equal(labels.unique(), torch.arange(int(labels.max()) + 1)):
            raise ValueError(f"labels must be 0, 1, ... without a gap, got {sorted(set(labels.tolist()))}")
        self.register_buffer("means", means)
        self.register_buffer("stds", stds)
        self.register_buffer("weights", weights.double() / weights.double().sum())
        self.register_buffer("labels", labels)
        self.equal = bool((weights == weights[0]).all())
        self.dim, self.num_classes = means.shape[1], int(labels.max()) + 1
        self.process = Edm(sigma_min, sigma_max, self.covariance().diagonal().mean().sqrt().item())
        self._cache: dict = {}

    def _apply(self, fn, recurse=True):
        self._cache.clear()
        return super()._apply(fn, recurse)

    def tables(self, dtype: torch.dtype) -> Tables:
        if dtype not in self._cache:
            means, std = self.means.double(), self.stds.double().unsqueeze(1)
            log_weights = self.weights.double().log().unsqueeze(1)
            of_class = self.labels[:, None] == torch.arange(self.num_classes, device=self.labels.device)
            columns = torch.cat([torch.where(of_class, log_weights, -math.inf), log_weights], dim=1)
            columns = columns - columns.logsumexp(0)
            std = std[:1] if bool((std == std[0]).all()) else std
            tables = means, -0.5 * means.square().sum(1, keepdim=True), std, std.square(), columns
            self._cache[dtype] = Tables(*(table.to(dtype) for table in tables))
        return self._cache[dtype]

    @exact
    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, cond=None, guidance=None) -> Tensor:
        """E[x0 | x_t] (B, D); with s (B,) the pointer g with ``process.jump(x_t, t, s, g) == flow_map(x_t, t, s)``."""
        if s is not None:
            return self.pointer(x_t, t, s, cond, guidance)
        x, table, variance, shared = self._shared(x_t, t)
        kept = table.variance / variance  # share of x that each component believes

        def mean(log_weights: Tensor) -> Tensor:
            responsibility = torch.softmax(log_weights + shared, dim=0)  # (M, B)
            if len(kept) == 1:
                return torch.lerp(responsibility.T @ table.means, x, kept.T)
            pulled = responsibility * kept
            return pulled.sum(0).unsqueeze(1) * x + (responsibility - pulled).T @ table.means

        return self._guided(mean, table, cond, guidance)

    @exact
    def score(self, x_t: Tensor, t: Tensor, cond=None, guidance=None) -> Tensor:
        """Gradient (B, D) of log p_t(x_t | cond), finite at t = 0; guidance combines scores."""
        x, table, variance, shared = self._shared(x_t, t)

        def gradient(log_weights: Tensor) -> Tensor:
            pull = torch.softmax(log_weights + shared, dim=0) / variance
            return pull.T @ table.means - pull.sum(0).unsqueeze(1) * x

        return self._guided(gradient, table, cond, guidance)

    def velocity(self, x_t: Tensor, t: Tensor, cond=None, guidance=None) -> Tensor:
        """dx/dsigma (B, D) of the probability flow in ``Edm``: -sigma score, zero at t = 0."""
        return -t.unsqueeze(-1) * self.score(x_t, t, cond, guidance)

    @exact
    def posterior(self, x_t: Tensor, t: Tensor, cond=None) -> Tensor:
        """Probability (B, M) of each component given x_t at t (and the class)."""
        _, table, _, shared = self._shared(x_t, t)
        return torch.softmax(self._columns(table, cond) + shared, dim=0).T

    def log_likelihood(self, x: Tensor, t: Tensor | float = 0.0, cond=None) -> Tensor:
        """log p_t(x | cond) (B,) in nats at noise level t, (B,) or a number."""
        table, t = self.tables(x.dtype), torch.as_tensor(t, dtype=x.dtype, device=x.device).expand(len(x))
        variance = table.variance + t * t
        square = (x - table.means.unsqueeze(1)).square().sum(2)  # (M, B)
        each = -0.5 * (square / variance + self.dim * torch.log(2 * math.pi * variance))
        return torch.logsumexp(self._columns(table, cond) + each, dim=0)

    def flow_map(self, x_t: Tensor, t: Tensor, s: Tensor, cond=None, guidance=None) -> Tensor:
        """Where the probability flow carries x_t (B, D) from t (B,) to s (B,), either way; to 1e-6, in x_t's dtype."""

        def rate(x: Tensor, sigma: Tensor) -> Tensor:
            return self.velocity(x, sigma, cond, guidance)

        return transport(rate, x_t, t, s, float(self.stds.min())).to(x_t.dtype)

    def pointer(self, x_t: Tensor, t: Tensor, s: Tensor, cond=None, guidance=None) -> Tensor:
        """The x0-like g (B, D) of the exact flow map from t to s; at s = 0 the endpoint, at s = t the denoiser."""
        x, wide_t, wide_s = x_t.double(), t.double().unsqueeze(-1), s.double().unsqueeze(-1)
        gap = wide_t - wide_s
        near = gap.abs() <= 1e-6 * wide_t.abs()
        landed = self.flow_map(x, t, s, cond, guidance)
        far_pointer = (wide_t * landed - wide_s * x) / torch.where(near, torch.ones_like(gap), gap)
        return torch.where(near, self(x, t.double(), None, cond, guidance), far_pointer).to(x_t.dtype)

    def log_volume(self, x_t: Tensor, t: Tensor, s: Tensor, cond=None) -> Tensor:
        """log |det d flow_map / d x_t| (B,): the flow carries p_t to p_s, so it is log p_t(x_t) - log p_s(x_s)."""
        landed = self.flow_map(x_t, t, s, cond)
        return self.log_likelihood(x_t, t, cond) - self.log_likelihood(landed, s, cond)

    def sample(self, count: int, generator: torch.Generator, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (count, D) in fp32 and labels y (count,), drawn through ``generator``; cond (count,) fixes the classes."""
        table = self.tables(torch.float32)
        if cond is not None:
            component = torch.multinomial(table.log_weights[:, cond].exp().T, 1, generator=generator).squeeze(1)
        elif self.equal:
            component = torch.randint(len(table.means), (count,), generator=generator, device=generator.device)
        else:
            component = torch.multinomial(table.log_weights[:, -1].exp(), count, True, generator=generator)
        noise = torch.randn(count, self.dim, generator=generator, device=generator.device)
        std = table.std if len(table.std) == 1 else table.std[component]
        return torch.addcmul(table.means[component], std, noise), self.labels[component]

    def covariance(self) -> Tensor:
        """Exact covariance (D, D) of the data, in fp64."""
        centred = self.means - self.weights @ self.means
        within = (self.weights @ self.stds.square()) * torch.eye(self.dim).to(self.means)
        return within + (self.weights[:, None] * centred).T @ centred

    def _shared(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tables, Tensor, Tensor]:
        """x, the tables, variances (M or 1, B) at t, and what all classes share of log p(x, m) (M, B)."""
        dtype = torch.float64 if x_t.dtype == torch.float64 else torch.float32
        x, t = x_t.to(dtype).clamp(-FAR, FAR), t.to(dtype).clamp(max=FAR)
        table = self.tables(dtype)
        variance = torch.addcmul(table.variance, t, t)
        shared = torch.addmm(table.offset, table.means, x.T) / variance
        if len(variance) > 1:  # with one variance these drop out of the softmax
            shared = shared - (x * x).sum(1) / (2 * variance) - 0.5 * self.dim * variance.log()
        return x, table, variance, shared

    def _columns(self, table: Tables, cond: Tensor | None) -> Tensor:
        return table.log_weights[:, -1:] if cond is None else table.log_weights[:, cond]

    def _guided(self, answer: Callable[[Tensor], Tensor], table: Tables, cond, guidance) -> Tensor:
        """uncond + g (cond - uncond) of an answer that depends on columns of log weights alone."""
        if guidance is None:
            return answer(self._columns(table, cond))
        if cond is None:
            if isinstance(guidance, Tensor) or guidance != 1:
                raise ValueError("guidance needs labels: pass cond (B,), or leave guidance as None")
            return answer(table.log_weights[:, -1:])
        scale = guidance.to(table.means.dtype).unsqueeze(-1) if isinstance(guidance, Tensor) else guidance
        uncond = answer(table.log_weights[:, -1:])
        return uncond + scale * (answer(table.log_weights[:, cond]) - uncond)
