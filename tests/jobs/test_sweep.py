"""A sweep does what is left, tries again what was killed, and is stopped by nobody's failure."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workbench.jobs.axes import Axes
from workbench.jobs.board import Board
from workbench.jobs.executors.local import Local
from workbench.jobs.folder import Taken, alone, events
from workbench.jobs.summary import summarise
from workbench.jobs.sweep import Sweep
from workbench.record.sweep import read_sweep, rows

WORKER = Path(__file__).with_name("worker.py")


@pytest.fixture
def sweep(notebook, tmp_path):
    """make(does="a,b", seeds=...) -> a sweep of a notebook whose jobs are played by ``worker.py``."""
    path = notebook(parameters='does: str = "works"\nseed: int = 0')

    def make(does="works", seeds=2):
        jobs = Axes(grid={"does": does}, seeds=seeds).jobs(str(path), {}, {})
        return Sweep(jobs, tmp_path / "sweep")

    return make


def local(jobs=2, **options):
    return Local(jobs=jobs, command=lambda folder: [sys.executable, str(WORKER), str(folder)], **options)


def attempts(found):
    return {(row.varied["does"], row.varied["seed"]): (row.status, row.attempts) for row in rows(found.folder)}


def test_failures_stop_nobody_and_are_kept(sweep):
    one = sweep("works,raises")
    assert one.run(local()) == "failed"
    assert attempts(one) == {("works", 0): ("succeeded", 1), ("works", 1): ("succeeded", 1),
                             ("raises", 0): ("failed", 1), ("raises", 1): ("failed", 1)}
    assert read_sweep(one.folder)["status"] == "failed"
    assert [row.error for row in rows(one.folder)][2:] == ["ValueError: no such thing"] * 2


def test_each_job_that_ended_has_its_page_and_a_lost_one_is_told(sweep, monkeypatch):
    one = sweep("works,raises", seeds=1)
    one.run(local())
    assert ["succeeded" in page(folder) for folder in one.jobs] == [True, False]
    [works, raises] = one.jobs
    for found in works.glob("*.html"):
        found.unlink()
    monkeypatch.setattr("workbench.jobs.report.write_html", broken)
    assert sweep("works", seeds=1).run(local()) == "succeeded"
    assert [told["error"] for told in events(works) if told["kind"] == "no report"] == ["OSError: no space left"]
    monkeypatch.undo()
    assert sweep("works", seeds=1).run(local()) == "succeeded" and "succeeded" in page(works)
    assert [row.attempts for row in rows(one.folder)] == [1]


def page(folder):
    [found] = folder.glob("*.html")
    return found.read_text(encoding="utf-8")


def broken(*_):
    raise OSError("no space left")


def test_what_was_killed_is_tried_again_and_what_is_wrong_is_not(sweep):
    one = sweep("dies once,loses its kernel once,dies,raises", seeds=1)
    one.run(local(), retries=2)
    assert attempts(one) == {("dies once", 0): ("succeeded", 2), ("loses its kernel once", 0): ("succeeded", 2),
                             ("dies", 0): ("running", 3), ("raises", 0): ("failed", 1)}
    assert {folder.name: status for folder, status in one.state.items()}[list(one.jobs)[2].name] == "killed"


def test_the_same_again_redoes_nothing_that_is_finished(sweep):
    sweep("works,raises").run(local())
    again = sweep("works,raises")
    assert len(again.before) == 2
    again.run(local())
    assert attempts(again) == {("works", 0): ("succeeded", 1), ("works", 1): ("succeeded", 1),
                               ("raises", 0): ("failed", 2), ("raises", 1): ("failed", 2)}
    more = sweep("works", seeds=3)
    assert len(more.before) == 2 and more.run(local()) == "succeeded"
    assert [row.attempts for row in rows(more.folder)] == [1, 1, 1]


def test_success_needs_the_exit_status_too(sweep):
    one = sweep("lies", seeds=1)
    assert one.run(local(), retries=0) == "failed" and list(one.state.values()) == ["killed"]


def test_a_torn_job_folder_is_laid_out_again(sweep):
    one = sweep()
    one.run(local())
    torn = next(iter(one.jobs))
    (torn / "run.json").unlink()
    again = sweep()
    assert again.run(local()) == "succeeded" and [row.attempts for row in rows(again.folder)] == [1, 1]


def test_two_sweeps_of_one_folder_are_refused(sweep):
    one = sweep()
    one.folder.mkdir()
    with alone(one.folder), pytest.raises(Taken, match="another process"):
        one.run(local())


def test_ctrl_c_ends_what_runs_and_the_rest_is_done_later(sweep):
    one = sweep("waits", seeds=3)

    def press(found):
        if sum(status == "running" for status in found.state.values()) == 2 and all(
                (folder / "log.txt").stat().st_size for folder, status in found.state.items() if status == "running"):
            raise KeyboardInterrupt

    executor = local()
    with pytest.raises(KeyboardInterrupt):
        one.run(executor, told=press)
    assert read_sweep(one.folder)["status"] == "stopped"
    assert sorted(status for status, _ in attempts(one).values()) == ["killed", "killed", "queued"]
    assert all(task.ended() is not None for task in executor.tasks)


def test_summary_and_lines(sweep, capfd):
    one = sweep("works,raises", seeds=3)
    with Board(one) as board:
        one.run(local(), told=board.told)
    told = capfd.readouterr().err
    assert "6 of 6 done" in told and "does=raises seed=1 failed after 0.1 s: ValueError: no such thing" in told
    text = summarise(one.folder)
    assert "3 of 3" in text and "0 of 3" in text and "1 ± 2.5" in text and "no such thing" in text
    lines = list(csv.DictReader((one.folder / "summary.csv").open()))
    assert [line["score"] for line in lines] == ["0.0", "1.0", "2.0", "", "", ""]
    assert (one.folder / "summary.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="no metric 'recall'"):
        summarise(one.folder, "recall")


def test_the_table_takes_hostile_words_as_text(sweep):
    one = sweep("works", seeds=1)
    one.lay_out()
    folder = next(iter(one.jobs))
    one.jobs[folder][1]["does"] = "[/red] [link=x]"
    board = Board(one)
    with board.console.capture() as drawn:
        board.console.print(board.table())
    assert "[/red] [link=x]" in drawn.get()


@pytest.mark.chaos
def test_the_real_command_interrupted_and_run_again(notebook, tmp_path):
    """Two kernels at a time; the command is interrupted while the second pair waits, and run again."""
    import nbformat

    work = ("import json, os, time\nfolder = os.environ['WORKBENCH_RUN_FOLDER']\n"
            "open(folder + '/began', 'a').write('x')\n"
            "time.sleep(60 if seed > 1 and not os.path.exists(folder + '/second') else 0)\n"
            "json.dump({'score': seed}, open(folder + '/metrics.json', 'w'))")
    path = notebook(work, parameters="seed: int = 0")
    command = [sys.executable, "-m", "workbench", "sweep", str(path), "--seeds", "4", "--jobs", "2", "--out",
               str(tmp_path / "sweep")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    while time.monotonic() < end and len(list(tmp_path.glob("sweep/jobs/*/began"))) < 4:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "the same command goes on" in err and "Traceback" not in err
    found = {row.varied["seed"]: row for row in rows(tmp_path / "sweep")}
    assert [found[seed].status for seed in range(4)] == ["succeeded", "succeeded", "killed", "killed"]
    for seed in (2, 3):
        (found[seed].folder / "second").touch()
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = {row.varied["seed"]: row for row in rows(tmp_path / "sweep")}
    assert [(found[seed].status, found[seed].attempts) for seed in range(4)] == 2 * [("succeeded", 1)] + 2 * [
        ("succeeded", 2)]
    executed = nbformat.read(found[2].folder / "tiny.ipynb", as_version=4)
    assert sum("injected-parameters" in cell.metadata.tags for cell in executed.cells if "tags" in cell.metadata) == 1
    assert json.loads((tmp_path / "sweep" / "sweep.json").read_text())["status"] == "succeeded"
    assert os.path.exists(tmp_path / "sweep" / "summary.csv")
