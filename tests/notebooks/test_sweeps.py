"""The notebook that sweeps are made of, run as one; and the report that tells of it."""

import nbformat
import pytest

from workbench.jobs.axes import Axes
from workbench.jobs.executors.local import Local
from workbench.jobs.folder import read
from workbench.jobs.notebook import shipped
from workbench.jobs.start import start
from workbench.jobs.summary import summarise
from workbench.jobs.sweep import Sweep
from workbench.record.sweep import common_metrics, rows

TINY = {"steps": 20, "batch_size": 16, "samples": 64, "measured_steps": [1, 2]}
TESTED = {"explore", "trajectories", "targets", "quickstart", "train", "sweep_report", "targets_on_your_model",
          "distil_your_model"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A sweep over two methods and two seeds."""
    jobs = Axes(grid={"method": "ctm,icm"}, seeds=2).jobs("train", TINY, {})
    sweep = Sweep(jobs, tmp_path_factory.mktemp("sweep") / "sweep", threads=1)
    assert sweep.run(Local(jobs=2)) == "succeeded", [row.error for row in rows(sweep.folder)]
    return sweep.folder


def test_every_job_keeps_what_it_measured(folder):
    found = rows(folder)
    kept = common_metrics(found)
    assert kept[0] == "student, 1 step: energy distance" and "student, 2 steps: energy distance" in kept
    assert len({row.metrics[kept[0]] for row in found}) == 4  # each is another student
    assert all(row.record["cost"]["steps"] == 20 and row.record["cost"]["peak_memory_mib"] > 100 for row in found)
    text = summarise(folder)
    assert "ctm" in text and "2 of 2" in text and "sweep_report -p folder=" in text


def test_the_report_tells_it(folder, tmp_path):
    status, run = start("sweep_report", given={"folder": str(folder)}, out=tmp_path / "report")
    assert status == "succeeded", read(run)["error"]
    assert len(list((run / "figures").glob("*.png"))) == 2
    said = "".join(out.get("text", "") or "".join(out.get("data", {}).get("text/html", ""))
                   for cell in nbformat.read(run / "sweep_report.ipynb", as_version=4).cells
                   for out in cell.get("outputs", []))
    assert "4 jobs: 4 succeeded" in said and "icm - ctm" in said and "every job succeeded" in said
    assert len((run / "sweep_report.ipynb").read_bytes()) < 3_000_000


def test_a_folder_that_is_no_sweep_is_said(tmp_path):
    status, run = start("sweep_report", given={"folder": str(tmp_path)}, out=tmp_path / "report")
    assert status == "failed" and "is not a sweep's folder" in read(run)["error"]


def test_every_notebook_has_its_test():
    assert set(shipped()) == TESTED
