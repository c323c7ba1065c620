"""Exact conversions of state, time and output between processes and prediction forms.

A form is what a network says about x_t: "x0", "eps", "velocity" (dx_t/dt in the process's own time), "v"
((alpha eps - sigma x0)/sqrt(alpha^2 + sigma^2), 2202.00512), "score" (-eps/sigma) and, in TrigFlow alone, "F"
(velocity/sigma_data, 2410.11081). Each is linear in (x_t, x0), so every conversion is a pair of weights.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.noise.process import Process, TrigFlow, spread

Weight = Tensor | float
Level = tuple[Tensor, Tensor]  # (alpha, sigma)
FORMS = ("x0", "eps", "velocity", "v", "score", "F")


def check_form(form: str, process: Process) -> str:
    """Return form, or raise ValueError for an unknown one or for "F" outside TrigFlow."""
    if form not in FORMS:
        raise ValueError(f"unknown prediction form {form!r}; known forms: {', '.join(FORMS)}")
    if form == "F" and not isinstance(process, TrigFlow):
        raise ValueError(f'form "F" is TrigFlow\'s; with {type(process).__name__} ask for "velocity" or "v"')
    return form


def x0_weights(form: str, process: Process, t: Tensor, level: Level | None = None) -> tuple[Weight, Weight]:
    """(a, b) with x0 = a x_t + b output; finite where the output determines x0. ``level`` is that of t, if known."""
    if form == "x0":
        return 0.0, 1.0
    alpha, sigma = level or process.signal_noise(t)
    if form == "eps":
        return 1 / alpha, -sigma / alpha
    if form == "score":
        return 1 / alpha, sigma * sigma / alpha
    if form == "v":
        square = alpha * alpha + sigma * sigma
        return alpha / square, -sigma / torch.sqrt(square)
    if form == "F":
        return alpha, -sigma
    alpha_rate, sigma_rate = process.rates(t)
    determinant = alpha * sigma_rate - sigma * alpha_rate
    return sigma_rate / determinant, -sigma / determinant


def output_weights(form: str, process: Process, t: Tensor) -> tuple[Weight, Weight]:
    """(p, q) with output = p x_t + q x0; all but "x0" grow without bound as t goes to 0."""
    if form == "x0":
        return 0.0, 1.0
    if form == "velocity":
        return process.velocity_weights(t)
    alpha, sigma = process.signal_noise(t)
    if form == "eps":
        return 1 / sigma, -alpha / sigma
    if form == "score":
        return -1 / (sigma * sigma), alpha / (sigma * sigma)
    if form == "v":
        norm = torch.sqrt(alpha * alpha + sigma * sigma)
        return alpha / (sigma * norm), -norm / sigma
    return alpha / sigma, -1 / sigma


def to_x0(output: Tensor, form: str, process: Process, x_t: Tensor, t: Tensor, level: Level | None = None) -> Tensor:
    """x0 (B, ...) that an output (B, ...) of this form implies at x_t, t; ``level`` is that of spread t, if known."""
    if form == "x0":
        return output
    a, b = x0_weights(form, process, spread(t, x_t), level)
    return a * x_t + b * output


def from_x0(x0: Tensor, form: str, process: Process, x_t: Tensor, t: Tensor) -> Tensor:
    """Output (B, ...) of this form that x0 implies at x_t, t."""
    if form == "x0":
        return x0
    p, q = output_weights(form, process, spread(t, x_t))
    return p * x_t + q * x0


def move(x_t: Tensor, t: Tensor, source: Process, target: Process) -> tuple[Tensor, Tensor]:
    """The same state in another process: (x, t) there, at the same signal-to-noise ratio."""
    if source.schedule == target.schedule:
        return x_t, t
    x, there, _ = arrive(x_t, t, source, target)
    return x, there.reshape(t.shape)


def arrive(x_t: Tensor, t: Tensor, source: Process, target: Process) -> tuple[Tensor, Tensor, Level]:
    """``move`` between processes that differ: x, then t and (alpha, sigma) there, both spread to multiply x."""
    factor, there, alpha, sigma = target.arrival(*source.signal_noise(spread(t, x_t)))
    return factor * x_t, there, (alpha, sigma)


def each(t: Tensor, x: Tensor) -> Tensor:
    """A time shared by all samples, (1,), as one for each, (B,); others as they are."""
    return t.expand(len(x)) if t.shape == (1,) else t


class Spoken(torch.nn.Module):
    """A net translated once, at birth: called in ``process`` and answering in ``form``, whatever it speaks itself.

    ``net`` declares ``net.process`` and ``net.form``; calls are ``(x_t, t, s=None, cond=None, guidance=None)``. A time
    of shape (1,) is shared by all samples and reckoned with once; the net itself always sees (B,).
    Two-time nets: the answer at (t, s) is an x0-like pointer, and ``process.jump(x_t, t, s, x0)`` lands at s.
    """

    def __init__(self, net: torch.nn.Module, process: Process, form: str = "x0") -> None:
        super().__init__()
        self.net, self.process, self.form = net, process, check_form(form, process)
        check_form(net.form, net.process)
        self.same = net.process.schedule == process.schedule

    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, cond=None, guidance=None) -> Tensor:
        native, form = self.net.process, self.net.form
        if self.same:
            if form == self.form:
                return self.net(x_t, each(t, x_t), s if s is None else each(s, x_t), cond, guidance)
            out = self.net(x_t, each(t, x_t), s if s is None else each(s, x_t), cond, guidance)
            x0 = to_x0(out, form, native, x_t, t)
        else:
            x, there, level = arrive(x_t, t, self.process, native)
            s_there = s if s is None else each(native.time(*self.process.signal_noise(s)), x)
            out = self.net(x, each(there.reshape(t.shape), x), s_there, cond, guidance)
            x0 = to_x0(out, form, native, x, there, level)
        return from_x0(x0, self.form, self.process, x_t, t)

    def features(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, cond=None, guidance=None, **taps):
        """The net's activations at this state, whatever its own process (see ``net.features``)."""
        x, there = move(x_t, t, self.process, self.net.process)
        s_there = s if s is None else self.net.process.time(*self.process.signal_noise(s))
        return self.net.features(x, there, s_there, cond, guidance, **taps)


def speak(net: torch.nn.Module, process: Process, form: str = "x0") -> torch.nn.Module:
    """The net itself when it already speaks (process, form), else its ``Spoken`` translation."""
    spoken = Spoken(net, process, form)
    return net if spoken.same and net.form == form else spoken
