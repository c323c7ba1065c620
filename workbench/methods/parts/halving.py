"""The target that turns two steps of a sampler into one (2202.00512, algorithm 2; 2210.03142, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from workbench.methods.parts.draws import integers
from workbench.methods.parts.grids import levels
from workbench.noise import Process, spread
from workbench.types import Act, Now


def two_step_times(process: Process, steps: int, count: int, now: Now) -> tuple[Tensor, Tensor, Tensor]:
    """t > m > s (B,) each: one of the ``steps`` equal strides of t and its middle."""
    grid = levels(process, 2 * steps, "uniform", now.device)
    i = 2 * integers(0, steps, count, now)
    return grid[i], grid[i + 1], grid[i + 2]


def two_step_target(guide: Callable[[Tensor, Tensor], Tensor], process: Process, x_t: Tensor, t: Tensor, m: Tensor,
                    s: Tensor) -> Tensor:
    """The x0 (B, ...) for which one DDIM step t -> s lands where two of the guide's, t -> m -> s, do."""
    x_m = process.jump(x_t, t, m, guide(x_t, t))
    x_s = process.jump(x_m, m, s, guide(x_m, m))
    (alpha, sigma), (alpha_s, sigma_s) = process.signal_noise(spread(t, x_t)), process.signal_noise(spread(s, x_t))
    ratio = sigma_s / sigma
    return (x_s - ratio * x_t) / (alpha_s - ratio * alpha)


def truncated_snr(process: Process, t: Tensor, sigma_data: float = 1.0, cap: float = 1e4) -> Tensor:
    """max(1, alpha^2 / sigma^2) (B,), the SNR told in units of the data's variance and capped where t is near 0."""
    alpha, sigma = process.signal_noise(t)
    return (alpha * sigma_data / sigma).square().clamp(1.0, cap)


def halving_acts(rule: Callable[[int, str], object], start: int, end: int, steps: int, enter) -> tuple[Act, ...]:
    """Acts of equal length for start, start / 2, ..., end sampler steps; ``rule(n, guide)`` is the method of one.

    The first act follows the "teacher", each later one the "previous" student, which ``enter`` copies.
    """
    counts = [start >> i for i in range((start // end).bit_length())]
    if not counts or counts[-1] != end or any(a != 2 * b for a, b in zip(counts, counts[1:], strict=False)):
        raise ValueError(f"start_steps must be end_steps times a power of two, got {start} and {end}")
    if steps < len(counts):
        raise ValueError(f"{len(counts)} halvings need at least as many training steps, got {steps}")
    share = [steps * (i + 1) // len(counts) - steps * i // len(counts) for i in range(len(counts))]
    return tuple(Act(f"{n} steps", rule(n, "previous" if i else "teacher"), share[i], enter if i else None)
                 for i, n in enumerate(counts))


def take_over(nets) -> None:
    """Enter an act: the student's sampled average becomes both the guide and the student's start."""
    weights = nets["student.average"].state_dict()
    nets["previous"].load_state_dict(weights)
    nets["student"].load_state_dict(weights)
