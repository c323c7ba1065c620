"""What Slurm alone does: saves and queues again, hands over arrays, finds jobs of a scheduler that was killed."""

import json
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.jobs.executors.conftest import at_work, run, until
from workbench.jobs import folder as folders
from workbench.jobs.executors import LOG, slurm_queue
from workbench.jobs.executors.slurm import SUBMISSION, Slurm
from workbench.jobs.executors.slurm_queue import Queue

TWICE = """import os, time
mark = os.path.join(os.environ['WORKBENCH_RUN_FOLDER'], 'mark.txt')
before = os.path.exists(mark)
open(mark, 'a').write('begun\\n')
for _ in range(0 if before else 600): time.sleep(0.1)"""
TELL = 'echo "$SLURM_ARRAY_JOB_ID $(date +%s%N)"; sleep 0.4; date +%s%N'


def at_cell(folder, number: int) -> bool:
    return (folders.read(folder).get("progress") or {}).get("cell") == number


def queued(tmp_path, count: int) -> list:
    jobs = [tmp_path / "sweep" / "jobs" / str(index) for index in range(count)]
    for folder in jobs:
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"format": 2, "status": "queued"}))
    return jobs


@pytest.fixture(params=["local", "slurm"])
def cluster(request):
    if request.param == "slurm":
        request.getfixturevalue("slurm")
    return request.param


def test_a_job_that_is_preempted_saves_and_goes_on(cluster, laid):
    folder = laid(TWICE)
    here = Slurm(jobs=1, cluster=cluster, every=1.0)
    task = here.submit(folder)
    until(lambda: task.ended() is None and at_cell(folder, 2))
    time.sleep(0.5)
    if cluster == "slurm":
        subprocess.run(["scancel", "--signal=USR2", task.id], check=True)
    else:
        (step,) = psutil.Process(int(task.id)).children()
        step.send_signal(signal.SIGUSR2)
    until(lambda: task.ended() is not None, seconds=90)
    assert task.ended() == 0
    record = folders.read(folder)
    assert (record["status"], record["attempts"]) == ("succeeded", 2)
    assert (folder / "mark.txt").read_text() == "begun\nbegun\n"
    ends = [event["status"] for event in folders.events(folder) if event["kind"] == "ended"]
    assert ends == ["killed", "succeeded"], (folder / LOG).read_text()
    here.close()


def test_a_later_scheduler_finds_the_job(cluster, laid):
    folder = laid("import time\nfor _ in range(600): time.sleep(0.1)")
    first = f"""import sys, time
from pathlib import Path
from workbench.jobs.executors.slurm import Slurm
task = Slurm(jobs=1, cluster={cluster!r}, every=1.0).submit(Path({str(folder)!r}))
while True: task.ended(); time.sleep(0.1)"""
    scheduler = subprocess.Popen([sys.executable, "-c", first], start_new_session=True)
    until(lambda: folders.read(folder)["status"] == "running")
    scheduler.kill()
    scheduler.wait()
    here = Slurm(jobs=1, cluster=cluster, every=1.0)
    task = here.attach(folder)
    assert task is not None and task.ended() is None and folders.read(folder)["attempts"] == 1
    if cluster == "slurm":  # as if it had been killed before it knew the number
        facts = json.loads((folder / SUBMISSION).read_text())
        (folder / SUBMISSION).write_text(json.dumps(facts | {"id": None}))
        assert Slurm(jobs=1, every=1.0).attach(folder).id == facts["id"]
    here.close()
    assert task.ended() not in (0, None) and here.attach(folder) is None
    until(lambda: not at_work(folder), seconds=10)


def test_jobs_go_in_as_an_array(slurm, tmp_path):
    jobs = queued(tmp_path, 7)
    here = Slurm(jobs=3, every=0.5, command=lambda folder: ["/bin/sh", "-c", TELL])
    assert run(here, jobs) == [0] * 7
    spans = [[line.split() for line in (folder / LOG).read_text().splitlines()] for folder in jobs]
    assert len({first[0] for first, _ in spans}) == 1
    spans = [(int(first[1]), int(last[0])) for first, last in spans]
    assert all(sum(start <= begun < end for start, end in spans) <= 3 for begun, _ in spans)
    (again,) = queued(tmp_path / "again", 1)
    assert run(here, [again]) == [0]
    assert list((tmp_path / "sweep" / ".submitit").glob("*_submission.sh"))


def test_a_refusal_is_told_in_one_sentence(slurm, tmp_path):
    here = Slurm(jobs=1, partition="nowhere")
    task = here.submit(queued(tmp_path, 1)[0])
    with pytest.raises(RuntimeError, match="Slurm refused the jobs: .*partition"):
        task.ended()


def test_the_folder_beats_the_queue(tmp_path, monkeypatch):
    (folder,) = queued(tmp_path, 1)
    here = Slurm(jobs=1, cluster="local")
    monkeypatch.setattr("workbench.jobs.executors.slurm.Submission.lives", lambda *_, **__: False)
    for status, code in (("succeeded", 0), ("failed", 1), ("killed", 130), ("running", 130)):
        (folder / "run.json").write_text(json.dumps({"format": 2, "status": status, "started": None, "process": {
            "id": None, "host": folders.socket.gethostname()}}))
        task = here.submit(folder)
        task.id = "1"
        assert task.ended() == code


def test_a_queue_that_does_not_answer_has_lost_nothing(tmp_path, monkeypatch):
    answer = tmp_path / "answer"
    monkeypatch.setattr(slurm_queue, "ASK", ["cat", str(answer)])
    queue = Queue(every=1e9)
    assert queue.has("7_1") and queue.has("7_1", now=True)
    for text, lives in (("7_1|a|RUNNING\n", True), ("7_1|a|PREEMPTED\n", True), ("7_1|a|PENDING\n", True)):
        answer.write_text(text)
        queue.look(now=True)
        assert queue.has("7_1") is lives
    assert queue.find("a", 1) == "7_1" and queue.find("a", 2) is None
    answer.write_text("")
    assert not queue.has("7_1", now=True)


def test_what_cannot_be_had_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="the same GPUs"):
        Slurm(jobs=1, gpus_per_job=1, cluster="local")
    with pytest.raises(ValueError, match="slurm or local"):
        Slurm(jobs=1, cluster="debug")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match="no Slurm here"):
        Slurm(jobs=1)
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ImportError, match=r'pip install "distillation-workbench\[slurm\]"'):
        Slurm(jobs=1)
