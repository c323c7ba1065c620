"""Commands reach a session between two steps, are done once and recorded, and change no number they should not."""

import json
import threading
import time

import pytest

from tests.train.toys import Follow, Rich, bits, drain, new
from workbench.record.control import Inbox, command, free
from workbench.record.session import session
from workbench.record.store import read_events, read_state
from workbench.train.checkpoint import checkpoints

TOLD = {"method": "toy"}


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """The session looks at its inbox after every step."""
    monkeypatch.setattr("workbench.record.control.EVERY", 0.0)


def go(folder, asked: dict[int, tuple], method=None, steps=8):
    """Train; after step n the command ``asked[n]`` is written by somebody else."""
    run = new(method or Rich(), steps=steps, folder=folder)
    for stepped in session(run, TOLD, every=1, save_every=100):
        if stepped.step in asked:
            name, values = asked[stepped.step]
            command(folder, name, **values)
    return run


def kinds(folder):
    return [(event["kind"], event["step"]) for event in read_events(folder) if event["kind"] != "step"]


def test_stop_ends_the_run_after_the_step_with_a_checkpoint(tmp_path):
    run = go(tmp_path, {3: ("stop", {})})
    assert (run.step, read_state(tmp_path)["status"]) == (3, "stopped")
    assert kinds(tmp_path) == [("checkpoint", 3)] and checkpoints(tmp_path)[-1].stem == "00000003"
    assert bits(go(tmp_path, {})) == bits(drain(new(Rich(), steps=8)))


def test_save_is_a_checkpoint_where_it_was_asked_for(tmp_path):
    go(tmp_path, {5: ("save", {})})
    assert kinds(tmp_path) == [("checkpoint", 5), ("checkpoint", 8)]


def test_a_change_is_recorded_saved_and_replayed(tmp_path):
    go(tmp_path / "a", {4: ("change", {"name": "lr", "value": 1e-4})}, Follow())
    by_hand = new(Follow(), steps=8)
    for stepped in drain_by_step(by_hand):
        if stepped.step == 4:
            by_hand.change("lr", 1e-4)
    again = go(tmp_path / "a", {}, Follow())
    assert bits(again) == bits(by_hand) != bits(drain(new(Follow(), steps=8)))
    change = next(read_events(tmp_path / "a", "change"))
    assert (change["step"], change["name"], change["value"], change["before"]) == (4, "lr", 1e-4, 1e-2)
    assert [path.stem for path in checkpoints(tmp_path / "a")] == ["00000000", "00000004", "00000008"]


def drain_by_step(run):
    from workbench.train.loop import train

    return train(run)


@pytest.mark.parametrize(("values", "said"), [
    ({"name": "lrr", "value": 1e-4}, "did you mean 'lr'"), ({"name": "lr", "value": "fast"}, "valid number"),
    ({"name": "lr", "value": float("nan")}, "not a number"), ({}, "unknown field"),
])
def test_what_cannot_be_done_is_said_and_training_goes_on(tmp_path, values, said):
    run = go(tmp_path, {2: ("change", values)}, Follow())
    (refused,) = read_events(tmp_path, "refused")
    assert said in refused["message"] and refused["step"] == 2
    assert bits(run) == bits(drain(new(Follow(), steps=8)))


def test_a_fork_is_a_folder_of_its_own_that_can_go_on(tmp_path):
    go(tmp_path / "run", {3: ("fork", {}), 5: ("fork", {"checkpoint": 3})})
    assert [event["folder"] for event in read_events(tmp_path / "run", "fork")] == ["../run-fork-1", "../run-fork-2"]
    for name in ("run-fork-1", "run-fork-2"):
        assert read_state(tmp_path / name)["parent"]["step"] == 3
        assert bits(go(tmp_path / name, {})) == bits(drain(new(Rich(), steps=8)))
    assert free(tmp_path / "run").name == "run-fork-3"


def test_a_fork_from_a_checkpoint_that_is_not_there_is_refused(tmp_path):
    go(tmp_path, {3: ("fork", {"checkpoint": 2})})
    (refused,) = read_events(tmp_path, "refused")
    assert "no checkpoint at step 2; it has 0" in refused["message"]


def test_paused_it_waits_steps_when_told_and_answers_a_stop(tmp_path):
    run = new(Rich(), steps=8, folder=tmp_path)
    thread = threading.Thread(target=lambda: [command_at(3, s, tmp_path) for s in session(run, TOLD, every=1)],
                              daemon=True)
    thread.start()
    wait(lambda: read_state(tmp_path)["status"] == "paused")
    assert run.step == 3
    for expected in (4, 5):
        command(tmp_path, "step")
        wait(lambda expected=expected: run.step == expected)
    time.sleep(0.05)
    assert run.step == 5 and thread.is_alive()
    command(tmp_path, "resume")
    thread.join(10)
    assert read_state(tmp_path)["status"] == "finished" and bits(run) == bits(drain(new(Rich(), steps=8)))
    assert [kind for kind, _ in kinds(tmp_path)][:2] == ["paused", "resumed"]


def test_a_paused_run_is_stopped_by_stop(tmp_path):
    run = new(Rich(), steps=8, folder=tmp_path)
    thread = threading.Thread(target=lambda: [command_at(3, s, tmp_path) for s in session(run, TOLD, every=1)],
                              daemon=True)
    thread.start()
    wait(lambda: read_state(tmp_path)["status"] == "paused")
    command(tmp_path, "stop")
    thread.join(10)
    assert (read_state(tmp_path)["status"], run.step) == ("stopped", 3)


def command_at(step, stepped, folder):
    if stepped.step == step:
        command(folder, "pause")


def wait(met, seconds=10.0):
    until = time.monotonic() + seconds
    while not quietly(met):
        assert time.monotonic() < until
        time.sleep(0.005)


def quietly(met):
    try:
        return met()
    except ValueError:  # the folder is not there yet
        return False


def test_old_torn_and_foreign_lines_are_left_out(tmp_path):
    command(tmp_path, "stop")
    inbox = Inbox(tmp_path)
    assert inbox.poll() == []
    with open(tmp_path / "control.jsonl", "ab") as file:
        file.write(b'not json\n{"command": "explode"}\n[1]\n')
    command(tmp_path, "save")
    with open(tmp_path / "control.jsonl", "ab") as file:
        file.write(b'{"command": "st')
    assert [order["command"] for order in inbox.poll()] == ["save"]
    with open(tmp_path / "control.jsonl", "ab") as file:
        file.write(b'op"}\n')
    assert [order["command"] for order in inbox.poll()] == ["stop"]
    with pytest.raises(ValueError, match="did you mean 'stop'"):
        command(tmp_path, "stopp")


def test_commands_from_many_threads_all_arrive(tmp_path):
    inbox = Inbox(tmp_path)
    threads = [threading.Thread(target=lambda: [command(tmp_path, "save") for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(inbox.poll()) == 200
    assert all(json.loads(line) for line in (tmp_path / "control.jsonl").read_text().splitlines())


def test_milestones_are_made_and_kept(tmp_path):
    run = new(Rich(), steps=30, folder=tmp_path)
    for _ in session(run, TOLD, every=1, save_every=3, milestone=10):
        pass
    assert [int(path.stem) for path in checkpoints(tmp_path)] == [0, 10, 20, 24, 27, 30]


def test_the_heartbeat_is_the_time_stamp_of_run_json(tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.record.control.BEAT", 0.0)
    run = new(Rich(), steps=8, folder=tmp_path)
    seen = []
    for _ in session(run, TOLD, every=1):
        seen.append((tmp_path / "run.json").stat().st_mtime_ns)
        time.sleep(0.01)
    assert len(set(seen)) >= 6
