"""The command line says what went wrong in one sentence, on stderr, with a non-zero exit."""

import json
import os
import platform
import shutil
import subprocess
import sys

import pytest

from workbench import cli


def workbench(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of one command, run in this process."""
    monkeypatch.setattr(sys, "argv", ["workbench", *arguments])
    try:
        cli.main()
        code = 0
    except SystemExit as exit:
        code = exit.code or 0
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: workbench(monkeypatch, capsys, *arguments)


def test_every_command_is_listed(call):
    code, out, _ = call("--help")
    names = ("run", "sweep", "reproduce", "runs", "papers", "verify", "compare", "lab", "doctor")
    assert code == 0 and all(name in out for name in names)


@pytest.mark.parametrize(("arguments", "names"), [
    (("run", "--help"), ("NOTEBOOK", "-p", "-f", "--seed", "--out", "--cell-timeout", "--secret")),
    (("reproduce", "--help"), ("FOLDER", "-p", "--out", "within tolerance")),
    (("runs", "--help"), ("ls", "show", "diff", "rm", "export")),
    (("runs", "ls", "--help"), ("[ROOT]", "--json")),
    (("runs", "show", "--help"), ("FOLDER", "--json")),
    (("runs", "diff", "--help"), ("A B", "--json")),
    (("runs", "rm", "--help"), ("FOLDERS...", "--yes")),
    (("runs", "export", "--help"), ("FOLDER", "--to", "TensorBoard")),
])
def test_help_names_everything(call, arguments, names):
    code, out, err = call(*arguments)
    assert code == 0 and err == "" and [name for name in names if name not in out] == []


@pytest.mark.parametrize(("arguments", "says"), [
    (("run", "quickstrat"), "unknown notebook 'quickstrat'; did you mean 'quickstart'"),
    (("run", "quickstart", "-p", "sede=1"), "unknown parameter 'sede'; did you mean 'seed'"),
    (("run", "quickstart", "-p", "seed"), "-p takes NAME=VALUE"),
    (("run", "quickstart", "-p", "seed=one"), "seed takes an int"),
    (("run", "quickstart", "-p", "trajectory_method=dmd3"), "did you mean 'dmd2'"),
    (("run", "quickstart", "--seed", "-1"), "Invalid value"),
    (("papers", "dmd22"), "did you mean 'dmd2'"),
    (("papers", "--family", "no-such-family"), "unknown family"),
    (("verify", "dmd22"), "did you mean 'dmd2'"),
    (("compare", "digit"), "did you mean 'digits'"),
    (("run", "quickstart", "--secret", "NOT_SET_ANYWHERE"), "the secret NOT_SET_ANYWHERE is not set"),
    (("runs", "nowhere"), "there is no folder nowhere"),
    (("runs", "ls", "nowhere"), "there is no folder nowhere"),
    (("runs", "show", "nowhere"), "nowhere is not a run folder"),
    (("runs", "diff", "nowhere", "here"), "nowhere is not a run folder"),
    (("runs", "rm", "nowhere"), "nowhere is not a run folder"),
    (("runs", "export", "nowhere", "--to", "tb"), "nowhere is not a run folder"),
    (("runs", "export", "nowhere"), "Missing option '--to'"),
    (("reproduce", "nowhere"), "nowhere is not a run folder"),
    (("reproduce", "nowhere", "-p", "seed"), "-p takes NAME=VALUE"),
    (("rnu",), "No such command"),
])
def test_bad_input_is_one_sentence(call, arguments, says):
    code, out, err = call(*arguments)
    assert code == 2 and says in err and out == "" and "Traceback" not in err
    assert os.listdir() == []


def test_parameters_from_a_file(call, tmp_path):
    (tmp_path / "bad.yaml").write_text("- 1\n- 2\n")
    assert "must hold lines of `name: value`" in call("run", "quickstart", "-f", "bad.yaml")[2]
    (tmp_path / "torn.yaml").write_text("a: [1")
    assert "is not YAML" in call("run", "quickstart", "-f", "torn.yaml")[2]
    (tmp_path / "unknown.yaml").write_text("sede: 3\n")
    assert "did you mean 'seed'" in call("run", "quickstart", "-f", "unknown.yaml")[2]
    assert cli.jobs.from_yaml(None) == {}


def test_no_permission_says_what_to_do(call, tmp_path, monkeypatch):
    from workbench.jobs import folder

    def refuse(stem, out):
        raise PermissionError(13, "Permission denied", str(tmp_path / "runs"))

    monkeypatch.setattr(folder, "make", refuse)
    code, _, err = call("run", "quickstart")
    assert code == 1 and "no permission to write" in err and "--out" in err


def test_a_full_disk_says_what_to_do(call, monkeypatch):
    from workbench.jobs import work

    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(work, "write_json", full)
    code, _, err = call("run", "quickstart", "--out", "run")
    assert code == 1 and "the disk is full" in err


def test_runs_are_listed_and_torn_ones_left_out(call, tmp_path):
    for name, text in (("torn", '{"status": '), ("foreign", "[]"), ("one", json.dumps(
            {"format": 1, "status": "succeeded", "started": "2026-01-02T03:04:05+00:00", "seconds": 12.3}))):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "run.json").write_text(text)
    code, out, err = call("runs")
    assert "torn or not JSON" in err and "was not written by this package" in err
    assert code == 0 and out.split() == ["succeeded", "2026-01-02T03:04:05", "12", "s", os.path.join("runs", "one")]
    (tmp_path / "runs" / "training").mkdir()
    (tmp_path / "runs" / "training" / "run.json").write_text(json.dumps(
        {"format": 1, "status": "running", "started": 1767323100.5, "pid": None, "host": platform.node()}))
    training = call("runs")[1].splitlines()[1]
    assert training.split() == ["killed", "2026-01-02T03:05:00", os.path.join("runs", "training")]
    shutil.rmtree(tmp_path / "runs" / "training")
    assert [row["folder"] for row in json.loads(call("runs", "--json")[1])] == [os.path.join("runs", "one")]


def test_doctor_looks_at_what_is_needed(call):
    code, out, _ = call("doctor")
    assert code in (0, 1) and "python" in out and "GiB free" in out
    assert (code == 0) == out.strip().endswith("all in order")


def test_a_closed_pipe_is_no_traceback(tmp_path):
    script = f"{sys.executable} -m workbench papers | head -n 1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=120,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert "Traceback" not in done.stderr and len(done.stdout.splitlines()) == 1


def test_a_folder_that_another_process_runs_is_one_sentence(call, tmp_path):
    import threading

    from workbench.jobs import folder as folders

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps({"format": 1, "status": "running"}))
    held, done = threading.Event(), threading.Event()

    def hold():
        with folders.alone(tmp_path / "run"):
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    code, _, err = call("run", "run")
    done.set()
    thread.join()
    assert code == 2 and "is being run by another process" in err and "Traceback" not in err
