"""Students that begin as copies of their teacher: the usual start of few-step distillation."""

from __future__ import annotations

from typing import Any

from torch import nn

from workbench.nets.clone import clone


class FromTeacher:
    """A bench in all but its students: they begin with the teacher's weights, further inputs born as zeros."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bench, name)

    def student(self, seed: int = 0, second_time: bool = False, guided: bool = False) -> nn.Module:
        """A trainable copy of the teacher; ``seed`` has nothing to draw."""
        return clone(self.bench.teacher(), second_time=second_time, guided=guided)


def copies(bench: Any) -> bool:
    """Whether the bench's teacher is a net that can be copied, of its student's own kind and size."""
    teacher, student = bench.teacher(), bench.student(0)
    unlike = {"seed"}
    return type(teacher) is type(student) and all(
        teacher.settings[name] == value for name, value in student.settings.items() if name not in unlike
    )
