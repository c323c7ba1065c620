"""What keeps several processes one: a comparison that sees a difference, and the teacher's calls counted once."""

import pytest
import torch
from torch import distributed

from tests.train.toys import Points, new
from workbench.jobs.ranks import There
from workbench.jobs.team import Team
from workbench.train.place import Parted, Place, connected
from workbench.types import Samples


@pytest.fixture
def team(monkeypatch):
    """The team of a run in two processes, of which only the first is there; ``other`` is what the second one holds."""
    monkeypatch.setattr(distributed, "new_group", lambda **_: None)
    return Team(new(blocks=2, place=Place(rank=0, world=2)))


@pytest.mark.parametrize("same", [True, False])
def test_processes_that_differ_are_found_out(team, monkeypatch, same):
    def gather(found, own, group=None):
        found[0].copy_(own)
        found[1].copy_(own if same else own.flip(0))

    monkeypatch.setattr(distributed, "all_gather", gather)
    if same:
        team.agree()
    else:
        with pytest.raises(RuntimeError, match="the processes differ at step 0"):
            team.agree()


def test_any_bit_of_the_run_is_compared(team, monkeypatch):
    digests = []
    monkeypatch.setattr(distributed, "all_gather", lambda found, own, group=None: [
        digests.append(bytes(own.tolist())), *(one.copy_(own) for one in found)])
    team.agree()
    with torch.no_grad():
        team.run.averages["student.average"].b[1] += 1e-7
    team.agree()
    team.run.change("lr", 0.5)
    team.agree()
    assert len(set(digests)) == 3


@pytest.mark.parametrize("rank", [0, 1])
def test_each_process_counts_the_calls_of_its_own_micro_batches(rank):
    run = new(blocks=4, place=Place(rank=rank, world=2))
    for block in range(4):
        run.now(0, block)
        run.views["teacher"](torch.zeros(8, 2))
    assert run.teacher_calls == 2 * 8


def test_batches_are_moved_to_where_the_run_computes():
    batch = There(Points(), torch.device("meta")).at(3, 1)
    assert (type(batch), batch.x.device.type, batch.x.shape, batch.y) == (Samples, "meta", (8, 2), None)


def test_a_lost_process_is_told_in_a_sentence():
    with pytest.raises(Parted, match="another process of this training was lost; run again"), connected():
        raise RuntimeError("[../third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer")
