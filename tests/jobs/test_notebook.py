"""A run's folder tells the truth, whatever happened to its kernel."""

import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from workbench.jobs.folder import listing, read
from workbench.jobs.notebook import find
from workbench.jobs.parameters import BadParameter
from workbench.jobs.start import start

WORK = """import os, sys
print(steps, rate, name, seed, os.environ['WORKBENCH_HEADLESS'])
print('moving', file=sys.stderr)"""
WRITE = "open(os.path.join(os.environ['WORKBENCH_RUN_FOLDER'], 'figure.txt'), 'w').write('there')"


def statuses(path) -> list[str]:
    return [cell.metadata.get("papermill", {}).get("status") for cell in nbformat.read(path, as_version=4).cells]


def test_a_run_leaves_its_whole_record(notebook, tmp_path, capfd):
    hostile = "<script>alert(1)</script>'\"\n"
    source = notebook(WORK, WRITE, "from IPython.display import HTML\nHTML('<script>alert(2)</script><b>bold</b>')")
    status, folder = start(str(source), given={"name": hostile}, typed={"steps": "5"}, seed=7, out=tmp_path / "run")
    assert (status, folder) == ("succeeded", tmp_path / "run")
    record = read(folder)
    assert record["parameters"] == {"steps": 5, "rate": 0.5, "name": hostile, "seed": 7}
    assert (record["given"], record["seed"], record["error"]) == (["name", "seed", "steps"], 7, None)
    assert record["ended"] > record["started"] and record["seconds"] > 0
    assert {"python", "torch", "numpy"} <= record["versions"].keys()
    assert any(line.startswith("papermill==") for line in record["lock"])
    assert (folder / "figure.txt").read_text() == "there"
    executed = nbformat.read(folder / "tiny.ipynb", as_version=4)
    assert executed.cells[3].outputs[0].text == f"5 0.5 {hostile} 7 1\n"
    page = (folder / "tiny.html").read_text()
    assert "<script" not in page and "<b>bold</b>" in page and "<h1" in page and "&lt;h1" not in page
    assert "default-src 'none'" in page
    out, err = capfd.readouterr()
    assert f"report: {folder / 'tiny.html'}" in out
    assert "cell 3 of 5" in err and "moving" in err
    assert not [path for path in folder.rglob("*") if path.name.endswith(".part")]
    assert [(where, one["status"]) for where, one in listing(tmp_path)] == [(folder, "succeeded")]


def test_a_cell_that_fails_fails_the_run(notebook, tmp_path):
    source = notebook("kept = 1", "raise ValueError('no such thing')", "late = 1")
    status, folder = start(str(source), out=tmp_path / "run")
    assert status == "failed" and read(folder)["error"] == "ValueError: no such thing"
    assert statuses(folder / "tiny.ipynb") == ["completed", "completed", "completed", "failed", "pending"]
    assert "no such thing" in (folder / "tiny.html").read_text()


def test_a_dead_kernel_is_never_completed(notebook, tmp_path):
    source = notebook("print('kept')", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "late = 1")
    status, folder = start(str(source), out=tmp_path / "run")
    assert status == "failed" and "kernel died" in read(folder)["error"]
    assert statuses(folder / "tiny.ipynb") == ["completed", "completed", "completed", "failed", "pending"]
    assert "kept" in (folder / "tiny.html").read_text()


def test_a_timeout_is_never_completed(notebook, tmp_path):
    source = notebook("import time; time.sleep(60)")
    status, folder = start(str(source), out=tmp_path / "run", cell_timeout=1)
    assert status == "failed" and "time limit" in read(folder)["error"]
    assert statuses(folder / "tiny.ipynb") == ["completed", "completed", "failed"]


@pytest.fixture
def running(notebook, tmp_path):
    """A run in a process of its own, at work in its last cell; it is killed at the end of the test."""
    source = notebook("done = 1", "import time; print('at work', flush=True)\nfor _ in range(600): time.sleep(0.1)")
    process = subprocess.Popen([sys.executable, "-m", "workbench", "run", str(source), "--out", str(tmp_path / "run")],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    executed, end = tmp_path / "run" / "tiny.ipynb", time.monotonic() + 60
    while time.monotonic() < end and not (executed.exists() and statuses(executed)[-1] == "running"):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    yield process, tmp_path / "run"
    process.kill()
    process.communicate()


def test_the_folder_is_visible_while_it_runs_and_ctrl_c_ends_it_cleanly(running):
    process, folder = running
    assert read(folder)["status"] == "running"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    assert read(folder)["status"] == "killed" and (folder / "tiny.html").exists()
    assert statuses(folder / "tiny.ipynb") == ["completed", "completed", "completed", "failed"]


@pytest.mark.chaos
def test_a_killed_process_reads_as_killed(running):
    process, folder = running
    process.kill()
    process.wait(timeout=30)
    assert json.loads((folder / "run.json").read_text())["status"] == "running"
    assert read(folder)["status"] == "killed"
    assert statuses(folder / "tiny.ipynb") == ["completed", "completed", "completed", "running"]


@pytest.mark.parametrize(("options", "says"), [
    ({"typed": {"stpes": "3"}}, "did you mean 'steps'"),
    ({"typed": {"steps": "11"}}, "must lie in"),
    ({"given": {"rate": "fast"}}, "takes a float"),
])
def test_bad_parameters_leave_nothing_behind(notebook, tmp_path, options, says):
    with pytest.raises(BadParameter, match=says):
        start(str(notebook()), out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_a_folder_with_something_in_it_is_not_touched(notebook, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="not an empty folder"):
        start(str(notebook()), out=tmp_path / "run")
    assert os.listdir(tmp_path / "run") == ["mine.txt"]


def test_notebooks_are_found_by_name_and_by_path(notebook):
    assert find("quickstart").name == "quickstart.ipynb"
    path = notebook()
    assert find(str(path)) == path
    with pytest.raises(ValueError, match="did you mean 'quickstart'"):
        find("quikstart")


def test_a_file_that_is_no_notebook_is_refused(tmp_path):
    (tmp_path / "a.ipynb").write_text("[]")
    with pytest.raises(ValueError, match="not a notebook"):
        start(str(tmp_path / "a.ipynb"))


@pytest.mark.parametrize(("parameters", "says"), [
    ("teacher_method = 'dmd3'", "unknown method 'dmd3'; did you mean 'dmd2'"),
    ("bench = 'digit'", "unknown bench 'digit'; did you mean 'digits'"),
    ("paper = 'dmd22'", "did you mean 'dmd2'"),
])
def test_unknown_names_are_refused_before_a_kernel_starts(notebook, tmp_path, parameters, says):
    with pytest.raises(ValueError, match=says):
        start(str(notebook(parameters=parameters)), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_seed_needs_a_parameter_seed(notebook):
    with pytest.raises(BadParameter, match="no parameter seed"):
        start(str(notebook(parameters="steps = 1")), seed=1)
