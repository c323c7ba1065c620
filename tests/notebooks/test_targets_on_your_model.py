"""The notebook for a pipeline of one's own runs as a job: with nothing given, and on folders of other kinds."""

import json

import nbformat
import pytest

from workbench.jobs.start import start
from workbench.teachers.from_diffusers.small import CALLS, save

TINY = {"steps": 4, "student_steps": 2, "samples": 2}
PANELS = 4


def ran(out, given):
    status, folder = start("targets_on_your_model", given={**TINY, **given}, seed=1, out=out)
    assert status == "succeeded", json.loads((folder / "run.json").read_text())["error"]
    return folder, sorted((folder / "figures").glob("*.json"))


def rows(path):
    return json.loads(path.read_text())


def test_it_runs_with_nothing_given(tmp_path):
    folder, told = ran(tmp_path / "run", {})
    assert [len([*(folder / "figures").glob(f"*.{kind}")]) for kind in ("json", "png", "html")] == [PANELS] * 3
    assert [*rows(told[0])] == ["DDIM"] and len(rows(told[0])["DDIM"]["sigma"]) == 4
    assert [*rows(told[1])] == ["UniPCMultistep", "DPMSolverMultistep", "DEISMultistep"]
    assert [*rows(told[2])] == ["no guidance", "guidance 5"]
    assert {name: len(one["sigma"]) for name, one in rows(told[3]).items()} == {"model": 4, "few steps": 2}
    outputs = [out for cell in nbformat.read(folder / "targets_on_your_model.ipynb", as_version=4).cells
               for out in cell.get("outputs", [])]
    assert sum("image/png" in out.get("data", {}) for out in outputs) == PANELS
    assert sum("<table>" in out.get("data", {}).get("text/html", "") for out in outputs) == 1
    assert not any("widget" in kind for out in outputs for kind in out.get("data", {}))
    assert not any(out.get("name") == "stderr" for out in outputs)


@pytest.mark.parametrize("kind", ["flux", "wan"])
def test_it_runs_on_a_folder_of_a_flow(kind, tmp_path):
    model, student = (str(save(kind, tmp_path / f"{kind}-{seed}", seed)) for seed in (0, 1))
    _, told = ran(tmp_path / "run", {"model": model, "student": student, "call": CALLS[kind]})
    assert len(told) == PANELS and [*rows(told[3])] == ["model", "student"]
    assert all(one["diversity"][0] > 0 for path in told for one in rows(path).values())


def test_a_folder_that_is_not_there_is_said(tmp_path):
    status, folder = start("targets_on_your_model", given={"model": str(tmp_path / "sdxxl")}, out=tmp_path / "run")
    assert status == "failed" and "sdxxl" in json.dumps(json.loads((folder / "run.json").read_text())["error"])
