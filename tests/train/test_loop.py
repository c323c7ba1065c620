"""The loop: one step by hand, rhythms, averages, micro-batches, processes, and steps that are not finite."""

import copy
from dataclasses import dataclass

import pytest
import torch
from torch import multiprocessing

from tests.train.toys import Follow, Line, Points, Rich, bits, drain, new, one_of_two
from workbench.record.losses import reading
from workbench.train.divergence import PATIENCE, Diverged
from workbench.train.loop import train
from workbench.train.place import Place
from workbench.types import Adam, Loss, Update


@dataclass(frozen=True)
class Pull:
    """A loss whose gradient by w is ``by`` whatever the data."""

    by: float = 2.0
    lr: float = 0.1
    adam: Adam = Adam()
    mu: float = 0.75

    def updates(self):
        return (Update(("student",), self.loss, self.lr, average=self.mu, optimizer=self.adam),)

    def loss(self, nets, batch, now):
        return Loss(self.by * nets["student"].w.sum())


def test_one_adam_step_and_its_average_by_hand():
    """The first step of Adam is lr * sign(g) up to eps; mu = 0.75 keeps three quarters of 0.5."""
    run = new(Pull())
    taken = next(train(run)).taken[0]
    assert run.nets["student"].w.tolist() == pytest.approx([0.4, 0.4], abs=1e-7)
    assert run.averages["student.average"].w.tolist() == pytest.approx([0.475, 0.475], abs=1e-7)
    assert run.nets["student"].b.tolist() == [0.0, 0.0]
    assert float(taken.grad_norm) == pytest.approx(2 * 2**0.5) and taken.lr == 0.1 and taken.trains == ("student",)


def test_clipping_bounds_the_norm_and_weight_decay_is_decoupled():
    """Moments see the clipped gradient: (2, 2) of norm 2.83 clipped to 1 is (0.707, 0.707)."""
    run = new(Pull(adam=Adam(clip=1.0)))
    next(train(run))
    state = run.optimizers[0].state[run.nets["student"].w]
    assert state["exp_avg"].tolist() == pytest.approx([0.1 * 0.5**0.5] * 2, rel=1e-5)
    decayed = new(Pull(adam=Adam(weight_decay=0.5)))
    next(train(decayed))
    assert decayed.nets["student"].w.tolist() == pytest.approx([0.5 * (1 - 0.1 * 0.5) - 0.1] * 2, abs=1e-6)


def test_a_clip_that_does_not_bite_changes_nothing():
    assert bits(drain(new(Follow(adam=Adam(clip=1e9))))) == bits(drain(new()))


def test_the_loop_is_the_bare_loop_bit_for_bit():
    run, student = new(steps=6), Line()
    optimizer, average = torch.optim.Adam(student.parameters(), lr=1e-2, fused=True), copy.deepcopy(student)
    other = new(steps=6)
    for step in range(6):
        optimizer.zero_grad()
        nets = {"teacher": other.nets["teacher"], "student": student}
        Follow().loss(nets, Points().at(step), other.now(0, 0)).total.backward()
        optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), student.parameters(), strict=True):
                slow.lerp_(fast, 0.5)
        other.act_step += 1
    drain(run)
    for net, expected in ((run.nets["student"], student), (run.averages["student.average"], average)):
        assert torch.equal(net.w, expected.w) and torch.equal(net.b, expected.b)


def test_updates_keep_their_rhythms():
    taken = [[one.trains for one in stepped.taken] for stepped in train(new(Rich(turns=2), steps=8))]
    act = [[("critic",), ("student",)], [("critic",), ()], [("critic",), ("student",), ()], [("critic",), ()]]
    assert taken == act + act


def test_an_update_that_trains_nothing_keeps_no_gradient_and_fills_its_memory():
    run = drain(new(Rich(), steps=8))
    assert run.nets["memory"].count.item() == 6  # all but each act's first step
    expected = sum(Points().at(step).x.mean(0) for step in (1, 2, 3, 5, 6, 7))
    assert torch.allclose(run.nets["memory"].sum, expected)


def test_a_rate_may_depend_on_now():
    lrs = [[t.lr for t in stepped.taken if t.trains == ("critic",)][0] for stepped in train(new(Rich(), steps=8))]
    assert lrs == pytest.approx([1e-2, 7.5e-3, 5e-3, 2.5e-3] * 2)


def test_gradients_reach_the_named_learners_alone():
    """The student's loss passes through the critic, which must get no gradient of it."""
    run, bare = new(Rich(turns=1), steps=4), new(Rich(turns=1), steps=4)
    total = Rich().critic_loss(bare.nets, Points().at(0), bare.now(0, 0)).total
    (expected,) = torch.autograd.grad(total, bare.nets["critic"].w)
    next(train(run))
    assert torch.equal(run.nets["critic"].w.grad, expected) and run.nets["teacher"].w.grad is None


def test_events_carry_no_graph():
    for stepped in train(new(Rich(), steps=4)):
        for taken in stepped.taken:
            tensors = [taken.loss.total, *taken.loss.parts.values(), *taken.loss.seen.values(), taken.grad_norm]
            assert not any(tensor.requires_grad for tensor in tensors)


def test_pausing_and_watching_change_nothing():
    watched = new(Rich(), steps=8)
    events = train(watched)
    for _ in range(3):
        reading(next(events), watched)
    events.close()
    for stepped in train(watched):
        reading(stepped, watched)
    assert bits(watched) == bits(drain(new(Rich(), steps=8)))
    assert [stepped.step for stepped in train(new(steps=8), until=3)] == [1, 2, 3]


def test_the_global_generator_is_neither_read_nor_moved():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = bits(drain(new(Rich())))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert bits(drain(new(Rich()))) == first


def test_another_seed_draws_other_noise():
    assert bits(drain(new(seed=1))) != bits(drain(new(seed=0)))


def test_two_micro_batches_are_the_mean_of_two_losses_bit_for_bit():
    run, student = new(blocks=2), Line()
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-2, fused=True)
    for block in (0, 1):
        nets = {"teacher": run.nets["teacher"], "student": student}
        (Follow().loss(nets, Points().at(0, block), run.now(0, block)).total / 2).backward()
    gradient = student.w.grad.clone()
    optimizer.step()
    next(train(run))
    assert torch.equal(run.nets["student"].w.grad, gradient) and torch.equal(run.nets["student"].w, student.w)


def test_two_processes_are_one_with_two_micro_batches_bit_for_bit(tmp_path):
    multiprocessing.spawn(one_of_two, (str(tmp_path),), nprocs=2)
    expected = bits(drain(new(Rich(), steps=6, blocks=2)))
    for rank in (0, 1):
        lines = dict(line.rsplit(" ", 1) for line in (tmp_path / f"{rank}.txt").read_text().splitlines())
        assert {name: bytes.fromhex(value) for name, value in lines.items()} == expected, rank


def test_micro_batches_are_dealt_out_evenly_or_refused():
    assert list(Place(rank=1, world=3).blocks(6)) == [1, 4]
    with pytest.raises(ValueError, match="5 micro-batches cannot be shared by 2 processes: use a multiple"):
        Place(rank=0, world=2).blocks(5)


def test_a_non_finite_gradient_changes_no_weight_average_or_moment():
    run = drain(new(data=Points(bad=(3,))), 3)
    before = bits(run)
    assert any(name.startswith("optimizer") for name in before)
    stepped = next(train(run))
    assert not torch.isfinite(stepped.taken[0].grad_norm) and bits(run) == before
    assert float(run.bad_streak[0]) == 1
    drain(run)
    assert float(run.bad_streak[0]) == 0 and bits(run) != before and run.finished


def test_a_non_finite_first_step_leaves_the_birth():
    run = new(data=Points(bad=(0,)), start=0.25)
    next(train(run))
    assert run.nets["student"].w.tolist() == [0.25, 0.25] == run.averages["student.average"].w.tolist()
    drain(run)
    assert all(torch.isfinite(p).all() for p in run.nets["student"].parameters())


def test_a_clipped_non_finite_gradient_is_no_better():
    run = new(Follow(adam=Adam(clip=1.0)), data=Points(bad=(0,)))
    before = run.nets["student"].w.tolist()
    next(train(run))
    assert run.nets["student"].w.tolist() == before


def test_three_in_a_row_end_the_run_naming_part_and_time():
    run = new(data=Points(bad=(2, 3, 4)))
    drain(run, 2)
    before = bits(run)
    with pytest.raises(Diverged) as caught:
        drain(run)
    said = str(caught.value)
    assert "diverged at step 5: non-finite match of the update of student 3 times in a row" in said
    assert "at t in [0.2857, 0.2857]" in said  # the third of eight samples holds the NaN
    assert "now 0.01" in said and "resume from the last checkpoint" in said
    assert bits(run) == before and PATIENCE == 3


def test_two_in_a_row_do_not():
    run = drain(new(data=Points(bad=(1, 2, 4, 5)), steps=8))
    assert run.finished


def test_a_gradient_may_be_non_finite_where_the_loss_is_not():
    """sqrt at 0 has a finite value and an infinite slope."""

    @dataclass(frozen=True)
    class Root:
        def updates(self):
            return (Update(("student",), lambda nets, batch, now: Loss(torch.sqrt(nets["student"].b).sum())),)

    with pytest.raises(Diverged, match="non-finite gradient of the update of student"):
        drain(new(Root()))


def test_every_update_has_its_own_streak():
    """The student is due every second step: bad data at 0, 2 and 4 are its three in a row, the critic's are not."""
    run = new(Rich(turns=2), data=Points(bad=(0, 2, 4)), steps=20)
    with pytest.raises(Diverged, match="update of student"):
        drain(run)
    assert run.step == 5 and float(run.bad_streak[0]) == 1
