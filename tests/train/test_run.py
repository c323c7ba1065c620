"""A run's birth, its acts, its counters and what may be changed while it lives."""

from dataclasses import dataclass, replace

import pytest
import torch

from tests.train.toys import Follow, Line, Points, Rich, bits, drain, new
from workbench.randomness import Key
from workbench.train.loop import train
from workbench.train.run import Run
from workbench.types import Act, Loss, Update


@dataclass(frozen=True)
class Says:
    """A method that is nothing but its updates."""

    said: tuple = ()

    def updates(self):
        return self.said


def nothing(nets, batch, now):
    return Loss(nets["student"](batch.x).square().mean())


def test_an_unknown_net_is_named_at_birth_with_those_that_are_there():
    with pytest.raises(ValueError, match=r"trains 'critic', .* \['student', 'teacher'\]"):
        new(Says((Update(("critic",), nothing),)))


def test_a_weight_in_two_updates_is_refused_at_birth():
    with pytest.raises(ValueError, match="two updates of act 'train' train the same weights"):
        new(Says((Update(("student",), nothing), Update(("student",), nothing))))
    with pytest.raises(ValueError, match="train the same weights"):
        new(Says((Update(("student", "student"), nothing),)))


def test_a_weight_shared_by_two_nets_is_refused_too():
    method, shared = Says((Update(("student",), nothing), Update(("head",), nothing))), Line()
    head = torch.nn.Sequential(shared)
    with pytest.raises(ValueError, match="train the same weights"):
        Run(method, {"student": shared, "head": head}, Points(), steps=1)


@pytest.mark.parametrize("wrong", [dict(steps=0), dict(steps=-3), dict(blocks=0)])
def test_bad_counts_are_refused(wrong):
    with pytest.raises(ValueError, match="steps and blocks must be at least 1"):
        new(**wrong)


def test_an_act_without_a_step_is_refused():
    with pytest.raises(ValueError, match="act 'first' gets none of the 1 steps"):
        new(Rich(), steps=1)


def test_only_trained_nets_can_learn_and_all_others_are_frozen():
    run = new(Rich())
    nets = (run.nets | run.averages).items()
    assert {name for name, net in nets if any(p.requires_grad for p in net.parameters())} == {"student", "critic"}
    assert not run.nets["teacher"].training and run.nets["student"].training


def test_averages_are_born_equal_and_named_in_order():
    run = new(Rich())
    assert list(run.averages) == ["critic.average", "student.average", "student.average1"]
    assert torch.equal(run.averages["student.average1"].w, run.nets["student"].w)
    assert run.student() is run.averages["student.average1"]
    assert run.student(average=False) is run.nets["student"]
    assert new(Says((Update(("student",), nothing),))).student() is not None


def test_teacher_calls_are_counted_in_samples():
    run = drain(new(steps=3))
    assert run.teacher_calls == 3 * 8
    run.views["teacher"].features(torch.zeros(5, 2))
    assert run.teacher_calls == 3 * 8 + 5
    assert drain(new(steps=3, blocks=2)).teacher_calls == 2 * 3 * 8
    assert Run(Says((Update(("student",), nothing),)), {"student": Line()}, Points(), steps=1).teacher_calls == 0


def test_an_act_enters_once_with_fresh_optimisers_averages_and_counts():
    run = new(Rich(), steps=8)
    drain(run, 3)
    slow = run.averages["student.average1"].w.clone()
    assert (run.act, run.act_step, len(run.optimizers[1].state)) == (0, 3, 2)
    stepped = list(train(run, 4))[0]
    assert (stepped.act, stepped.step, stepped.act_step) == ("first", 4, 4)
    assert (run.act, run.act_step, run.current.stage) == (1, 0, "second")
    assert not torch.equal(run.nets["student"].w, torch.full((2,), 0.5)) and len(run.optimizers[1].state) == 0
    for name in ("student.average", "student.average1"):
        assert torch.equal(run.averages[name].w, run.nets["student"].w)
    stepped = next(train(run))
    assert (stepped.act, stepped.step, stepped.act_step) == ("second", 5, 1)
    assert run.acts[1].enter is not None and not torch.equal(slow, run.nets["student"].w)


def test_the_last_act_ends_the_run():
    run = drain(new(Rich(), steps=5))
    assert run.finished and (run.step, run.act, run.act_step) == (5, 1, 3)
    assert list(train(run)) == []


def test_the_key_says_where_a_draw_stands():
    run = new(Rich(), steps=8, seed=7)
    drain(run, 5)
    assert run.now(1, 3).key == Key(seed=7, act=1, update=1, step=1, block=3)
    assert (run.now(0, 0).step, run.now(0, 0).steps, run.now(0, 0).progress) == (1, 4, 0.25)


def test_a_live_change_holds_from_the_next_step_and_is_recorded():
    run, other = new(), new()
    drain(run, 3), drain(other, 3)
    run.change("lr", 0.5)
    assert run.changes == [{"act": 0, "act_step": 3, "name": "lr", "value": 0.5}]
    assert next(train(run)).taken[0].lr == 0.5 and next(train(other)).taken[0].lr == 1e-2
    assert bits(run) != bits(other)


def test_a_change_of_a_field_of_the_loss_reaches_the_loss():
    run, other = drain(new(), 3), drain(new(), 3)
    run.change("noise", 0.0)
    x = next(train(run)).taken[0].loss.seen["x_t"]
    assert torch.equal(x, Points().at(3).x)
    assert not torch.equal(next(train(other)).taken[0].loss.seen["x_t"], Points().at(3).x)


def test_a_live_change_is_replayed_on_resume(tmp_path):
    from workbench.train.checkpoint import restore, save_run

    live = new(folder=tmp_path)
    drain(live, 3)
    live.change("noise", 0.3)
    live.change("lr", 2e-2)
    drain(live, 5)
    save_run(live)
    back = new(folder=tmp_path)
    restore(back)
    assert back.changes == live.changes and back.current == replace(Follow(), noise=0.3, lr=2e-2)
    assert bits(drain(back)) == bits(drain(live))


def test_a_change_stays_with_its_act(tmp_path):
    run = new(Rich())
    run.change("lr", 0.5)
    drain(run, 5)
    assert run.current.lr == 1e-2


@pytest.mark.parametrize(("name", "value", "said"), [
    ("nois", 0.1, "unknown field of Follow 'nois'; did you mean 'noise'"),
    ("loss", 0.1, "unknown field of Follow 'loss'"),
])  # fmt: skip
def test_an_unknown_field_is_refused_with_the_nearest(name, value, said):
    run = new()
    with pytest.raises(ValueError, match=said):
        run.change(name, value)
    assert run.changes == [] and run.current == Follow()


def test_a_change_of_who_learns_is_refused():
    run = new(Rich())
    before = bits(drain(run, 2))
    with pytest.raises(ValueError, match="with_critic = False changes which nets learn"):
        run.change("with_critic", False)
    assert run.changes == [] and bits(run) == before and len(run.updates) == len(run.learners) == 3


def test_enter_may_write_but_the_nets_are_those_of_birth():
    run = new(Rich())
    nets = {name: id(net) for name, net in (run.nets | run.averages).items()}
    drain(run)
    assert {name: id(net) for name, net in (run.nets | run.averages).items()} == nets


def test_a_method_without_acts_is_one_act():
    assert [(act.name, act.steps) for act in new(steps=5).acts] == [("train", 5)]
    assert isinstance(new().acts[0], Act)
