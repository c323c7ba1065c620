"""``lesson``: what the student is asked to say, and what it says, at the noise levels it learns from."""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.cells.draw import comparable, limits, picture, pictures, points, visible
from workbench.cells.model import Model
from workbench.cells.show import panel
from workbench.cells.style import CRITIC, DATA, STUDENT, TEACHER, canvas, drawing, even, side_title
from workbench.types import Loss

WANTED = ("x_t", "t", "target", "guess")


def lesson(student: Model, *, step: int = 0, columns: int = 10) -> dict[str, Tensor]:
    """Ask the student's loss once, without learning, and show what it saw: state, target, guess, by noise level.

    Returns the loss's own record, name -> (B, ...), sorted from noise to data.
    """
    seen = look(student, step)
    order = torch.argsort(seen["t"].reshape(len(seen["t"]), -1)[:, 0], descending=True)
    seen = {name: value[order] for name, value in seen.items()}
    if pictures(student.bench):
        rows_of_pictures(student, seen, columns)
    else:
        clouds(student, seen)
    return seen


def look(student: Model, step: int) -> dict[str, Tensor]:
    """What the first update that trains the student records of one batch."""
    run = student.trained
    index = next((i for i, update in enumerate(run.updates) if "student" in update.trains), None)
    if index is None:
        raise ValueError(f"no update of {student.name} trains the student")

    def ask() -> Loss:
        with torch.no_grad():
            return run.updates[index].loss(run.views, run.data.at(step, 0), run.now(index, 0))

    loss = student.live.between(ask) if student.live else ask()
    missing = [name for name in WANTED if name not in loss.seen]
    if missing:
        raise ValueError(f"the loss of {student.name} records no {', '.join(missing)}: nothing to show")
    return {name: loss.seen[name] for name in WANTED}


def words(student: Model) -> tuple[str, str, str]:
    """(row of the target, row of the guess, colour of the guess): the critic speaks where there is one."""
    if "critic" in student.trained.nets:
        return "teacher", "critic", CRITIC
    return "asked", f"said by\n{student.name}", STUDENT


@drawing
def rows_of_pictures(student: Model, seen: dict[str, Tensor], columns: int) -> None:
    low, high = limits(student.bench)
    shown = even(len(seen["t"]), columns)
    figure, axes = canvas(3, len(shown), size=(1.2 + 0.8 * len(shown), 2.7), tight=True)
    asked, said, colour = words(student)
    for column, index in enumerate(shown):
        t = seen["t"][index : index + 1]
        alpha, sigma = student.process.signal_noise(t.reshape(-1)[:1])
        state = comparable(seen["x_t"][index], t, student.process, student.bench.sigma_data)
        for row, x in enumerate((state, seen["target"][index], seen["guess"][index])):
            picture(axes[row][column], visible(student.bench, x), low, high)
        axes[0][column].set_title(f"σ {float(sigma / alpha):.2g}", fontsize=8, loc="center", pad=2)
    for row, (title, tint) in enumerate((("x_t", DATA), (asked, TEACHER), (said, colour))):
        side_title(axes[row][0], title, tint)
    panel(figure, f"{student.name} lesson")


@drawing
def clouds(student: Model, seen: dict[str, Tensor]) -> None:
    low, high = limits(student.bench)
    asked, said, colour = words(student)
    figure, (axes,) = canvas(1, 2, size=(6.4, 3.2))
    for axis, name, title, tint in zip(axes, ("target", "guess"), (asked, said), (TEACHER, colour), strict=True):
        points(axis, seen[name], low, high, tint)
        axis.set_title(" ".join(title.split()), color=tint)
        axis.set(xlabel="x1 (data units)", ylabel="x2 (data units)")
    panel(figure, f"{student.name} lesson")
