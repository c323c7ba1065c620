"""Noise processes x_t = alpha(t) x0 + sigma(t) eps; t grows towards noise.

Every process carries the same three numbers, in units of noise over signal (EDM's sigma): ``sigma_min`` and
``sigma_max`` bound its times, ``sigma_data`` is the data's standard deviation. Processes with equal bounds hold the
same states up to a scale, so a pair (alpha, sigma) names one noise level in all of them.
Sources: EDM 2206.00364; VP/DDPM 2011.13456, cosine 2102.09672; linear flow 2210.02747; TrigFlow 2410.11081.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


def spread(t: Tensor, x: Tensor) -> Tensor:
    """Give t (B,) or (B, F) trailing ones so that it multiplies x (B, ...); one that has them is returned as it is."""
    extra = x.ndim - t.ndim
    if extra == 0:
        return t
    return t.unsqueeze(-1) if extra == 1 else t.reshape(t.shape + (1,) * extra)


@dataclass(frozen=True)
class Process:
    """What all processes share; a process defines ``signal_noise``, ``rates`` and ``time``."""

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    sigma_data: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.sigma_min < self.sigma_max:
            raise ValueError(f"need 0 <= sigma_min < sigma_max, got {self.sigma_min} and {self.sigma_max}")
        if self.sigma_data <= 0:
            raise ValueError(f"sigma_data must be positive, got {self.sigma_data}")

    def signal_noise(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha(t), sigma(t), each shaped like t."""
        raise NotImplementedError

    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """d alpha/dt, d sigma/dt, each shaped like t."""
        raise NotImplementedError

    def time(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """The t whose signal-to-noise ratio is alpha/sigma; only the ratio matters."""
        raise NotImplementedError

    def arrival(self, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(factor, t, alpha, sigma) here of a state at (alpha, sigma) elsewhere: ``factor`` times it is the state here.

        Finite also at pure signal and pure noise.
        """
        t = self.time(alpha, sigma)
        alpha_here, sigma_here = self.signal_noise(t)
        square = alpha_here * alpha_here + sigma_here * sigma_here
        return torch.sqrt(square / (alpha * alpha + sigma * sigma)), t, alpha_here, sigma_here

    @property
    def schedule(self) -> tuple:
        """What fixes the states, whatever the bounds on t: processes with equal schedules hold equal states."""
        return (type(self).__name__,)

    def at_sigma(self, sigma: float) -> float:
        """The t at noise level sigma (noise over signal; may be infinite where the process reaches pure noise)."""
        alpha, noise = (0.0, 1.0) if math.isinf(sigma) else (1.0, sigma)
        return float(self.time(torch.tensor(alpha, dtype=torch.float64), torch.tensor(noise, dtype=torch.float64)))

    @property
    def t_min(self) -> float:
        return self.at_sigma(self.sigma_min)

    @property
    def t_max(self) -> float:
        return self.at_sigma(self.sigma_max)

    def check(self, t: Tensor) -> Tensor:
        """Return t, or raise ValueError where it leaves [0, t_max] or is not finite. Reads the values: borders only."""
        slack = 1e-5 * self.t_max
        if not bool(((t >= -slack) & (t <= self.t_max + slack)).all()):
            raise ValueError(
                f"t must lie in [0, {self.t_max:.6g}] for {type(self).__name__}, got {t.min().item():.6g} to "
                f"{t.max().item():.6g}; rescale the times or raise sigma_max={self.sigma_max}"
            )
        return t

    def add_noise(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t (B, ...) from x0 and unit noise (B, ...) at t (B,) or (B, F)."""
        alpha, sigma = self.signal_noise(spread(t, x0))
        return alpha * x0 + sigma * noise

    def prior(self, noise: Tensor) -> Tensor:
        """The state at t_max for unit noise: sigma(t_max) * noise, the same noise level in every process."""
        t = torch.tensor(self.t_max, dtype=torch.float64)
        return float(self.signal_noise(t)[1]) * noise

    def jump(self, x_t: Tensor, t: Tensor, s: Tensor, x0: Tensor) -> Tensor:
        """Move x_t from t to s along the line that x0 (B, ...) points out (a DDIM step, 2010.02502 eq. 12, eta 0)."""
        a, b = self.jump_weights(spread(t, x_t), spread(s, x_t))
        return a * x_t + b * x0

    def jump_weights(self, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """(a, b) of a jump: x_s = a x_t + b x0; unbounded where t is clean."""
        (alpha, sigma), (alpha_s, sigma_s) = self.signal_noise(t), self.signal_noise(s)
        ratio = sigma_s / sigma
        return ratio, alpha_s - ratio * alpha

    def velocity_weights(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(p, q) with dx_t/dt = p x_t + q x0; unbounded where t is clean."""
        (alpha, sigma), (alpha_rate, sigma_rate) = self.signal_noise(t), self.rates(t)
        return sigma_rate / sigma, alpha_rate - alpha * sigma_rate / sigma


@dataclass(frozen=True)
class Edm(Process):
    """Variance exploding, t = sigma in [sigma_min, sigma_max]; most losses live here, so it is written out."""

    def signal_noise(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ones_like(t), t

    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(t), torch.ones_like(t)

    def time(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return sigma / alpha

    def add_noise(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        return x0 + spread(t, x0) * noise

    def jump_weights(self, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        ratio = s / t
        return ratio, 1 - ratio

    def velocity_weights(self, t: Tensor) -> tuple[Tensor, Tensor]:
        p = t.reciprocal()
        return p, -p


@dataclass(frozen=True)
class LinearFlow(Process):
    """x_t = (1 - t) x0 + t eps, t in [0, 1]; sigma_max = inf reaches pure noise at t = 1."""

    sigma_min: float = 0.0
    sigma_max: float = math.inf

    def signal_noise(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return 1 - t, t

    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return -torch.ones_like(t), torch.ones_like(t)

    def time(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return sigma / (alpha + sigma)


@dataclass(frozen=True)
class TrigFlow(Process):
    """x_t = cos(t) x0 + sin(t) sigma_data eps, t in [0, pi/2]."""

    @property
    def schedule(self) -> tuple:
        return (type(self).__name__, self.sigma_data)

    def signal_noise(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.cos(t), self.sigma_data * torch.sin(t)

    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return -torch.sin(t), self.sigma_data * torch.cos(t)

    def time(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return torch.atan2(sigma, self.sigma_data * alpha)

    def arrival(self, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        weight = self.sigma_data * alpha
        factor = self.sigma_data / torch.hypot(weight, sigma)
        return factor, torch.atan2(sigma, weight), factor * alpha, factor * sigma


@dataclass(frozen=True)
class VpCosine(Process):
    """alpha = cos(pi t/2), sigma = sin(pi t/2), t in (0, 1]."""

    def signal_noise(self, t: Tensor) -> tuple[Tensor, Tensor]:
        angle = t * (math.pi / 2)
        return torch.cos(angle), torch.sin(angle)

    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        angle = t * (math.pi / 2)
        return -math.pi / 2 * torch.sin(angle), math.pi / 2 * torch.cos(angle)

    def time(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return torch.atan2(sigma, alpha) * (2 / math.pi)


@dataclass(frozen=True)
class VpLinear(Process):
    """beta(t) = beta_min + t (beta_max - beta_min), alpha = exp(-int beta / 2), t in (0, 1]; t_max = 1 as trained."""

    sigma_max: float = 152.0
    beta_min: float = 0.1
    beta_max: float = 20.0

    @property
    def schedule(self) -> tuple:
        return (type(self).__name__, self.beta_min, self.beta_max)

    def half_integral(self, t: Tensor) -> Tensor:
        return 0.25 * t * t * (self.beta_max - self.beta_min) + 0.5 * t * self.beta_min  # = -log alpha

    def signal_noise(self, t: Tensor) -> tuple[Tensor, Tensor]:
        h = self.half_integral(t)
        return torch.exp(-h), torch.sqrt(-torch.expm1(-2 * h))

    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha, sigma = self.signal_noise(t)
        half_beta = 0.5 * (self.beta_min + t * (self.beta_max - self.beta_min))
        return -half_beta * alpha, half_beta * alpha * alpha / sigma

    def time(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        h = 0.5 * torch.log1p((sigma / alpha) ** 2)
        span = self.beta_max - self.beta_min
        return 2 * h / (0.5 * self.beta_min + torch.sqrt(0.25 * self.beta_min**2 + span * h))
