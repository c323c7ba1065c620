"""Adapters per range of noise: each sample is answered by its range's view, and only views that were asked learn."""

import copy

import pytest
import torch

from workbench.benches.assemble import born, generate
from workbench.benches.pipeline import PipelineBench
from workbench.methods.parts.tangent import along
from workbench.methods.score.dmd2 import Dmd2
from workbench.methods.steps.consistency import ConsistencyDistillation
from workbench.methods.steps.continuous_consistency import ContinuousConsistency
from workbench.nets.clone import clone
from workbench.solvers import Euler
from workbench.students.adapted import Adapted
from workbench.students.ranges import Ranges
from workbench.students.shared import Shared
from workbench.teachers.from_diffusers import Teacher
from workbench.teachers.from_diffusers.small import build, save
from workbench.train.checkpoint import restore, save_run
from workbench.train.loop import train

PROMPTS = ("a red circle", "a big blue square")
BOUNDS = (0.5, 5.0)


def shaken(net, seed):
    with torch.no_grad():
        for number, param in enumerate(net.parameters()):
            param.add_(0.05 * torch.randn(param.shape, generator=torch.Generator().manual_seed(100 * seed + number)))
    return net


def ranges_of(kind, **wants):
    teacher = Teacher.of(build(kind), PROMPTS, size=(32, 32), frames=5)
    shared = Shared(teacher.net.model, rank=4)
    views = [shaken(Adapted.student(teacher.net, shared, **wants), seed) for seed in range(3)]
    return teacher, views, Ranges(views, BOUNDS)


def asked(teacher, *levels):
    """A call at these noise levels, noise over signal."""
    x = torch.randn(len(levels), *teacher.shape, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([teacher.process.at_sigma(level) for level in levels], dtype=torch.float32)
    return {"x_t": x, "t": t, "cond": torch.arange(len(levels)) % 3}


def one(call, place):
    return {name: None if value is None else value[place : place + 1] for name, value in call.items()}


@pytest.mark.parametrize("kind", ["sd", "sdxl", "flux", "wan"])
def test_each_sample_is_answered_by_its_ranges_view(kind):
    teacher, views, student = ranges_of(kind)
    call, wanted = asked(teacher, 6.0, 0.1, 1.0, 12.0, 0.2, 4.0), (2, 0, 1, 2, 0, 1)
    said = student(**call)
    for place, index in enumerate(wanted):
        torch.testing.assert_close(said[place : place + 1], views[index](**one(call, place)), rtol=0, atol=1e-5)
        assert (said[place] - views[(index + 1) % 3](**one(call, place))[0]).abs().max() > 1e-3
    same = asked(teacher, 1.0, 2.0)
    assert torch.equal(student(**same), views[1](**same))
    shared_time = {**asked(teacher, 7.0, 7.0), "t": asked(teacher, 7.0)["t"]}  # one time for all
    assert torch.equal(student(**shared_time), views[2](**asked(teacher, 7.0, 7.0)))


def test_the_borders_and_the_ends():
    """A bound belongs to the range above it; clean and pure noise have views too."""
    teacher, _, student = ranges_of("wan")
    alpha = lambda level: 1 / (1 + level)  # noqa: E731 - of a straight flow
    t = torch.tensor([0.0, 1 - alpha(0.4999), 1 - alpha(0.5001), 1 - alpha(4.999), 1 - alpha(5.001), 1.0])
    assert {index: rows.tolist() for index, rows in student.rows(t).items()} == {0: [0, 1], 1: [2, 3], 2: [4, 5]}
    exact = Ranges(list(student.views)[:2], (1.0,))
    assert list(exact.rows(torch.tensor([0.5]))) == [1]


@pytest.mark.parametrize("recompute", [False, True])
def test_gradients_go_to_the_views_that_were_asked(recompute):
    teacher, views, student = ranges_of("sd")
    if recompute:
        student.shared.checkpoint_gradients()
    call = asked(teacher, 0.1, 7.0, 0.3)
    weight = torch.linspace(-1, 1, student(**call).numel()).view(3, *teacher.shape)
    (student(**call) * weight).sum().backward()
    assert all(param.grad is None for param in views[1].parameters())
    found = [[param.grad.clone() for param in views[index].parameters()] for index in (0, 2)]
    for view in views:
        view.zero_grad()
    alone = sum((views[index](**one(call, place)) * weight[place]).sum() for place, index in enumerate((0, 2, 0)))
    alone.backward()
    for index, gradients in zip((0, 2), found, strict=True):
        for param, gradient in zip(views[index].parameters(), gradients, strict=True):
            torch.testing.assert_close(gradient, param.grad, rtol=1e-4, atol=1e-5 * float(gradient.abs().max()) + 1e-9)
    assert max(float(gradient.abs().max()) for gradients in found for gradient in gradients) > 0


def test_views_that_another_process_asked_get_gradients_of_zero(monkeypatch):
    """So that all processes sum as many; without a graph nothing is told to the others."""
    from torch import distributed

    told = []
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed, "all_reduce", lambda asked, kind: (told.append(asked.tolist()), asked[2].fill_(1)))
    teacher, views, student = ranges_of("sd")
    call = asked(teacher, 0.1, 0.2)
    with torch.no_grad():
        alone = student(**call)
    assert not told
    said = student(**call)
    said.square().mean().backward()
    assert told == [[1.0, 0.0, 0.0]] and torch.equal(said, alone)
    assert all(param.grad is not None and not param.grad.any() for param in views[2].parameters())
    assert all(param.grad is None for param in views[1].parameters())
    assert any(bool(param.grad.any()) for param in views[0].parameters())


def test_further_inputs_guidance_and_features():
    teacher, views, student = ranges_of("sd", second_time=True, guided=True)
    assert student.second_time and student.guided and student.num_classes == 2 and student.form == "eps"
    call = asked(teacher, 0.1, 7.0, 1.0)
    call |= {"s": 0.5 * call["t"], "guidance": torch.tensor([1.0, 2.0, 3.0])}
    said, taps = student(**call), student.features(**call, taps=("bottleneck", "conv_in"))
    for place, index in enumerate((0, 2, 1)):
        alone = one(call, place)
        torch.testing.assert_close(said[place : place + 1], views[index](**alone), rtol=0, atol=1e-5)
        for tap, value in views[index].features(**alone, taps=("bottleneck", "conv_in")).items():
            torch.testing.assert_close(taps[tap][place : place + 1], value, rtol=0, atol=1e-5)
    whole = {**call, "cond": None, "s": call["s"][:1]}  # one landing time for all
    assert torch.equal(student(**whole), student(**{**whole, "s": call["s"][:1].expand(3)}))


def test_tangents_are_those_of_the_views():
    """Exact ones: the choice of a range has none."""
    teacher, views, student = ranges_of("sd")
    call = asked(teacher, 7.0, 0.1)
    dx, dt = torch.ones_like(call["x_t"]), torch.full((2,), 10.0)
    tangent = lambda net, x, t, dx, dt, cond: along(lambda a, b: net(a, b, cond=cond), x, t, dx, dt)  # noqa: E731
    found = tangent(student, call["x_t"], call["t"], dx, dt, call["cond"])
    for place, index in enumerate((2, 0)):
        alone = tangent(views[index], *(value[place : place + 1] for value in (call["x_t"], call["t"], dx, dt)),
                        call["cond"][place : place + 1])
        for mine, theirs in zip(found, alone, strict=True):
            torch.testing.assert_close(mine[place : place + 1], theirs, rtol=1e-4, atol=1e-5)


def test_copies_are_equal_and_then_their_own():
    teacher, views, student = ranges_of("sd")
    call = asked(teacher, 0.1, 1.0, 7.0)
    said = student(**call)
    for other in (copy.deepcopy(student), clone(student), clone(student, second_time=True)):
        assert torch.equal(other(**call), said) and other.bounds == student.bounds
        shaken(other.views[2], 9)
        assert torch.equal(student(**call), said)
        assert torch.equal(other(**call)[:2], said[:2]) and not torch.equal(other(**call)[2], said[2])
    blank = copy.deepcopy(student)
    shaken(blank, 3)
    blank.load_state_dict(student.state_dict())
    assert torch.equal(blank(**call), said)
    names = [name for name, _ in student.named_parameters()]
    assert names == list(student.state_dict()) and len(names) == 3 * len(list(views[0].parameters()))
    assert student.network.model is teacher.net.model


def test_bounds_and_views_that_do_not_fit():
    _, views, _ = ranges_of("sd")
    for bounds in ((), (5.0, 0.5), (1.0, 1.0), (0.0, 1.0), (float("nan"), 1.0)):
        with pytest.raises(ValueError, match="are to be rising levels of noise over signal"):
            Ranges(views, bounds)
    with pytest.raises(ValueError, match="1 bounds part 2 ranges, got 3 views"):
        Ranges(views, (1.0,))


# -- in a training -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(save("sd", tmp_path_factory.mktemp("pipelines") / "sd"))


class Pictured:
    """Latents of a fixed law in place of pictures."""

    def __init__(self, bench):
        self.bench = bench

    def at(self, step, block=0):
        batch = self.bench.data(0, 2).at(step, block)
        return batch._replace(x=torch.randn(batch.x.shape, generator=torch.Generator().manual_seed(step)))


def run_of(folder, method, where=None, ranges=BOUNDS, steps=20):
    bench = PipelineBench(folder, PROMPTS, rank=4, ranges=ranges)
    run = born(bench, method, steps=steps, batch_size=2, folder=where)
    run.data = Pictured(bench)
    return bench, run


def tensors(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def moved(before, after):
    """The numbers of the ranges, any weight of which moved."""
    return {int(name.split(".")[1]) for name, value in after.items() if not torch.equal(value, before[name])}


CONSISTENCY = ConsistencyDistillation(solver=Euler(), grid=8, lr=1e-3)


def test_only_ranges_that_were_drawn_move(folder):
    """A bound beyond all noise parts a range that is never drawn: it stays as it was born, its average too."""
    bench, run = run_of(folder, CONSISTENCY, ranges=(0.5, 1e6))
    before, base, levels = tensors(run.nets["student"]), tensors(run.nets["teacher"]), set()
    averages = {name: tensors(net) for name, net in run.averages.items()}
    rows = run.nets["student"].rows
    run.nets["student"].rows = lambda t: (found := rows(t), levels.update(found))[0]
    for _ in train(run):
        pass
    assert levels == {0, 1} == moved(before, tensors(run.nets["student"]))
    for name, net in run.averages.items():
        assert moved(averages[name], tensors(net)) == {0, 1}
    assert all(torch.equal(value, base[name]) for name, value in tensors(run.nets["teacher"]).items())
    assert generate(bench, run, num_inference_steps=3, n=2).x.isfinite().all()


def test_a_checkpoint_brings_it_back_exactly(folder, tmp_path):
    """Also where a range has not been drawn yet when it is saved."""
    straight = run_of(folder, CONSISTENCY, tmp_path / "one", steps=12)[1]
    for _ in train(straight):
        if straight.step in (1, 8):
            save_run(straight)
    for step in (1, 8):
        again = run_of(folder, CONSISTENCY, tmp_path / "one", steps=12)[1]
        restore(again, tmp_path / "one" / "checkpoints" / f"{step:08d}.json")
        assert again.step == step
        for _ in train(again):
            pass
        for name in ("student", *straight.averages):
            mine, theirs = (tensors((run.nets | run.averages)[name]) for run in (again, straight))
            assert all(torch.equal(value, theirs[path]) for path, value in mine.items())


@pytest.mark.parametrize("method", [
    Dmd2(num_inference_steps=2, critic_turns=1, gan=3e-3, lr=1e-3, critic_lr=1e-3), ContinuousConsistency(lr=1e-3),
], ids=["dmd2", "continuous"])
def test_other_families_train_it(folder, method):
    _, run = run_of(folder, method, steps=3)
    before = tensors(run.nets["student"])
    for _ in train(run):
        pass
    assert moved(before, tensors(run.nets["student"]))


def test_a_bench_asks_for_ranges(folder):
    bench = PipelineBench(folder, PROMPTS, rank=4, ranges=[0.5, 5.0])
    student = bench.student()
    assert student.bounds == bench.ranges == (0.5, 5.0) and bench.settings["ranges"] == [0.5, 5.0]
    noise, cond = bench.start(2, 0)
    t = torch.full((2,), 500.0)
    assert torch.equal(student(noise, t, cond=cond), bench.teacher()(noise, t, cond=cond))
    with pytest.raises(ValueError, match="ranges = .* are of adapters, and rank=None makes none: give a rank"):
        PipelineBench("x", PROMPTS, rank=None, ranges=(1.0,))
    with pytest.raises(ValueError, match="are to be rising levels"):
        PipelineBench("x", PROMPTS, ranges=(5.0, 1.0))
