"""Processes of this machine: no GPU is given to two of them at once."""

import random

import pytest

from tests.jobs.executors.conftest import run
from workbench.jobs.executors import LOG
from workbench.jobs.executors.local import Local

TELL = 'begun=$(date +%s%N); sleep 0.0{}; echo "$begun $(date +%s%N) $CUDA_VISIBLE_DEVICES"'


@pytest.mark.parametrize("each", [1, 2])
def test_200_random_jobs_never_share_a_gpu(each, tmp_path):
    draw = random.Random(each)
    jobs = [tmp_path / str(index) for index in range(100)]
    for folder in jobs:
        folder.mkdir()
    here = Local(jobs=4, gpus_per_job=each, gpus=["0", "1", "2", "3"],
                 command=lambda folder: ["/bin/sh", "-c", TELL.format(draw.randint(1, 9))])
    assert run(here, jobs) == [0] * len(jobs)
    rows = [(folder / LOG).read_text().split() for folder in jobs]
    spans = [(int(begun), int(ended), set(gpus.split(","))) for begun, ended, gpus in rows]
    assert all(len(gpus) == each for _, _, gpus in spans)
    for index, (begun, ended, gpus) in enumerate(spans):
        assert not any(gpus & other for start, end, other in spans[:index] if start < ended and begun < end)
    assert max(sum(start <= begun < end for start, end, _ in spans) for begun, _, _ in spans) == 4 // each


def test_a_slot_must_be_free(tmp_path):
    here = Local(jobs=1, command=lambda folder: ["sleep", "30"])
    task = here.submit(tmp_path)
    assert not here.room()
    with pytest.raises(RuntimeError, match="ask room"):
        here.submit(tmp_path)
    here.close()
    assert task.ended() == -15


def test_more_gpus_than_there_are_is_refused(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert Local(jobs=1, gpus_per_job=2).free() == ["3", "5"]
    with pytest.raises(ValueError, match="asks for 3 GPUs and this machine has 2"):
        Local(jobs=1, gpus_per_job=3)


def test_what_ignores_a_request_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.jobs.executors.local.GRACE", 0.5)
    here = Local(jobs=1, command=lambda folder: ["/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"])
    task = here.submit(tmp_path)
    while "up" not in (tmp_path / LOG).read_text():
        pass
    task.cancel(0.5)
    assert task.ended() == -9
