"""Converters between processes and prediction forms: round trips, and the papers' own wrappers as special cases."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from workbench.nets.mlp import Mlp
from workbench.noise import FORMS, Edm, LinearFlow, Process, TrigFlow, VpCosine, VpLinear, from_x0, move, speak, spread
from workbench.noise.convert import output_weights
from workbench.randomness import Key

CIRCLE = (LinearFlow(), TrigFlow(), VpCosine(), VpLinear(), Edm())  # from Edm, through these, back to it
FORM_OF = {"LinearFlow": "velocity", "TrigFlow": "F", "VpCosine": "v", "VpLinear": "eps"}  # spoken on the way
SIGMAS = (0.002, 0.01, 0.1, 0.5, 1.0, 5.0, 20.0, 80.0)


class Told(nn.Module):
    """A net that answers by a formula, ``answer(x_t, t)``, in its own process and form."""

    def __init__(self, process: Process, form: str, answer: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.process, self.form, self.answer = process, form, answer

    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, cond=None, guidance=None) -> Tensor:
        return self.answer(x_t, t)


def states(dtype: torch.dtype = torch.float64, copies: int = 32) -> tuple[Tensor, Tensor, Tensor]:
    """Edm states x_t (B, 3), their levels t (B,) from 0.002 to 80, and the x0 (B, 3) behind them; seed 0."""
    t = torch.tensor(SIGMAS, dtype=torch.float64).repeat(copies)
    x0 = 0.5 * torch.randn(len(t), 3, generator=Key(0).generator("x0"), dtype=torch.float64)
    noise = torch.randn(len(t), 3, generator=Key(0).generator("noise"), dtype=torch.float64)
    return Edm().add_noise(x0, t, noise).to(dtype), t.to(dtype), x0.to(dtype)


def round_trip(dtype: torch.dtype, well_posed: bool = True) -> dict[str, float]:
    """Largest error of state, time and each output form after Edm, flow, TrigFlow, VP cosine, VP linear and back.

    State and time in units of their size. An output is p x_t + q x0 and known to no more than the rounding of its two
    terms: ``well_posed`` errors are in units of |p x_t| + |q x0|, the others of the output itself, both as the root
    mean square over the samples of one level.
    """
    x_t, t, x0 = states(dtype)
    x, there, source = x_t, t, Edm()
    for target in CIRCLE:
        (x, there), source = move(x, there, source, target), target
    errors = {"state": worst(x - x_t, x_t.abs()), "time": worst(there - t, t)}
    for form in FORMS:
        home = TrigFlow() if form == "F" else Edm()
        start, level = move(x_t, t, Edm(), home)
        output = from_x0(x0, form, home, start, level)
        net: nn.Module = Told(home, form, lambda x, level, output=output: output)
        for process in CIRCLE[:-1]:
            net = speak(net, process, FORM_OF[type(process).__name__])
        p, q = (torch.as_tensor(weight) for weight in output_weights(form, home, spread(level, start)))
        size = at_level(p * start, level) + at_level(q * x0, level) if well_posed else at_level(output, level)
        errors[form] = worst(speak(net, home, form)(start, level) - output, size)
    return errors


def worst(error: Tensor, size: Tensor) -> float:
    """Largest error of a sample (B, ...) in units of its size (B,) or (B, ...), as lengths."""
    lengths = [value.detach().reshape(len(value), -1).norm(dim=1) for value in (error, size)]
    return float((lengths[0] / lengths[1]).max())


def at_level(values: Tensor, t: Tensor) -> Tensor:
    """(B,) root mean square length of the samples (B, D) that share a sample's t (B,)."""
    same = (t[:, None] == t[None, :]).to(values.dtype)
    return torch.sqrt(same @ values.square().sum(1) / same.sum(1))


def round_trip_fp64() -> float:
    return max(round_trip(torch.float64, well_posed=False).values())


def round_trip_fp32() -> float:
    return max(round_trip(torch.float32).values())


def edm_preconditioning() -> float:
    """EDM's c_skip x + c_out F(c_in x, .) (2206.00364, table 1) against our TrigFlow net spoken as Edm's x0.

    The sign of F differs: TrigFlow's F is minus EDM's.
    """
    net = Mlp(3, width=16, depth=2, seed=0).double()
    x_t, t, _ = states()
    sd, sigma = 0.5, t[:, None]
    total = torch.sqrt(sigma**2 + sd**2)
    c_skip, c_out, c_in = sd**2 / total**2, sigma * sd / total, 1 / total
    raw = net(sd * c_in * x_t, torch.atan(t / sd))
    expected = c_skip * x_t - c_out * raw
    return worst(speak(net, Edm())(x_t, t) - expected, expected)


def flow_net() -> tuple[nn.Module, Callable[[Tensor, Tensor], Tensor]]:
    """A smooth velocity field of the linear flow, as a net and as a plain function."""

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        wide = t[:, None]
        return torch.sin(1.3 * x + wide) - wide * x

    return Told(LinearFlow(), "velocity", velocity), velocity


def angles() -> tuple[Tensor, Tensor]:
    """States x (B, 3) of unit size and TrigFlow angles t (B,) over (0, pi/2]; seed 0."""
    t = torch.linspace(1e-3, math.pi / 2, 64, dtype=torch.float64)
    return torch.randn(64, 3, generator=Key(0).generator("angles"), dtype=torch.float64), t


def sana_sprint_wrapper() -> float:
    """SANA-Sprint's F from a flow velocity (2503.09641, eq. 7) against our converter, at sigma_data 0.5.

    Its flow lives on data divided by sigma_data, ours on the data: the field is asked in those units on both sides.
    """
    x, t = angles()
    sd = 0.5
    wide = t[:, None]
    t_f = torch.sin(wide) / (torch.sin(wide) + torch.cos(wide))
    norm = torch.sqrt(t_f**2 + (1 - t_f) ** 2)
    net, velocity = flow_net()
    x_f = x / sd * norm
    expected = ((1 - 2 * t_f) * x_f + (1 - 2 * t_f + 2 * t_f**2) * velocity(x_f, t_f[:, 0])) / norm
    return worst(speak(net, TrigFlow(sigma_data=1.0), "F")(x / sd, t) - expected, expected)


def rcm_wrapper() -> float:
    """rCM's c_in = c_skip = 1/(cos + sin), c_out = -sin/(cos + sin), t_flow = sin/(cos + sin) (2510.08431), for x0."""
    x, t = angles()
    wide = t[:, None]
    total = torch.cos(wide) + torch.sin(wide)
    net, velocity = flow_net()
    expected = x / total - torch.sin(wide) / total * velocity(x / total, (torch.sin(wide) / total)[:, 0])
    return worst(speak(net, TrigFlow(sigma_data=1.0))(x, t) - expected, expected)


def ddim_step() -> float:
    """``jump`` against DDIM's alpha_s x0 + sigma_s eps with eps = (x_t - alpha_t x0)/sigma_t (2010.02502, eq. 12)."""
    errors = []
    for process in CIRCLE:
        x, t = move(*states()[:2], Edm(), process)
        x0, s = states()[2], 0.4 * t
        (alpha, sigma), (alpha_s, sigma_s) = process.signal_noise(t[:, None]), process.signal_noise(s[:, None])
        expected = alpha_s * x0 + sigma_s * (x - alpha * x0) / sigma
        errors.append(worst(process.jump(x, t, s, x0) - expected, expected))
    return max(errors)
