"""What closes a run's record, whatever state the folders of its trainings are in; and how two makings are compared."""

import json

import pytest

from workbench.jobs.cost import closing, last_checkpoint, peak_memory, uses
from workbench.jobs.difference import changes
from workbench.jobs.notebook import original
from workbench.jobs.provenance import sources_digest
from workbench.jobs.start import start


def training(folder, name: str, state: object, checkpoint: object = None):
    (folder / name / "checkpoints").mkdir(parents=True)
    (folder / name / "run.json").write_text(state if isinstance(state, str) else json.dumps(state))
    if checkpoint is not None:
        text = checkpoint if isinstance(checkpoint, str) else json.dumps(checkpoint)
        (folder / name / "checkpoints" / "00000002.json").write_text(text)


@pytest.mark.parametrize(("state", "checkpoint"), [
    ("", None), ("{", "{"), ([], []), ({"format": 99}, None), ({"format": 1}, "torn"), ({"format": 1, "recipe": 3}, 5),
    ({"format": 1, "recipe": {"method": "a"}, "step": "x"}, {"given": 3, "teacher_calls": None}), ("\0", "\0"),
])
def test_no_training_folder_breaks_the_close(tmp_path, state, checkpoint):
    training(tmp_path, "odd", state, checkpoint)
    training(tmp_path, "whole", {"format": 1, "status": "finished", "step": 3}, {"teacher_calls": 10, "sha256": "ab"})
    told = closing(tmp_path, {"cost": None}, 1.5)
    assert set(told["uses"]) == {"odd", "whole"} and told["cost"]["seconds"] == 1.5
    assert told["cost"]["steps"] == 3 and told["cost"]["teacher_calls"] == 10
    json.dumps(told)


def test_an_older_whole_checkpoint_speaks_for_a_torn_one(tmp_path):
    training(tmp_path, "one", {"format": 1}, '{"step": ')
    (tmp_path / "one" / "checkpoints" / "00000001.json").write_text('{"step": 1}')
    assert last_checkpoint(tmp_path / "one") == {"step": 1}


def test_the_runs_own_record_and_trainings_within_folders_are_told_apart(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    training(tmp_path, "deep/er", {"format": 1, "status": "stopped"})
    assert uses(tmp_path) == {"deep/er": {"status": "stopped"}}


def test_peak_memory_never_shrinks(tmp_path):
    told = closing(tmp_path, {"cost": {"peak_memory_mib": 10**9}}, 1.0)
    assert told["cost"]["peak_memory_mib"] == 10**9
    assert peak_memory() is None or peak_memory() >= 0


def test_a_run_without_training_closes_with_no_use(notebook, tmp_path):
    status, folder = start(str(notebook("big = bytearray(300 * 2**20)")), out=tmp_path / "run")
    record = json.loads((folder / "run.json").read_text())
    assert status == "succeeded" and record["uses"] == {} and record["cost"]["steps"] == 0
    assert record["cost"]["peak_memory_mib"] > 300 and record["parent"] is None and record["warnings"] == []


def test_an_executed_notebook_gives_its_original_back(notebook, tmp_path):
    source = notebook("print(steps)")
    before = json.loads(source.read_text())
    _, folder = start(str(source), typed={"steps": "4"}, out=tmp_path / "run")
    executed = json.loads((folder / "tiny.ipynb").read_text())
    assert len(executed["cells"]) == len(before["cells"]) + 1
    assert sources_digest(original(executed)) == sources_digest(before)
    assert "papermill" not in json.dumps(original(executed))


MADE = {"cells": ["a", "x = 1\ny = 2"], "parameters": {"n": 1, "t": [1, 2]}, "versions": {"python": "3.11.7"},
        "lock": ["torch==2.12", "click==8.1"], "code": "c0de", "machine": {"cores": 2, "gpus": [], "threads": "1"}}


@pytest.mark.parametrize(("other", "says"), [
    ({}, []),
    ({"parameters": {"n": 1, "t": (1, 2)}}, []),
    ({"parameters": {"n": True, "t": [1, 2]}}, ["parameter n was 1, is True"]),
    ({"parameters": {"t": [1, 2], "m": "a b"}}, ["parameter n was 1, is missing", "parameter m was missing, is a b"]),
    ({"parameters": {"n": " ", "t": [1, 2]}}, ["parameter n was 1, is ' '"]),
    ({"cells": ["a", "x = 1\ny = 3"]}, ["cell 2 of the notebook, line 2, was 'y = 2', is 'y = 3'"]),
    ({"cells": ["a", "x = 1"]}, ["cell 2 of the notebook, line 2, was 'y = 2', is nothing"]),
    ({"cells": ["a"]}, ["cell 2 of the notebook is gone"]),
    ({"lock": ["torch==2.13", "new==1"]}, ["torch was 2.12, is 2.13", "click was 8.1, is not installed",
                                           "new was not installed, is 1"]),
    ({"versions": {"python": "3.12.1"}}, ["python was 3.11.7, is 3.12.1"]),
    ({"code": "beef", "commit": "12+"}, ["code of the workbench differs: was c0de, is beef (commit 12+)"]),
    ({"machine": {"cores": 2, "gpus": ["H200"], "threads": "1"}}, ["machine: gpus was [], is ['H200']"]),
    ({"threads": 2}, ["number of threads was 1, is 2"]),
    ({"processes": 4}, ["number of processes was not set, is 4"]),
    ({"lock": None, "versions": None, "machine": None, "cells": None, "parameters": None, "code": None}, None),
])
def test_each_change_has_a_sentence(other, says):
    found = changes(MADE, MADE | other)
    assert found == says if says is not None else len(found) > 5
