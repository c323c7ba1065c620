"""What goes wrong around a job has a stated outcome, and nothing that was finished is lost."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime

import pytest

from workbench import files
from workbench.jobs import engine, provenance
from workbench.jobs.folder import Taken, alone, load, read, write
from workbench.jobs.notebook import prepare
from workbench.jobs.start import start
from workbench.jobs.work import lay, work

pytestmark = pytest.mark.chaos


@pytest.fixture
def laid(notebook, tmp_path):
    """A queued job whose notebook has these cells."""

    def make(*sources, **how):
        folder = tmp_path / "run"
        folder.mkdir()
        return lay(prepare(str(notebook(*sources))), folder, **how)

    return make


@pytest.mark.parametrize("count", range(1, 11))
def test_a_disk_that_is_full_at_the_nth_write(laid, monkeypatch, count):
    """The run has not succeeded, what is on the disk is whole, and it goes on once there is space."""
    folder = laid("kept = 1", "kept")
    fsync, calls = os.fsync, iter(range(1, 10**6))

    def full(descriptor):
        if next(calls) >= count:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    try:
        assert work(folder) == "failed"
    except OSError as error:
        assert error.errno == errno.ENOSPC
    monkeypatch.undo()
    assert load(folder)["status"] != "succeeded" and json.loads((folder / "tiny.ipynb").read_text())["nbformat"] == 4
    assert not list(folder.rglob(".*.part"))
    assert work(folder) == "succeeded" and read(folder)["status"] == "succeeded"


def test_a_place_that_cannot_be_written_says_so(notebook):
    done = subprocess.run([sys.executable, "-m", "workbench", "run", str(notebook()), "--out", "/proc/self/run"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "/proc/self/run" in done.stderr and "Traceback" not in done.stderr


def test_a_folder_is_worked_on_by_one(laid):
    folder = laid("kept = 1")
    with alone(folder), pytest.raises(Taken, match="another process"):
        work(folder)
    assert load(folder)["attempts"] == 0 and work(folder) == "succeeded"


def test_two_launches_of_one_folder(laid):
    """Of two processes started at once one runs the job, the other is told so or finds it done."""
    folder = laid("import time; time.sleep(2)")
    command = [sys.executable, "-m", "workbench.run", str(folder)]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert sorted(process.returncode for process in both) in ([0, 75], [0, 0])
    assert read(folder)["status"] == "succeeded" and load(folder)["attempts"] == 1
    assert not any("Traceback" in one for one in said)


def test_a_clock_that_is_set_back_kills_nobody(laid, monkeypatch):
    folder = laid("kept = 1")
    record = load(folder) | {"status": "running", "process": provenance.process(), "started": "2126-01-01T00:00:00Z"}
    write(folder, record)

    class Past(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2001, 1, 1, tzinfo=tz)

    monkeypatch.setattr(time, "time", lambda: 978307200.0)
    monkeypatch.setattr("workbench.jobs.folder.datetime", Past)
    assert read(folder)["status"] == "running"
    monkeypatch.setattr(provenance, "began", lambda number: "another boot")
    assert read(folder)["status"] == "killed"
    assert work(folder) == "succeeded" and load(folder)["seconds"] >= 0


def test_a_kernel_that_never_starts(laid, monkeypatch, tmp_path):
    spec = tmp_path / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(json.dumps({"argv": ["sleep", "60"], "display_name": "x", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setattr(engine, "START", 2)
    folder = laid("kept = 1")
    assert work(folder) == "failed" and "the kernel did not start" in read(folder)["error"]
    monkeypatch.undo()
    assert work(folder) == "succeeded"


def test_a_notebook_that_hangs(laid):
    folder = laid("import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(60)", cell_timeout=1.0)
    began = time.monotonic()
    assert work(folder) == "failed" and "time limit" in read(folder)["error"]
    assert time.monotonic() - began < 30


def test_one_that_ignores_every_request_to_end_is_killed(laid):
    folder = laid("import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('deaf')\ntime.sleep(60)")
    process = subprocess.Popen([sys.executable, "-m", "workbench.run", str(folder)], stderr=subprocess.PIPE, text=True)
    threading.Timer(60, process.kill).start()
    for line in process.stderr:
        if "deaf" in line:
            break
    process.send_signal(signal.SIGTERM)
    time.sleep(engine.AT_ONCE + 0.5)
    process.send_signal(signal.SIGTERM)  # the second one gives the cell up
    process.communicate(timeout=30)
    assert process.returncode == 130 and read(folder)["status"] == "killed"


def test_one_that_prints_a_hundred_megabytes(laid, capfd):
    folder = laid("line = 'x' * 999 + '\\n'\nfor _ in range(100): print(line * 1000, end='')", "print('done')")
    assert work(folder) == "succeeded"
    assert (folder / "tiny.ipynb").stat().st_size < 2_000_000
    said = (folder / "tiny.ipynb").read_text()
    assert "beyond 1,000,000 characters: dropped" in said and "done" in said
    assert len(capfd.readouterr().err) < 2_000_000


def test_a_training_that_diverges(notebook, tmp_path):
    """The loss is reported with its part and time, the last good checkpoint stays, and the run has failed."""
    from workbench.train.checkpoint import checkpoints
    from workbench.train.checkpoint import read as whole

    cell = ("from workbench import cells as w\ndata = w.bench('gmm2d')\n"
            "w.distil('consistency-distillation', data, steps=60, batch_size=32, name='student', lr=1e30, ema=0.0)")
    status, folder = start(str(notebook(cell)), out=tmp_path / "run")
    assert status == "failed" and read(folder)["error"].startswith("Diverged: diverged at step")
    assert "non-finite" in read(folder)["error"] and "learning rate" in read(folder)["error"]
    for path in checkpoints(folder / "student"):
        whole(path)
    assert load(folder / "student")["status"] == "diverged"
