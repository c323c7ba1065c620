"""Whatever runs a job, the same job gives the same folder, and its end is told truly."""

import json
import os
import signal
import time

import nbformat
import pytest

from tests.jobs.executors.conftest import at_work, run, until
from workbench.jobs import folder as folders
from workbench.jobs.executors import GRACE, LOG, executor

MEASURE = """import json, os, numpy
weights = numpy.random.default_rng(steps).normal(size=(64, 64))
score = numpy.log(numpy.linalg.svd(weights @ weights.T, compute_uv=False)).sum().item()
open(os.path.join(os.environ['WORKBENCH_RUN_FOLDER'], 'metrics.json'), 'w').write(json.dumps({'score': score}))
print(score)"""
RAISE = "raise ValueError('no such thing')"
DIE = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
SLEEP = "import time\nfor _ in range(600): time.sleep(0.1)"
TELL = 'echo "begins $CUDA_VISIBLE_DEVICES $RAY_RAYLET_PID $(date +%s%N)"; sleep 0.3; echo "ends $(date +%s%N)"'


def outputs(folder) -> list:
    executed = nbformat.read(folder / folders.load(folder)["notebook"], as_version=4)
    return [cell.get("outputs", []) for cell in executed.cells]


@pytest.fixture(scope="module")
def measured():
    """(metrics.json, outputs) of the first place that ran MEASURE."""
    return []


def test_the_end_is_told_truly_and_the_numbers_are_the_same(place, laid, measured):
    good, bad, dead = laid(MEASURE, name="good"), laid(RAISE, name="bad"), laid(DIE, name="dead")
    codes = run(place(jobs=2), [good, bad, dead])
    assert codes[0] == 0 and codes[1] not in (0, None) and codes[2] not in (0, None)
    assert [folders.read(folder)["status"] for folder in (good, bad, dead)] == ["succeeded", "failed", "failed"]
    assert folders.read(bad)["error"] == "ValueError: no such thing"
    assert "no such thing" in (bad / LOG).read_text() and "no such thing" in outputs(bad)[-1][0]["evalue"]
    assert folders.read(dead)["error"].startswith("the kernel died")
    spans = [[event["time"] for event in folders.events(folder) if event["kind"] in ("started", "ended")]
             for folder in (good, bad, dead)]
    assert all(sum(begun <= moment < ended for begun, ended in spans) <= 2 for moment, _ in spans)
    measured.append(((good / "metrics.json").read_bytes(), outputs(good)))
    assert measured[-1] == measured[0]


@pytest.mark.quiet
def test_cancelled_and_killed_jobs_leave_nothing_behind(place, laid):
    one, other = laid(SLEEP, name="one"), laid(SLEEP, name="other")
    here = place(jobs=2)
    cancelled, killed = here.submit(one), here.submit(other)
    for folder, task in ((one, cancelled), (other, killed)):
        until(lambda folder=folder, task=task: task.ended() is None and (folders.read(folder).get("progress") or {})
              .get("cell") == 2)
    time.sleep(0.3)
    assert not here.room() or place.kind == "slurm"
    os.kill(folders.load(other)["process"]["id"], signal.SIGKILL)
    began = time.monotonic()
    cancelled.cancel()
    assert time.monotonic() - began < GRACE + 5
    assert cancelled.ended() not in (0, None) and folders.load(one)["status"] == "killed"
    assert folders.load(one)["error"] == "Interrupted: interrupted; finished cells and checkpoints are kept"
    until(lambda: killed.ended() is not None, seconds=10)
    assert killed.ended() != 0 and folders.read(other)["status"] == "killed"
    until(lambda: not at_work(one) and not at_work(other), seconds=10)


def test_no_gpu_is_shared_and_no_more_jobs_run_than_may(place, tmp_path, request):
    if place.kind == "submitit":
        with pytest.raises(ValueError, match="the same GPUs"):
            place(jobs=2, gpus_per_job=1)
        return
    if place.kind == "slurm" and not request.getfixturevalue("slurm"):
        pytest.skip("GPUs are made up for Slurm with mknod, which only root may")
    jobs = []
    for index in range(9):
        jobs.append(tmp_path / f"{index}")
        jobs[-1].mkdir()
        (jobs[-1] / "run.json").write_text(json.dumps({"format": 2, "status": "queued"}))
    codes = run(place(jobs=3, gpus_per_job=1, command=lambda folder: ["/bin/sh", "-c", TELL]), jobs)
    assert codes == [0] * len(jobs)
    spans = []
    for folder in jobs:
        begins, ends = (line.split() for line in (folder / LOG).read_text().splitlines())
        spans.append((int(begins[-1]), int(ends[-1]), tuple(begins[1:-1])))
        assert begins[1].isdigit()
    for begun, _, gpu in spans:
        live = [other for start, end, other in spans if start <= begun < end]
        assert len(live) <= 3 and live.count(gpu) == 1


def test_executors_are_found_by_name():
    with pytest.raises(ValueError, match="did you mean 'slurm'"):
        executor("slrm", jobs=1)
