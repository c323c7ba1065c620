"""A run's folder: one writer, whole files, events that survive a torn end, and sentences for whatever is not a run."""

import json
import os
import subprocess
import sys

import pytest

from workbench.record.store import FORMAT, Store, alive, read_events, read_state


def dead() -> int:
    """The number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "run")
    made.begin({"bench": "gmm2d"})
    return made


def test_the_folder_tells_what_it_is_from_the_first_second(store):
    state = read_state(store.folder)
    assert state["status"] == "running" and state["recipe"] == {"bench": "gmm2d"} and state["pid"] == os.getpid()
    assert {"torch", "python", "workbench"} <= state["versions"].keys() and state["started"] <= state["updated"]


def test_events_come_back_in_order_and_by_kind(store):
    store.event("step", step=1, loss=0.5)
    store.event("note", says="äöü \n line")
    store.event("step", step=2, loss=None)
    assert [event["kind"] for event in read_events(store.folder)] == ["step", "note", "step"]
    assert [event["step"] for event in read_events(store.folder, "step")] == [1, 2]
    assert next(read_events(store.folder, "note"))["says"] == "äöü \n line"


@pytest.mark.parametrize("torn", [b"{", b'{"kind": "step", "step"', b'{"kind": "step", "step": 2}', b"\xff\x00"])
def test_a_torn_last_line_is_left_out(store, torn):
    store.event("step", step=1)
    with open(store.folder / "events.jsonl", "ab") as file:
        file.write(torn)
    assert [event["step"] for event in read_events(store.folder)] == [1]


def test_a_folder_without_events_has_none(tmp_path):
    assert list(read_events(tmp_path)) == []


def test_resume_forgets_what_came_after_the_offset(store):
    store.event("step", step=1)
    offset = store.offset
    store.event("step", step=2)
    store.log.write(b'{"kind": "st')  # killed while writing
    again = Store(store.folder)
    again.begin({})
    again.resume(offset)
    assert again.offset == offset
    again.event("step", step=2, again=True)
    assert [(event["step"], event.get("again")) for event in read_events(store.folder)] == [(1, None), (2, True)]


def test_an_end_closes_the_run_with_its_facts(store):
    store.end("finished", step=3, seconds=1.5)
    state = read_state(store.folder)
    assert (state["status"], state["step"], state["seconds"], state["pid"]) == ("finished", 3, 1.5, None)
    assert state["ended"] >= state["started"] and store.log.closed


def test_a_second_writer_is_refused_while_the_first_lives(store):
    second = Store(store.folder)
    second.state["pid"] = os.getppid()  # a process that lives and is not this one
    with pytest.raises(RuntimeError, match=f"written by process {os.getppid()}: stop it, or choose another folder"):
        second.begin({"bench": "digits"})
    assert read_state(store.folder)["recipe"] == {"bench": "gmm2d"}


def test_a_writer_that_died_or_ended_is_followed(store):
    started = read_state(store.folder)["started"]
    for status, pid in (("running", dead()), ("stopped", os.getppid()), ("failed", None)):
        second = Store(store.folder)
        second.state |= {"pid": pid, "status": status}
        second.begin({"bench": "gmm2d"})
        assert read_state(store.folder)["status"] == "running" and read_state(store.folder)["started"] == started


def test_alive_knows_this_process_and_not_an_ended_one():
    assert alive(os.getpid()) and not alive(dead())


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("here is a file")
    with pytest.raises(OSError, match="cannot write to .*file.run .*: choose another folder"):
        Store(tmp_path / "file" / "run")


@pytest.mark.parametrize(("content", "said"), [
    ("", "is torn or not JSON"),
    ('{"format": 1', "is torn or not JSON"),
    ("[]", "was not written by this package"),
    ("{}", "was not written by this package"),
    (json.dumps({"format": FORMAT + 1}), f"has format {FORMAT + 1}, this version reads up to {FORMAT}: update"),
    (json.dumps({"format": "one"}), "was not written by this package"),
])  # fmt: skip
def test_what_is_not_a_run_is_refused_with_a_sentence(tmp_path, content, said):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ValueError, match=said):
        read_state(tmp_path)
    with pytest.raises(ValueError, match=said):
        Store(tmp_path)


def test_a_folder_without_run_json_is_no_run(tmp_path):
    with pytest.raises(ValueError, match="is not a run folder: it has no run.json"):
        read_state(tmp_path)
