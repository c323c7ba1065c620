"""What Ray alone does: keeps to loopback or asks for a token, passes secrets, and ends jobs whose worker was killed."""

import json
import os
import signal
import sys

import psutil
import pytest

from tests.jobs.executors.conftest import at_work, run, started, until
from workbench.jobs import folder as folders
from workbench.jobs.executors import LOG
from workbench.jobs.executors.ray import Ray, guard, share

TOLD = 'echo "${#KEY_OF_MINE} $OMP_NUM_THREADS $PWD"'


def queued(folder, **facts):
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"format": 2, "status": "queued", **facts}))
    return folder


@pytest.fixture(scope="module")
def alone(quick_ray):
    """A place in a Ray that it started itself."""
    here = started(lambda: Ray(jobs=2))
    yield here
    here.close()


def test_its_own_ray_listens_on_loopback_alone(alone):
    us = psutil.Process()
    listening = [connection.laddr.ip for process in us.children(recursive=True)
                 for connection in process.net_connections(kind="inet") if connection.status == "LISTEN"]
    assert listening and all(ip.removeprefix("::ffff:") == "127.0.0.1" for ip in listening)
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_secrets_and_surroundings_reach_the_job(alone, tmp_path, monkeypatch):
    monkeypatch.setenv("KEY_OF_MINE", "not in any file")
    alone.command, before = (lambda folder: ["/bin/sh", "-c", TOLD]), alone.command
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    folder = queued(tmp_path / "told", secrets=["KEY_OF_MINE"])
    assert run(alone, [folder]) == [0]
    alone.command = before
    assert (folder / LOG).read_text().split() == ["15", "7", os.getcwd()]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"not in any" in path.read_bytes()]


def test_a_killed_worker_of_ray_leaves_no_orphan(alone, laid):
    folder = laid("import time\nfor _ in range(600): time.sleep(0.1)")
    task = alone.submit(folder)
    until(lambda: task.ended() is None and (folders.read(folder).get("progress") or {}).get("cell") == 2)
    psutil.Process(folders.load(folder)["process"]["id"]).parent().send_signal(signal.SIGKILL)
    until(lambda: task.ended() is not None, seconds=20)
    assert task.ended() == -9
    until(lambda: not at_work(folder), seconds=10)
    assert folders.read(folder)["status"] == "killed"


def test_a_folder_that_cannot_be_seen_fails_alone(alone, tmp_path):
    folder = queued(tmp_path / "gone")
    alone.command, before = (lambda folder: ["/no/such/program"]), alone.command
    assert run(alone, [folder]) == [1]
    alone.command = before
    assert "FileNotFoundError" in (folder / LOG).read_text()


def test_more_than_any_machine_has_is_refused(alone):
    with pytest.raises(ValueError, match="no machine of the Ray cluster"):
        Ray(jobs=1, gpus_per_job=64)


@pytest.mark.parametrize(("address", "version", "mode", "says"), [
    ("10.0.0.1:6379", "2.60.0", None, "RAY_AUTH_MODE=token"),
    ("ray://cluster.example:10001", "2.60.0", "disabled", "RAY_AUTH_MODE=token"),
    ("10.0.0.1:6379", "2.51.1", "token", "ray>=2.52"),
    ("10.0.0.1:6379", "2.52.0", "token", None),
    ("127.0.0.1:6379", "2.40.0", None, None),
    ("localhost:6379", "2.40.0", None, None),
    ("[::1]:6379", "2.40.0", None, None),
])
def test_a_network_needs_a_token(address, version, mode, says, monkeypatch):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    if mode:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    if says is None:
        guard(address, version)
        return
    with pytest.raises(ValueError, match=says):
        guard(address, version)


@pytest.mark.parametrize(("cpus", "jobs", "each"), [
    ([2, 2], 4, 1), ([3, 3], 2, 3), ([3, 3], 3, 1), ([2], 3, 0.5), ([8], 1, 8), ([0.0], 1, 0.5**12)])
def test_all_jobs_run_at_once(cpus, jobs, each):
    assert share(cpus, jobs) == each


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r'pip install "distillation-workbench\[ray\]"'):
        Ray(jobs=1)
