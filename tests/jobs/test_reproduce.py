"""A run is repeated from its own record, and it is said what has changed and what came of it."""

import json
import shutil

import nbformat
import pytest

from workbench.jobs.folder import load, read, write
from workbench.jobs.reproduce import beside, prepare, repeat
from workbench.jobs.start import start

CELLS = ["""from workbench import cells as w
ring = w.bench("gmm2d")
student = w.distil("consistency-distillation", ring, steps=steps, batch_size=32, seed=seed)""", """import json, os
from pathlib import Path
from workbench.benches.assemble import generate
x = generate(ring, student.trained, n=64).x
numbers = {"mean": float(x.mean()), "spread": float(x.std())}
Path(os.environ["WORKBENCH_RUN_FOLDER"], "metrics.json").write_text(json.dumps(numbers))"""]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a run that trained a student of 20 steps."""
    place = tmp_path_factory.mktemp("made")
    parameters = nbformat.v4.new_code_cell("steps: int = 40  # in [1, 100]\nseed: int = 0",
                                           metadata={"tags": ["parameters"]})
    cells = [nbformat.v4.new_markdown_cell("# Tiny"), parameters, *map(nbformat.v4.new_code_cell, CELLS)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), place / "tiny.ipynb")
    status, folder = start(str(place / "tiny.ipynb"), typed={"steps": "20"}, out=place / "run")
    assert status == "succeeded", read(folder)["error"]
    return folder


@pytest.fixture
def copied(made, tmp_path):
    """change(**facts) -> a copy of the run whose run.json holds these facts."""
    def change(**facts):
        folder = tmp_path / "copy"
        shutil.copytree(made, folder)
        write(folder, load(made), **facts)
        return folder
    return change


def test_what_a_training_used_and_cost_is_in_the_record(made):
    record = read(made)
    [(name, used)] = record["uses"].items()
    assert name == "consistency-distillation" and used["bench"] == "gmm2d" and used["seed"] == 0
    assert used["method"].endswith(":ConsistencyDistillation") and (used["status"], used["steps"]) == ("finished", 20)
    checkpoint = json.loads((made / name / "checkpoints" / "00000020.json").read_text())
    assert used["given"] == checkpoint["given"] and set(used["given"]) == {"teacher"}
    assert used["weights_sha256"] == checkpoint["sha256"] and used["teacher_calls"] == checkpoint["teacher_calls"] > 0
    assert len(used["data_sha256"]) == 16
    assert record["cost"]["steps"] == 20 and record["cost"]["teacher_calls"] == used["teacher_calls"]
    assert record["cost"]["seconds"] == record["seconds"] > used["seconds"] > 0
    assert 100 < record["cost"]["peak_memory_mib"] < 20_000  # torch was in the kernel


def test_it_is_identical_to_the_bit(made, tmp_path):
    again = prepare(made)
    assert again.changed == [] and again.job.parameters == {"steps": 20, "seed": 0} and again.job.given == ("steps",)
    assert (again.job.sha256, again.job.key) == (again.record["notebook_sha256"], again.record["key"])
    folder, verdict = repeat(again, tmp_path / "again")
    assert verdict.said == "identical to the bit" and verdict.first is None and verdict.compared == 5
    record = read(folder)
    assert record["parent"]["key"] == again.record["key"] and record["key"] == again.record["key"]
    assert (folder / record["parent"]["folder"]).resolve() == made
    assert record["uses"]["consistency-distillation"]["weights_sha256"] == (
        again.record["uses"]["consistency-distillation"]["weights_sha256"])


def test_what_has_changed_is_named(copied, tmp_path):
    record = read(copied())
    lock = [line if not line.startswith("numpy==") else "numpy==1.99.0" for line in record["lock"]]
    shutil.rmtree(tmp_path / "copy")
    folder = copied(lock=[*lock, "no-such-package==3.1"], code="0123456789abcdef", commit=None,
                    versions=record["versions"] | {"torch": "2.0.0"}, machine=record["machine"] | {"cores": 999})
    now = {name: record["versions"][name] for name in ("torch", "numpy")}
    found = prepare(folder, {"steps": "10"}).changed
    assert found[:2] == ["parameter steps was 20, is 10", f"torch was 2.0.0, is {now['torch']}"]
    assert f"numpy was 1.99.0, is {now['numpy']}" in found
    assert "no-such-package was 3.1, is not installed" in found
    assert any(one.startswith("code of the workbench differs: was 0123456789abcdef, is ") for one in found)
    assert f"machine: cores was 999, is {record['machine']['cores']}" in found and len(found) == 6


def test_an_edited_notebook_and_other_threads_are_named(copied, monkeypatch):
    folder = copied(threads=3)
    path = folder / "tiny.ipynb"
    path.write_text(path.read_text().replace("n=64", "n=65"))
    again = prepare(folder)
    assert again.changed == ["cells of the notebook were edited after its run"] and again.how["threads"] == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "7")  # the kernel gets what it had
    assert prepare(folder).changed == ["cells of the notebook were edited after its run"]


def test_threads_that_were_not_told_are_compared_with_what_is_told_now(copied, made, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    folder = copied(threads=None, machine=read(made)["machine"] | {"threads": None})
    assert prepare(folder).changed == ["number of threads was not set, is 7"]


def test_a_change_by_hand_is_named(copied):
    folder = copied()
    with open(folder / "consistency-distillation" / "events.jsonl", "a") as file:
        file.write('{"kind": "change", "step": 7, "name": "lr", "value": 0.1, "time": 1}\n')
    assert prepare(folder).changed == [
        "consistency-distillation had its lr set to 0.1 by hand at step 7: that is not repeated"]


def test_other_numbers_are_different_and_it_says_where_first(made, tmp_path):
    folder, verdict = repeat(prepare(made, {"seed": "1"}), tmp_path / "again")
    assert verdict.said == "different" and verdict.first.where == "metrics.json: mean"
    assert read(folder)["parameters"] == {"steps": 20, "seed": 1}


def test_the_quickstart_is_identical_to_the_bit(tmp_path):
    tiny = {"bench": "gmm2d", "steps": 12, "batch_size": 64, "teacher_steps": 4, "samples": 128}
    status, folder = start("quickstart", given=tiny, seed=3, out=tmp_path / "run")
    assert status == "succeeded", read(folder)["error"]
    again = prepare(folder)
    _, verdict = repeat(again, tmp_path / "again")
    assert (again.changed, str(verdict.first), verdict.said) == ([], "None", "identical to the bit")
    assert verdict.compared > 10


@pytest.mark.parametrize(("facts", "says"), [
    ({"status": "queued"}, "is queued"),
    ({"given": ["stpes"], "parameters": {"stpes": 3}}, "did you mean 'steps'"),
    ({"given": ["steps"], "parameters": {}}, "gives 'steps' no value"),
    ({"notebook": "gone.ipynb"}, "has lost its notebook gone.ipynb"),
    ({"format": 99}, "update the package"),
])
def test_a_record_that_cannot_be_repeated_is_refused(copied, facts, says):
    with pytest.raises(ValueError, match=says):
        prepare(copied(**facts))


def test_a_training_or_no_run_at_all_is_refused(made, tmp_path):
    with pytest.raises(ValueError, match="holds a training, not a job"):
        prepare(made / "consistency-distillation")
    with pytest.raises(ValueError, match="not a run folder"):
        prepare(tmp_path)
    with pytest.raises(ValueError, match="must lie in"):
        prepare(made, {"steps": "1000"})


def test_the_new_folder_is_the_first_that_is_free(tmp_path):
    assert beside(tmp_path / "a").name == "a-again"
    (tmp_path / "a-again").mkdir()
    assert beside(tmp_path / "a").name == "a-again-2"
