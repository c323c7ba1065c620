"""A student born as its teacher's copy answers as the teacher does, and is free to move."""

from types import SimpleNamespace

import torch

from workbench.benches import load
from workbench.nets.mlp import Mlp
from workbench.students.from_teacher import FromTeacher, copies


def bench(width: int):
    teacher = Mlp(2, 16, 2, 3, False, False, 0.002, 10.0, 0.7, 5)
    teacher.requires_grad_(False).eval()
    return SimpleNamespace(
        teacher=lambda: teacher, name="toy",
        student=lambda seed=0, second_time=False, guided=False: Mlp(
            2, width, 2, 3, second_time, guided, 0.002, 10.0, 0.7, seed),
    )  # fmt: skip


def test_the_copy_answers_alike_and_learns():
    toy = bench(16)
    x = torch.randn(8, 2, generator=torch.Generator().manual_seed(1))
    t, y = torch.linspace(0.1, 1.4, 8), torch.arange(8) % 3
    student = FromTeacher(toy).student(seed=9, second_time=True)
    torch.testing.assert_close(student(x, t, t / 2, y), toy.teacher()(x, t, None, y))
    assert all(weight.requires_grad for weight in student.parameters())
    assert not any(weight.requires_grad for weight in toy.teacher().parameters())
    assert FromTeacher(toy).name == "toy"


def test_only_a_net_of_the_students_own_size_is_copied():
    assert copies(bench(16)) and not copies(bench(24))
    assert not copies(load("gmm2d"))
