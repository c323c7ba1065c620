"""Forks: the parent's bits when nothing is changed, a live change replayed, a longer run, and what is refused."""

import json

import pytest

from tests.chaos.compare import differences
from workbench import benches
from workbench.benches.assemble import from_recipe, recipe
from workbench.methods.steps.consistency import ConsistencyDistillation
from workbench.methods.steps.progressive import ProgressiveDistillation
from workbench.record.fork import fork
from workbench.record.session import session
from workbench.record.store import read_events, read_state
from workbench.train.checkpoint import BrokenCheckpoint, checkpoints, read

BENCH = benches.load("gmm2d")
TOLD = recipe(BENCH, ConsistencyDistillation(), seed=4, steps=24, batch_size=16)


def go(told, folder, stop_at=None, change=None):
    run = from_recipe(told, folder)
    for stepped in session(run, told, every=1, save_every=6, stop=lambda: run.step == stop_at):
        if change and stepped.step == change[0]:
            run.change(*change[1:])
    return run


@pytest.fixture
def parent(tmp_path):
    go(TOLD, tmp_path / "parent", stop_at=12)
    return tmp_path / "parent"


def test_an_unchanged_fork_ends_with_its_parents_bits(parent, tmp_path):
    forked = fork(parent, tmp_path / "deep" / "fork")
    assert [event["step"] for event in read_events(forked, "step")] == list(range(1, 13))
    go(TOLD, parent)
    go(read_state(forked)["recipe"], forked)
    assert differences(parent, forked) == []
    said = read_state(forked)["parent"]
    assert (forked / said["folder"]).resolve() == parent.resolve() and said["step"] == 12


def test_a_fork_from_an_earlier_checkpoint_drops_later_events(parent, tmp_path):
    forked = fork(parent, tmp_path / "fork", checkpoint=6)
    assert [event["step"] for event in read_events(forked, "step")] == list(range(1, 7))
    go(TOLD, parent)
    go(TOLD, forked)
    assert differences(parent, forked) == []


def test_a_changed_fork_is_the_live_change(parent, tmp_path):
    forked = fork(parent, tmp_path / "fork", lr=1e-4)
    go(TOLD, forked)
    go(TOLD, tmp_path / "live", change=(12, "lr", 1e-4))
    go(TOLD, parent)
    assert differences(tmp_path / "live", forked) == []
    assert differences(parent, forked) != []


def test_a_longer_fork_goes_on(parent, tmp_path):
    go(TOLD, parent)
    forked = fork(parent, tmp_path / "fork", steps=30)
    run = go(read_state(forked)["recipe"], forked)
    assert run.step == 30 and [event["step"] for event in read_events(forked, "step")] == list(range(1, 31))
    assert read(checkpoints(forked)[-1])[0]["steps"] == 30


def test_what_does_not_fit_is_refused(parent, tmp_path):
    for options, words in [({"checkpoint": 7}, "it has 0, 6, 12"), ({"steps": 12}, "above that"),
                           ({"averge": 0.9}, "did you mean 'average'"), ({"solver": {}}, "must be a number")]:
        with pytest.raises(ValueError, match=words):
            fork(parent, tmp_path / "fork", **options)
        assert not (tmp_path / "fork").exists()
    fork(parent, tmp_path / "fork")
    with pytest.raises(ValueError, match="choose another name"):
        fork(parent, tmp_path / "fork")
    with pytest.raises(ValueError, match="not a run folder"):
        fork(tmp_path, tmp_path / "other")


def test_acts_cannot_be_stretched_once_begun(tmp_path):
    told = recipe(BENCH, ProgressiveDistillation(start_steps=4), seed=4, steps=24, batch_size=16)
    go(told, tmp_path / "parent", stop_at=12)
    forked = fork(tmp_path / "parent", tmp_path / "fork", steps=48)
    with pytest.raises(ValueError, match="give the steps of its birth"):
        go(read_state(forked)["recipe"], forked)


def test_a_torn_checkpoint_is_passed_over(parent, tmp_path):
    newest = checkpoints(parent)[-1].with_suffix(".safetensors")
    newest.write_bytes(newest.read_bytes()[:-1])
    assert read(checkpoints(fork(parent, tmp_path / "fork"))[0])[0]["step"] == 6
    for path in checkpoints(parent):
        path.write_text(json.dumps({}))
    with pytest.raises(BrokenCheckpoint):
        fork(parent, tmp_path / "other")
