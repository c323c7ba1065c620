"""``diagnose``: sentences on a student's health, each with the numbers it rests on."""

from __future__ import annotations

from typing import NamedTuple

import torch

from workbench.cells.losses import Series, folders, series
from workbench.cells.model import Model
from workbench.cells.show import Table, tell
from workbench.cells.style import number
from workbench.record.store import read_events


class Finding(NamedTuple):
    """What was looked at, what was found, whether it is well, and what to do if not."""

    what: str
    found: str
    well: bool
    advice: str = ""


def diagnose(student: Model, *, n: int = 512, seed: int = 0) -> list[Finding]:
    """Look at a distilled student's samples, gradients and losses, and show what is well and what is not."""
    lines = series(read_events(folders(student)[student.name], "step"))
    found = [*samples(student, n, seed), *gradients(lines), *fall(lines)]
    tell(
        Table(
            ["", "what", "found", "what to do"],
            [["well" if one.well else "LOOK", one.what, one.found, "" if one.well else one.advice] for one in found],
        )
    )
    return found


def samples(student: Model, n: int, seed: int) -> list[Finding]:
    """Finite, as spread out as the data, and not one picture for all."""
    x = student.generate(n=n, seed=seed).x
    data = student.bench.data(seed, n).at(0).x
    whole = float(torch.isfinite(x).flatten(1).all(1).double().mean())
    spread = float(x.std() / data.std())
    variety = float(x.flatten(1).std(0).mean() / data.flatten(1).std(0).mean())
    return [
        Finding("finite samples", f"{100 * whole:.1f} %", whole == 1, "lower the learning rate or clip the gradient"),
        Finding(
            "contrast beside the data's",
            number(spread),
            0.8 < spread < 1.2,
            "below 0.8: blurred, train longer; above 1.2: over-saturated, lower the guidance or the GAN's weight",
        ),
        Finding(
            "variety beside the data's",
            number(variety),
            variety > 0.7,
            "samples resemble each other: mode-seeking losses need a critic that keeps up, or a regression term",
        ),
    ]


def gradients(lines: Series) -> list[Finding]:
    """Gradient norms at the end against those of the first half."""
    found = []
    for name, points in lines.items():
        if not name.endswith("gradient norm") or len(points) < 8:
            continue
        values = [value for _, value in points]
        early, late = median(values[: len(values) // 2]), median(values[-max(2, len(values) // 10) :])
        found.append(
            Finding(
                name,
                f"{number(early)} in the first half, {number(late)} at the end",
                late < 10 * early,
                "it grows: lower this update's learning rate",
            )
        )
    return found


def fall(lines: Series) -> list[Finding]:
    """Regression losses should not grow; adversarial and score-matching ones may, and are not judged."""
    found = []
    for name, points in lines.items():
        part = name.partition(": ")[2]
        if part in ("gradient norm", "match", "direction", "gan", "judge", "fit") or len(points) < 8:
            continue
        values = [value for _, value in points]
        early, late = median(values[: max(2, len(values) // 10)]), median(values[-max(2, len(values) // 10) :])
        found.append(
            Finding(
                name,
                f"{number(early)} at first, {number(late)} at the end",
                late < 1.5 * early,
                "it grew: a target that moves too fast; raise the average or lower the learning rate",
            )
        )
    return found


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
