"""A recorded training: its statuses, its events once each, and that recording changes no number."""

import json

import pytest
import torch

from tests.train.toys import Follow, Points, Rich, bits, drain, new
from workbench.files import sealed
from workbench.record.losses import BINS
from workbench.record.session import session
from workbench.record.store import read_events, read_state
from workbench.train.checkpoint import BrokenCheckpoint, checkpoints, restore
from workbench.train.divergence import Diverged

TOLD = {"method": "toy"}


def recorded(folder, until=None, method=None, data=None, steps=8, **options):
    run = new(method or Rich(), data, steps=steps, folder=folder)
    options = {"every": 1, "save_every": 3} | options
    for _ in session(run, TOLD, stop=lambda: run.step == until, **options):
        pass
    return run


def steps_told(folder):
    return [event["step"] for event in read_events(folder, "step")]


def test_a_recorded_run_has_the_bits_of_one_that_is_not(tmp_path):
    assert bits(recorded(tmp_path)) == bits(drain(new(Rich(), steps=8)))


def test_a_finished_run_says_what_it_took(tmp_path):
    run = recorded(tmp_path)
    state = read_state(tmp_path)
    assert (state["status"], state["step"], state["teacher_calls"]) == ("finished", 8, run.teacher_calls)
    assert state["steps_per_second"] == pytest.approx(8 / state["seconds"])
    assert checkpoints(tmp_path)[-1].stem == "00000008" and steps_told(tmp_path) == list(range(1, 9))


def test_readings_are_thinned_but_for_the_first_and_the_last_step(tmp_path):
    recorded(tmp_path, every=3)
    assert steps_told(tmp_path) == [1, 3, 6, 8]


def test_a_reading_tells_parts_norms_rates_and_bins(tmp_path):
    recorded(tmp_path, method=Follow(), data=Points(batch_size=16))
    first = next(read_events(tmp_path, "step"))
    (update,) = first["updates"]
    assert (first["act"], first["act_step"], update["trains"], update["lr"]) == ("train", 1, ["student"], 1e-2)
    assert update["parts"] == {"match": update["total"]} and update["grad_norm"] > 0
    assert len(update["time_bins"]["t"]) == len(update["time_bins"]["error"]) == BINS
    assert sum(update["time_bins"]["error"]) / BINS == pytest.approx(update["total"], rel=1e-5)
    assert update["time_bins"]["t"][0] == pytest.approx(0.5 / 15)  # two of sixteen times from 0 to 1 in each


@pytest.mark.parametrize("stop", range(1, 8))
def test_a_stopped_run_goes_on_with_the_same_bits_and_each_event_once(tmp_path, stop):
    recorded(tmp_path, until=stop)
    assert read_state(tmp_path)["status"] == "stopped" and read_state(tmp_path)["step"] == stop
    run = recorded(tmp_path)
    assert bits(run) == bits(drain(new(Rich(), steps=8))) and steps_told(tmp_path) == list(range(1, 9))
    assert read_state(tmp_path)["status"] == "finished"


@pytest.mark.parametrize("at", [2, 4, 7])
def test_events_after_the_last_checkpoint_are_told_once(tmp_path, at):
    """A killed process leaves events its checkpoint does not know, the last of them torn."""
    run = new(Rich(), steps=8, folder=tmp_path)
    events = session(run, TOLD, every=1, save_every=3)
    for _ in range(at):
        next(events)
    left = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}  # what a kill would leave
    events.close()
    for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
        path.unlink()
    for path, content in left.items():
        path.write_bytes(content)
    with open(tmp_path / "events.jsonl", "ab") as file:
        file.write(b'{"kind": "step", "step": 99')
    assert bits(recorded(tmp_path)) == bits(drain(new(Rich(), steps=8)))
    assert steps_told(tmp_path) == list(range(1, 9))


def test_a_consumer_that_goes_away_stops_the_run_with_a_checkpoint(tmp_path):
    events = session(new(Rich(), steps=8, folder=tmp_path), TOLD, every=1, save_every=100)
    for _ in range(5):
        next(events)
    events.close()
    assert read_state(tmp_path)["status"] == "stopped" and checkpoints(tmp_path)[-1].stem == "00000005"


def test_ctrl_c_in_the_middle_of_a_step_saves_no_half_of_it(tmp_path):
    class Pressed(Rich):
        def fill(self, nets, batch, now):
            if now.step == 2:
                raise KeyboardInterrupt
            return super().fill(nets, batch, now)

    with pytest.raises(KeyboardInterrupt):
        recorded(tmp_path, method=Pressed(), save_every=100)
    assert read_state(tmp_path)["status"] == "stopped" and [p.stem for p in checkpoints(tmp_path)] == ["00000000"]
    assert bits(recorded(tmp_path)) == bits(drain(new(Rich(), steps=8)))


def test_a_diverged_run_says_why_and_keeps_its_good_checkpoint(tmp_path):
    with pytest.raises(Diverged):
        recorded(tmp_path, method=Follow(), data=Points(bad=(4, 5, 6)))
    state = read_state(tmp_path)
    assert (state["status"], state["step"]) == ("diverged", 7) and "non-finite match" in state["error"]
    assert [event["message"] for event in read_events(tmp_path, "diverged")] == [state["error"]]
    bad = [event["updates"][0] for event in read_events(tmp_path, "step")][4]
    assert bad["total"] is None and bad["grad_norm"] is None  # JSON knows no NaN
    back = new(folder=tmp_path)
    restore(back)
    assert bits(back)["student/w"] == bits(drain(new(), 4))["student/w"]


def test_a_resumed_run_forgets_that_it_diverged(tmp_path):
    with pytest.raises(Diverged):
        recorded(tmp_path, method=Follow(), data=Points(bad=(4, 5, 6)))
    recorded(tmp_path, method=Follow())
    state = read_state(tmp_path)
    assert (state["status"], state["error"]) == ("finished", None) and list(read_events(tmp_path, "diverged")) == []


def test_a_failed_run_says_what_failed(tmp_path):
    class Breaks(Follow):
        def loss(self, nets, batch, now):
            if now.step == 2:
                raise ArithmeticError("two is too much")
            return super().loss(nets, batch, now)

    with pytest.raises(ArithmeticError):
        recorded(tmp_path, method=Breaks())
    state = read_state(tmp_path)
    assert (state["status"], state["error"], state["pid"]) == ("failed", "ArithmeticError: two is too much", None)


def test_a_torn_checkpoint_is_skipped_and_said(tmp_path):
    recorded(tmp_path, until=6)
    path = checkpoints(tmp_path)[-1].with_suffix(".safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    assert bits(recorded(tmp_path)) == bits(drain(new(Rich(), steps=8))) and steps_told(tmp_path) == list(range(1, 9))
    assert [path.name in said for said in read_state(tmp_path)["skipped_checkpoints"]] == [True]


def test_a_folder_that_cannot_be_resumed_is_left_as_it_was(tmp_path):
    recorded(tmp_path, until=4)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="steps of its birth"):
        recorded(tmp_path, steps=3)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    for path in checkpoints(tmp_path):
        path.write_text("torn")
    with pytest.raises(BrokenCheckpoint):
        recorded(tmp_path)
    assert read_state(tmp_path)["status"] == "stopped"


def test_a_run_of_another_recipe_is_refused_with_the_first_difference(tmp_path):
    """Else a changed setting would go on from, or simply return, what another setting had trained."""
    told = {"bench": "gmm2d", "method": {"class": "Toy", "lr": 1e-3, "times": (1, 2)}, "seed": 0}
    for _ in session(new(folder=tmp_path), told):
        pass
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for changed, said in (({"method": told["method"] | {"lr": 2e-3}}, "method.lr = 0.001, not 0.002"),
                          ({"seed": 1}, "seed = 0, not 1"), ({"blocks": 2}, "blocks = None, not 2"),
                          ({"method": {"class": "Toy"}}, "method.lr = 0.001, not None")):  # fmt: skip
        with pytest.raises(ValueError, match=f"holds a run with {said}: choose another folder, or fork"):
            next(session(new(folder=tmp_path), told | changed))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert list(session(new(folder=tmp_path), told)) == []  # its own recipe: finished, nothing left to do


def test_a_second_writer_is_refused_before_it_touches_anything(tmp_path):
    recorded(tmp_path, until=4)
    state = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(sealed(state | {"status": "running", "pid": 1})))
    for path in checkpoints(tmp_path):
        path.write_text("{")  # as if just being written: the reason to be told is the other writer
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(RuntimeError, match="being written by process 1"):
        recorded(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_scraps_of_a_killed_writer_are_cleared(tmp_path):
    recorded(tmp_path, until=4)
    scrap = tmp_path / "checkpoints" / ".00000006.safetensors.123.part"
    scrap.write_bytes(b"half")
    recorded(tmp_path)
    assert not scrap.exists()


def test_a_run_without_a_folder_is_refused():
    with pytest.raises(ValueError, match="needs a folder"):
        next(session(new(), TOLD))


def test_the_gap_of_an_average_is_its_distance_over_the_weights_norm(tmp_path):
    run = recorded(tmp_path, method=Follow(), until=5)
    last = [*read_events(tmp_path, "step")][-1]
    student, average = run.nets["student"], run.averages["student.average"]
    flat = [torch.cat([p.detach().flatten() for p in net.parameters()]) for net in (student, average)]
    assert last["gaps"] == {"student.average": pytest.approx(float((flat[0] - flat[1]).norm() / flat[0].norm()))}
