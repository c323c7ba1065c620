"""``workbench run --processes 2``: interrupted, its kernel killed, gone on with: one process's bits, no orphans."""

import json
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.chaos.compare import differences
from workbench.benches.assemble import from_recipe
from workbench.jobs.folder import read
from workbench.jobs.start import start
from workbench.record.session import session
from workbench.record.store import read_events, read_state
from workbench.train.checkpoint import checkpoints

DISTIL = """from workbench import cells as w
ring = w.bench("gmm2d")
student = w.distil("dmd2", ring, steps=120, batch_size=64, seed=seed, milestones=12)"""
LATER = """w.compare([student], num_inference_steps=[1], n=256, seeds=1)
print(student.trained.step, "steps", student.trained.teacher_calls, "calls")"""


def begun(folder, *arguments: str) -> subprocess.Popen:
    """``workbench run`` with these arguments, when the training in ``folder`` has made ten more steps."""
    training = folder / "dmd2"
    before = max((event["step"] for event in read_events(training, "step")), default=0)
    process = subprocess.Popen([sys.executable, "-m", "workbench", "run", *arguments], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    end = time.monotonic() + 240  # a process begins in six seconds on a quiet machine
    while max((event["step"] for event in read_events(training, "step")), default=0) < before + 10:
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.02)
    return process


def family(process: subprocess.Popen) -> list[psutil.Process]:
    """The kernel first, then what it started: launcher and ranks."""
    found = psutil.Process(process.pid).children(recursive=True)
    return sorted(found, key=lambda one: "ipykernel" not in " ".join(one.cmdline()))


@pytest.mark.chaos
def test_a_job_in_two_processes_is_cut_off_and_ends_with_the_bits_of_one(notebook, tmp_path):
    folder, training = tmp_path / "run", tmp_path / "run" / "dmd2"
    process = begun(folder, str(notebook(DISTIL, LATER)), "--processes", "2", "--out", str(folder))
    assert (read(folder)["processes"], read_state(training)["recipe"]["blocks"]) == (2, 2)
    ours = family(process)
    process.send_signal(signal.SIGINT)
    out = process.communicate(timeout=30)[0]
    assert (process.returncode, read(folder)["status"]) == (130, "killed"), out
    assert read_state(training)["status"] == "stopped"
    assert len(ours) == 4 and not psutil.wait_procs(ours, timeout=10)[1]
    assert int(checkpoints(training)[-1].stem) == read_state(training)["step"]

    process = begun(folder, str(folder))
    ours = family(process)
    ours[0].kill()
    assert not psutil.wait_procs(ours, timeout=10)[1]
    process.communicate(timeout=30)
    assert (process.returncode, read(folder)["status"]) == (1, "failed") and "kernel died" in read(folder)["error"]

    assert start(str(folder)) == ("succeeded", folder)
    told = json.loads((training / "processes.json").read_text())
    one = from_recipe(told["recipe"], tmp_path / "one")
    for _ in session(one, told["recipe"], **told["options"]):
        pass
    assert differences(tmp_path / "one", training) == []
    assert f"120 steps {one.teacher_calls} calls" in (folder / "tiny.ipynb").read_text()
