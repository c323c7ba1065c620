"""A record followed while it is written: each event once, and everything anew after a cut."""

import json
import os
import subprocess
import sys

import pytest

from workbench.record.store import Store
from workbench.record.tail import Tail, standing


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    store.begin({"method": "toy"})
    return store


def steps(news):
    return [event["step"] for event in news.events]


def test_each_event_comes_once(store, tmp_path):
    tail = Tail(tmp_path)
    assert tail.poll() == ([], False)
    store.event("step", step=1)
    store.event("step", step=2)
    assert steps(tail.poll()) == [1, 2] and tail.poll() == ([], False)
    store.event("step", step=3)
    assert steps(tail.poll()) == [3]


def test_a_line_is_read_when_it_is_whole(store, tmp_path):
    tail = Tail(tmp_path)
    store.event("step", step=1)
    line = json.dumps({"kind": "step", "step": 2}).encode() + b"\n"
    store.log.write(line[:9])
    assert steps(tail.poll()) == [1]
    store.log.write(line[9:])
    assert steps(tail.poll()) == [2]


@pytest.mark.parametrize("more", [0, 1, 2, 5])
def test_a_cut_record_is_read_anew_however_long_it_has_grown_since(store, tmp_path, more):
    tail = Tail(tmp_path)
    store.event("step", step=1)
    offset = store.offset
    store.event("step", step=2)
    store.event("step", step=3)
    assert steps(tail.poll()) == [1, 2, 3]
    store.resume(offset)
    for step in range(more):
        store.event("step", step=20 + step)
    news = tail.poll()
    assert news.anew and steps(news) == [1, *range(20, 20 + more)]


def test_a_missing_record_has_no_news(tmp_path):
    assert Tail(tmp_path / "nowhere").poll() == ([], False)


def test_the_standing_of_a_living_a_dead_and_a_distant_run(store, tmp_path):
    assert standing(tmp_path).state["status"] == "running"
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    store.describe(pid=child.pid)
    assert standing(tmp_path).state["status"] == "lost"
    store.describe(host="elsewhere")
    assert standing(tmp_path).state["status"] == "running"
    os.utime(tmp_path / "run.json", (1, 1))
    assert standing(tmp_path).state["status"] == "lost"
    store.end("finished")
    os.utime(tmp_path / "run.json", (1, 1))
    assert standing(tmp_path).state["status"] == "finished"


@pytest.mark.parametrize(("content", "said"), [
    (None, "no run.json"), ('{"format": 1', "torn"), ("[]", "not written by this package"),
    ('{"format": 99}', "update the package"),
])
def test_a_folder_that_cannot_be_read_says_why(tmp_path, content, said):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    found = standing(tmp_path)
    assert found.state is None and said in found.problem
