"""``workbench runs``: folders listed, shown, compared, removed, exported; a broken one gets a sentence."""

import json
import os
import subprocess
import sys
import threading

import pytest

from workbench import cli
from workbench.jobs import folder as folders
from workbench.jobs import provenance
from workbench.jobs.notebook import prepare
from workbench.jobs.work import lay

STEP = {"kind": "step", "time": 1e9, "step": 1, "act": "", "act_step": 1, "gaps": {"student.average": 0.5}, "updates": [
    {"trains": ["student"], "total": 2.0, "parts": {"fit": 2.0}, "grad_norm": 0.1, "lr": 0.25}]}


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """call(*arguments) -> exit status, stdout, stderr of ``workbench runs ...``, in the folder of the runs."""
    def call(*arguments: str):
        monkeypatch.setattr(sys, "argv", ["workbench", "runs", *arguments])
        try:
            cli.main()
            code = 0
        except SystemExit as exit:
            code = exit.code or 0
        return code, *capsys.readouterr()

    monkeypatch.chdir(tmp_path)
    return call


@pytest.fixture
def run(notebook, tmp_path):
    """run(name, typed, **facts) -> a folder as a run leaves it, with a number and a training; no kernel is started."""
    def run(name: str, typed=None, **facts):
        job = prepare(str(notebook("print(steps)")), typed=typed or {})
        folder = tmp_path / name
        folder.mkdir()
        lay(job, folder)
        made = {"versions": provenance.versions(), "lock": provenance.lock(), "machine": provenance.machine(),
                "code": provenance.code_digest(), "status": "succeeded", "started": "2026-01-02T03:04:05+00:00",
                "ended": "2026-01-02T03:05:05+00:00", "seconds": 60.0, "attempts": 1, "warnings": []}
        folders.write(folder, folders.load(folder), **(made | facts))
        (folder / "metrics.json").write_text('{"recall": 0.5}')
        (folder / "student").mkdir()
        (folder / "student" / "run.json").write_text('{"format": 1, "status": "finished"}')
        (folder / "student" / "events.jsonl").write_text(json.dumps(STEP) + "\n")
        return folder
    return run


def test_the_list_is_there_by_three_names(call, run, tmp_path):
    run("one")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "run.json").write_text('{"status": ')
    line = "succeeded  2026-01-02T03:04:05      60 s  one\n"
    for arguments in (["."], ["ls", "."]):
        assert call(*arguments) == (0, line, f"{os.path.join('torn', 'run.json')} is torn or not JSON: restore it, or "
                                             "start the run anew\n")
    (tmp_path / "runs").mkdir()
    assert call() == call("ls") == (0, "", "")
    assert [row["folder"] for row in json.loads(call("ls", ".", "--json")[1])] == ["one"]


def test_a_run_is_shown_whole(call, run):
    cost = {"steps": 20, "seconds": 60.0, "peak_memory_mib": 400}
    uses = {"student": {"bench": "gmm2d", "method": "workbench.a:B", "weights_sha256": "ab" * 32}}
    run("one", {"steps": "5"}, error="ValueError: no", status="failed", cost=cost, uses=uses, warnings=["look out"])
    code, out, _ = call("show", "one")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert code == 0 and {"status failed", "error ValueError: no", "notebook tiny.ipynb", "attempts 1", "steps 5",
                          "rate 0.5 (default)", "name 'a' (default)", "recall 0.5", "peak_memory_mib 400",
                          "student bench gmm2d, method B, weights_sha256 " + "ab" * 8,
                          "warning: look out"} <= set(lines)
    assert any(line.startswith("versions python 3.") for line in lines)
    told = json.loads(call("show", "one", "--json")[1])
    assert told["metrics"] == {"recall": 0.5} and told["uses"] == uses


def test_a_training_and_an_older_record_are_shown_too(call, run):
    run("one", lock=None, versions=None, machine=None, warnings=None)
    for folder in ("one", "one/student"):
        code, out, _ = call("show", folder)
        assert code == 0 and out.startswith(f"folder    {folder}\nstatus  ") == (folder == "one")
        assert "status" in out and "Traceback" not in out


@pytest.mark.parametrize("command", [["show", "{}"], ["diff", "one", "{}"], ["rm", "{}", "--yes"],
                                     ["export", "{}", "--to", "tb"]])
@pytest.mark.parametrize(("content", "says"), [
    (None, "it has no run.json"), ('{"a', "is torn or not JSON"), ("[]", "was not written by this package"),
    ('{"format": 99, "status": "succeeded"}', "update the package"),
])
def test_a_broken_folder_gets_a_sentence(call, run, tmp_path, command, content, says):
    run("one")
    (tmp_path / "broken").mkdir()
    if content is not None:
        (tmp_path / "broken" / "run.json").write_text(content)
    code, out, err = call(*(word.format("broken") for word in command))
    assert code == 2 and says in err and out == "" and "Traceback" not in err
    assert (tmp_path / "broken").exists()


def test_two_runs_are_compared(call, run):
    run("one", {"steps": "5"})
    same = run("same", {"steps": "5"})
    assert call("diff", "one", "same") == (0, "identical to the bit (2 compared)\n", "")
    lock = [line if not line.startswith("click==") else "click==0.1" for line in folders.load(same)["lock"]]
    other = run("other", {"steps": "6"}, lock=lock, machine={"cores": 64})
    (other / "metrics.json").write_text('{"recall": 0.25}')
    (other / "student" / "events.jsonl").write_text(json.dumps(STEP).replace("2.0", "3.0") + "\n")
    code, out, _ = call("diff", "one", "other")
    lines = out.splitlines()
    assert code == 1 and lines[0] == "parameter steps was 5, is 6" and any("click was" in line for line in lines)
    assert any(line.startswith("machine: cores was") for line in lines)
    assert "metrics.json: recall: was 0.5, is 0.25 (relative difference 5.0e-01)" in lines
    told = json.loads(call("diff", "one", "other", "--json")[1])
    assert told["outcome"] == "different" and told["changes"] == lines[:-1]
    (other / "metrics.json").write_text('{"recall": 0.5}')
    assert "first in student, step 1: updates, 1: total: was 2.0, is 3.0" in call("diff", "one", "other")[1]


def test_only_ended_runs_are_removed(call, run, tmp_path, monkeypatch):
    one, two = run("one"), run("two")
    kept = tmp_path / "kept.txt"
    kept.write_text("mine")
    (one / "link").symlink_to(tmp_path / "kept.txt")
    (tmp_path / "alias").symlink_to(one)
    (tmp_path / "plain").mkdir()
    for name, says in (("plain", "not a run folder"), ("alias", "is a link"), ("alias/", "is a link")):
        code, _, err = call("rm", "two", name, "--yes")
        assert code == 2 and says in err and two.exists()  # all or nothing
    live = run("live", status="running", process=provenance.process())
    assert call("rm", "live", "--yes")[0] == 2 and live.exists()
    monkeypatch.chdir(two / "student")
    assert "holds the folder you are in" in call("rm", str(two), "--yes")[2]
    monkeypatch.chdir(tmp_path)
    assert call("rm", "one", "two", "--yes")[0] == 0
    assert not one.exists() and not two.exists() and kept.read_text() == "mine"


def test_a_folder_that_is_held_is_not_removed(call, run):
    one, held, done = run("one", status="queued"), threading.Event(), threading.Event()

    def hold():
        with folders.alone(one):
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    code, _, err = call("rm", "one", "--yes")
    done.set()
    thread.join()
    assert code == 2 and "taken by another process" in err and (one / "run.json").exists()


@pytest.mark.parametrize(("answer", "code", "there"), [("n\n", 130, True), ("y\n", 0, False), ("", 130, True)])
def test_it_asks_first(call, run, monkeypatch, answer, code, there):
    from io import StringIO

    one = run("one")
    monkeypatch.setattr(sys, "stdin", StringIO(answer))
    assert call("rm", "one")[0] == code and one.exists() == there


def test_a_killed_run_can_be_removed(call, run):
    gone = run("gone", status="running", process={**provenance.process(), "began": "another"})
    assert call("rm", "gone", "--yes")[0] == 0 and not gone.exists()


def test_readings_numbers_and_parameters_reach_tensorboard(call, run, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run("one", {"steps": "5"})
    code, out, _ = call("export", "one", "--to", "tb")
    assert code == 0 and "1 trainings" in out
    training = accumulator.EventAccumulator(str(tmp_path / "tb" / "student")).Reload()
    [reading] = training.Scalars("student/fit")
    assert (reading.step, reading.value, reading.wall_time) == (1, 2.0, 1e9)
    assert training.Scalars("student/learning rate")[0].value == 0.25
    whole = accumulator.EventAccumulator(str(tmp_path / "tb")).Reload()
    assert whole.Scalars("metrics/recall")[0].value == 0.5
    assert "run.json/text_summary" in whole.Tags()["tensors"]
    assert b"steps" in b"".join(path.read_bytes() for path in (tmp_path / "tb").glob("events*"))
    assert "not an empty folder" in call("export", "one", "--to", "tb")[2]


@pytest.mark.parametrize("command", ["ls .", "show one", "diff one one", "rm one --yes"])
def test_reading_folders_imports_no_torch(run, tmp_path, command):
    run("one")
    script = ("import sys\nfrom workbench import cli\nsys.argv[1:] = sys.argv[1].split()\ntry:\n    cli.main()\n"
              "except SystemExit as exit:\n    assert not exit.code\nassert 'torch' not in sys.modules")
    done = subprocess.run([sys.executable, "-c", script, f"runs {command}"], cwd=tmp_path, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_without_tensorboard_the_extra_is_named(call, run, monkeypatch):
    run("one")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    code, _, err = call("export", "one", "--to", "tb")
    assert code == 1 and "pip install 'distillation-workbench[tensorboard]'" in err and not os.path.exists("tb")
