"""Views of one base compute what separate full models would, gradients too; slots come and go without a trace."""

import copy
import gc

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model

from workbench.nets.clone import clone
from workbench.students.adapted import Adapted
from workbench.students.shared import Shared
from workbench.students.whole import Whole
from workbench.teachers.from_diffusers import Teacher
from workbench.teachers.from_diffusers.small import build

PROMPTS = ["a red circle", "a big blue square"]
KINDS = ["sd", "sdxl", "sd3", "flux", "wan"]


def teacher_of(kind, seed=0):
    return Teacher.of(build(kind, seed), PROMPTS, size=(32, 32))


def asked(teacher, seed=0):
    x = torch.randn(2, *teacher.shape, generator=torch.Generator().manual_seed(seed))
    return {"x_t": x, "t": torch.full((2,), 0.5 * teacher.process.t_max), "cond": torch.arange(2)}


def shaken(view, seed):
    with torch.no_grad():
        for number, param in enumerate(view.parameters()):
            param.add_(0.05 * torch.randn(param.shape, generator=torch.Generator().manual_seed(100 * seed + number)))
    return view


def whole_with(teacher, view):
    """The same student as a model of its own: a full copy with its own injected adapter of equal weights."""
    net = copy.deepcopy(teacher.net)
    inject_adapter_in_model(LoraConfig(r=4, lora_alpha=4, target_modules="all-linear"), net.model, "own")
    weights = {path.replace("/", "."): param for path, param in view.named_parameters()}
    own = {path.replace(".own.weight", ""): p for path, p in net.model.named_parameters() if ".own." in path}
    assert own.keys() == weights.keys()
    with torch.no_grad():
        for path, param in own.items():
            param.copy_(weights[path])
    return net, own


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_separate_models(kind, recompute):
    """Student and critic in one graph, on one base, against two full models; with and without recomputing blocks."""
    alone, teacher = teacher_of(kind), teacher_of(kind)
    shared = Shared(teacher.net.model, rank=4)
    if recompute:
        shared.checkpoint_gradients()
    student, critic = (shaken(Adapted.student(teacher.net, shared, seed=seed), seed) for seed in (1, 2))
    call = asked(teacher)
    (copy_of_student, own), (copy_of_critic, owned) = whole_with(alone, student), whole_with(alone, critic)

    def loss(one, other):
        x = one(**call)
        return (other(x, call["t"], cond=call["cond"]) * torch.linspace(-1, 1, x[0].numel()).view_as(x[0])).mean()

    mine, theirs = loss(student, critic), loss(copy_of_student, copy_of_critic)
    mine.backward()
    theirs.backward()
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
    for view, params in ((student, own), (critic, owned)):
        for path, param in view.named_parameters():
            other = params[path.replace("/", ".")].grad
            torch.testing.assert_close(param.grad, other, rtol=1e-5, atol=1e-5 * float(other.abs().max()) + 1e-9)
        assert any(bool(param.grad.abs().max() > 0) for param in view.parameters())


def test_a_switch_wakes_and_puts_to_sleep_nobody():
    teacher = teacher_of("sd")
    shared = Shared(teacher.net.model, rank=4)
    first = Adapted.student(teacher.net, shared)
    frozen = copy.deepcopy(first).requires_grad_(False)
    second = clone(first)
    assert all(p.requires_grad for p in [*first.parameters(), *second.parameters()])
    assert not any(p.requires_grad for p in frozen.parameters())
    base = [p for name, p in teacher.net.model.named_parameters() if ".slot" not in name]
    assert base and not any(p.requires_grad for p in base)


def test_copies_are_equal_and_then_their_own():
    teacher = teacher_of("sd")
    shared = Shared(teacher.net.model, rank=4)
    first = shaken(Adapted.student(teacher.net, shared, second_time=True), 3)
    other, call = clone(first), asked(teacher)
    later = 0.5 * call["t"]
    assert torch.equal(first(**call, s=later), other(**call, s=later))
    before = other(**call, s=later)
    shaken(first, 4)
    assert torch.equal(other(**call, s=later), before) and not torch.equal(first(**call, s=later), before)


def test_a_slot_is_freed_with_its_view():
    teacher = teacher_of("sd")
    shared = Shared(teacher.net.model, rank=4)
    student = shaken(Adapted.student(teacher.net, shared), 1)
    said, held = student(**asked(teacher)), len(list(teacher.net.model.parameters()))
    gone = clone(student)
    del gone
    gc.collect()
    assert len(list(teacher.net.model.parameters())) == held
    assert torch.equal(student(**asked(teacher)), said)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("born", ["adapted", "whole"])
def test_new_inputs_change_nothing_at_birth_and_something_after(kind, born):
    teacher = teacher_of(kind)
    call = asked(teacher)
    said = teacher.net(**call)
    if born == "whole":
        student = Whole.student(teacher.net, second_time=True, guided=True)
    else:
        student = Adapted.student(teacher.net, Shared(teacher.net.model, 4), second_time=True, guided=True)
    assert student.second_time and student.guided
    scale = None if kind == "flux" else torch.full((2,), 3.0)  # Flux has guidance as an input of its own
    assert torch.equal(student(**call, s=0.2 * call["t"], guidance=scale), said)
    shaken(student.inputs, 5)
    answers = [student(**call, s=share * call["t"], guidance=scale) for share in (0.0, 0.5)]
    assert (answers[0] - answers[1]).abs().max() > 1e-4
    if scale is not None:
        assert (student(**call, guidance=scale) - student(**call, guidance=2 * scale)).abs().max() > 1e-5


def test_a_second_time_that_was_not_asked_for_is_refused():
    teacher = teacher_of("sd")
    student = Whole.student(teacher.net)
    with pytest.raises(ValueError, match="second_time=True"):
        student(**asked(teacher), s=torch.zeros(2))


def test_unknown_targets_are_told_with_those_there_are():
    teacher = teacher_of("sd")
    with pytest.raises(ValueError, match="linear layers here end in .*to_q"):
        Shared(teacher.net.model, targets=["query"]).add()


def test_compiled_once_a_slot_and_to_the_same_bits():
    """Each slot traces a graph of its own; switching between them is seen."""
    teacher = teacher_of("sd")
    shared, call = Shared(teacher.net.model, rank=4), asked(teacher)
    views = [shaken(Adapted.student(teacher.net, shared), 1), Adapted(teacher.net, shared, None)]
    said = [view(**call) for view in views]
    torch._dynamo.utils.counters.clear()
    teacher.net.model.compile(backend="aot_eager")
    for _ in range(2):
        assert all(torch.equal(view(**call), before) for view, before in zip(views, said, strict=True))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2
    assert not torch._dynamo.utils.counters["graph_break"]
