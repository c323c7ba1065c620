"""A training in a thread: what is asked of it is done between two steps, and the numbers are those of a plain run."""

import json
import time

import pytest
import torch

from tests.train.toys import Follow, Points, Rich, bits, drain, new
from workbench import cells as w
from workbench.benches.assemble import born, recipe
from workbench.cells.distil import model_of, resumed
from workbench.cells.live import Live
from workbench.cells.watch import Watch
from workbench.files import sealed
from workbench.papers.chosen import method as named
from workbench.record.control import command
from workbench.record.store import read_events, read_state
from workbench.train.checkpoint import checkpoints
from workbench.train.divergence import Diverged

TOLD = {"method": "toy", "steps": 8}


def wait(met, seconds=20.0):
    until = time.monotonic() + seconds
    while not quietly(met):
        assert time.monotonic() < until
        time.sleep(0.005)


def test_it_has_the_bits_of_a_plain_run(tmp_path):
    run = new(Rich(), steps=8, folder=tmp_path / "run")
    live = Live(run, TOLD, every=1).start().begun()
    assert live.wait(20) and bits(run) == bits(drain(new(Rich(), steps=8)))
    assert live.between(lambda: 7) == 7  # an ended run answers at once


def test_what_is_asked_happens_between_steps_also_while_paused(tmp_path):
    run = new(Rich(), steps=100_000, folder=tmp_path / "run")
    live = Live(run, {**TOLD, "steps": 100_000}, every=1000).start().begun()
    first = live.between(lambda: (run.step, run.act_step))
    assert first[0] == first[1]
    command(run.folder, "pause")
    wait(lambda: read_state(run.folder)["status"] == "paused")
    one, two = live.snapshot(), live.snapshot()
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    with pytest.raises(ZeroDivisionError):
        live.between(lambda: 1 / 0)
    live.leave()  # what happens when the kernel goes
    assert read_state(run.folder)["status"] == "stopped" and live.wait(0)
    assert int(checkpoints(run.folder)[-1].stem) == run.step


def test_what_ended_it_is_raised_to_who_waits(tmp_path):
    run = new(Follow(), Points(bad=(4, 5, 6)), steps=8, folder=tmp_path / "run")
    live = Live(run, TOLD, every=1).start()
    with pytest.raises(Diverged, match="non-finite match"):
        live.wait(20)
    assert read_state(run.folder)["status"] == "diverged"


def test_a_folder_that_is_taken_is_said_at_once(tmp_path):
    Live(new(Rich(), steps=8, folder=tmp_path / "run"), TOLD).start().wait(20)
    with pytest.raises(ValueError, match="holds a run with steps = 8, not 9"):
        Live(new(Rich(), steps=9, folder=tmp_path / "run"), {**TOLD, "steps": 9}).start().begun()


def quietly(met):
    try:
        return met()
    except ValueError:  # the folder is not there yet
        return False


@pytest.fixture
def ring_run(ring, tmp_path):
    """A run of the ring, born, and what it was born from."""
    chosen = named("consistency", {"grid": 6}, "gmm2d")
    said = recipe(ring, chosen, seed=1, steps=60, batch_size=64)
    return born(ring, chosen, seed=1, steps=60, batch_size=64, folder=tmp_path / "run"), said


def test_other_verbs_take_the_student_as_it_stands(ring, ring_run):
    run, said = ring_run
    live = Live(run, said, every=1)
    model = model_of("student", ring, run)
    model = model.__class__(**{**model.__dict__, "live": live})
    live.start().begun()
    found = w.walk(model, seed=3)["student"]
    assert torch.isfinite(found[-1].x_t).all()
    assert w.wait(model) is model and run.finished
    after = model.sample(*ring.start(600, 3), seed=3)
    assert torch.equal(after, w.walk(model, seed=3)["student"][-1].x_t)


def test_the_watch_holds_every_reading_and_steers_by_commands(ring_run):
    run, said = ring_run
    live = Live(run, said, every=1).start().begun()
    watch = Watch({"run": run.folder})
    (followed,), (panel,) = watch.runs, watch.panels
    watch.heard(followed, {"event": "change", "name": "lr", "value": 2e-4})
    wait(lambda: watch.look() or followed.status == "finished")
    live.wait(20)
    watch.look()
    (clock,) = watch.dashboard.clocks
    assert list(clock.steps) == list(range(1, 61))
    told = [event["updates"][0]["parts"]["consistency"] for event in read_events(run.folder, "step")]
    assert list(watch.dashboard.lines[0, "student: consistency"].values) == pytest.approx(told)
    assert (panel.data["status"], panel.data["step"], panel.data["steps"]) == ("finished", 60, 60)
    changes = list(read_events(run.folder, "change"))
    assert not changes or {f["name"]: f["value"] for f in panel.data["fields"]}["lr"] == 2e-4


def test_a_fork_of_an_ended_run_goes_on_beside_it(ring_run):
    run, said = ring_run
    live = Live(run, said, every=1, milestone=20).start()
    live.wait(20)
    watch = Watch({"run": run.folder})
    watch.look()
    watch.heard(watch.runs[0], {"event": "fork", "checkpoint": 20})
    fork = run.folder.with_name("run-fork-1")
    wait(lambda: read_state(fork)["status"] == "finished" and len(watch.runs) == 2)
    watch.look()
    assert len(watch.runs) == len(watch.panels) == len(watch.dashboard.clocks) == 2
    assert [max(clock.steps) for clock in watch.dashboard.clocks] == [60, 60]


def test_a_folder_that_breaks_while_watched_says_so_and_keeps_what_it_had(ring_run, tmp_path):
    run, said = ring_run
    Live(run, said, every=1).start().wait(20)
    watch = Watch({"run": run.folder})
    watch.look()
    held = len(watch.dashboard.clocks[0].steps)
    (run.folder / "run.json").write_text(json.dumps({"format": 99}))
    watch.runs[0].asked = 0.0
    watch.look()
    assert "update the package" in watch.panels[0].data["message"]
    run.folder.rename(tmp_path / "gone")
    watch.runs[0].asked = 0.0
    watch.look()
    assert "no run.json" in watch.panels[0].data["message"]
    assert len(watch.dashboard.clocks[0].steps) == held == 60 and watch.panels[0].data["step"] == 60


def test_a_lost_run_is_told_and_resumed(ring_run):
    run, said = ring_run
    live = Live(run, said, every=1).start().begun()
    command(run.folder, "stop")
    live.wait(20)
    state = read_state(run.folder)
    (run.folder / "run.json").write_text(json.dumps(sealed({**state, "status": "running", "pid": 2**22 + 1})))
    watch = Watch({"run": run.folder})
    watch.look()
    assert watch.panels[0].data["status"] == "lost" and "w.resume(" in watch.panels[0].data["message"]
    resumed(run.folder).wait(20)
    assert read_state(run.folder)["status"] == "finished"


def test_watch_refuses_what_is_no_run(tmp_path):
    with pytest.raises(ValueError, match="no run.json"):
        w.watch(tmp_path)
