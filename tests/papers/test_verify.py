import json
import math
import os
import sys
import types

import pytest

from workbench.papers import catalogue, verify
from workbench.papers.arms import Outcome
from workbench.papers.commands import verify_command


def imagined(arms):
    """Figures without an engine: the old target is worse by 1, two steps are a little worse, seeds differ by 10."""
    def figure(arm):
        worse = 1.0 if "0.95" in arm.training.settings else 0.1 if arm.num_inference_steps == 2 else 0.0
        return 10.0 * arm.training.seed + worse + 0.01 * (arm.training.seed % 2)
    return [Outcome({"energy_distance": figure(arm), "process": float(os.getpid())}, 4, 0.5) for arm in arms]


def diverging(arms):
    return [Outcome({"energy_distance": math.nan}, 0, 0.5, "diverged at step 3") if arm.training.seed == 1
            else outcome for arm, outcome in zip(arms, imagined(arms), strict=True)]


def interrupted(arms):
    raise KeyboardInterrupt


@pytest.fixture
def boundary(monkeypatch):
    module = types.ModuleType("somewhere")
    module.boundary = lambda: 2e-7
    monkeypatch.setitem(sys.modules, "workbench.papers.identities.somewhere", module)
    return module


def test_figures_verdicts_and_evidence(folder, boundary, capsys):
    found = verify.verify("runs", folder=folder, jobs=1, run=imagined)
    assert found.held and found.as_recorded
    told = json.loads(catalogue.evidence_path("runs", folder).read_text())
    assert told["record"] == catalogue.fingerprint(catalogue.table("runs", folder))
    assert told["threads_per_training"] == 1 and {"python", "torch"} <= set(told["versions"])
    first, second = told["claims"]
    assert first["seeds"] == [0, 1, 2] and first["on"]["figures"]["energy_distance"] == [0.0, 10.01, 20.0]
    assert first["on"]["seconds"] == [0.5] * 3 and first["on"]["steps"] == [4] * 3
    assert first["effect"] == pytest.approx(-1) and first["held"] and second["held"]
    assert second["on"]["figures"]["energy_distance"] == pytest.approx([0.1, 10.11, 20.1])
    assert told["identities"][0] == {"says": "the boundary holds", "check": "somewhere:boundary", "bound": 1e-6,
                                     "error": 2e-7, "held": True}
    assert catalogue.status("runs", catalogue.table("runs", folder), folder) == "verified"
    out, err = capsys.readouterr()
    assert "measured on - off = -1 [-1, -1]" in out and "2 of 2 claims and 1 of 1 identities held" in out
    assert "6/6 trainings" in err and "trainings" not in out
    assert [path.name for path in (folder / "evidence").iterdir()] == ["runs.json"]


def test_processes_change_nothing(folder, boundary):
    here = verify.verify("runs", folder=folder, jobs=1, run=imagined, say=lambda line: None)
    there = verify.verify("runs", folder=folder, jobs=2, run=imagined, say=lambda line: None)
    for arm, outcome in here.outcomes.items():
        other = there.outcomes[arm].figures
        assert other["energy_distance"] == outcome.figures["energy_distance"]
        assert other["process"] != os.getpid() == outcome.figures["process"]


def test_an_identity_out_of_bounds_and_a_null_effect_are_not_verified(folder, boundary, capsys):
    boundary.boundary = lambda: 2e-6
    path = folder / "runs.toml"
    path.write_text(path.read_text().replace("{ average = 0.95 }", "{ average = 0.5 }"))
    found = verify.verify("runs", folder=folder, jobs=1, run=imagined)
    assert not found.held and not found.as_recorded
    assert "NOT HELD" in capsys.readouterr().out
    assert catalogue.status("runs", catalogue.table("runs", folder), folder) == "held-in-part"


def test_what_is_recorded_as_not_holding_is_as_recorded(folder, boundary, capsys):
    path = folder / "runs.toml"
    text = path.read_text().replace("{ average = 0.95 }", "{ average = 0.5 }")
    path.write_text(text.replace("seeds = 3", 'seeds = 3\nheld = false\nseen = "no difference"', 1))
    found = verify.verify("runs", folder=folder, jobs=1, run=imagined)
    assert found.as_recorded and not found.held
    path.write_text(path.read_text().replace("average = 0.5", "average = 0.95"))
    assert not verify.verify("runs", folder=folder, jobs=1, run=imagined).as_recorded
    assert "bring it up to date" in capsys.readouterr().out


def test_a_diverged_arm_is_told_and_not_held(folder, boundary, capsys):
    assert not verify.verify("runs", folder=folder, jobs=1, run=diverging).held
    claim = json.loads(catalogue.evidence_path("runs", folder).read_text())["claims"][0]
    assert claim["on"]["figures"]["energy_distance"][1] is None and claim["effect"] is None
    assert claim["on"]["notes"][1] == "diverged at step 3"
    assert "diverged in 1 of 3 seeds" in capsys.readouterr().out


def test_interrupted_leaves_the_old_evidence(folder, boundary):
    verify.verify("runs", folder=folder, jobs=1, run=imagined, say=lambda line: None)
    before = catalogue.evidence_path("runs", folder).read_bytes()
    with pytest.raises(KeyboardInterrupt):
        verify.verify("runs", folder=folder, jobs=1, run=interrupted)
    assert catalogue.evidence_path("runs", folder).read_bytes() == before
    assert len(list((folder / "evidence").iterdir())) == 1


def test_faults_before_anything_runs(folder, boundary, capsys):
    with pytest.raises(ValueError, match="waits is missing"):
        verify.verify("waits", folder=folder)
    path = folder / "runs.toml"
    text = path.read_text()
    for old, new, word in [('"energy_distance"', '"energy_distanse"', "did you mean 'energy_distance'"),
                           ('"gmm2d"', '"gmm2"', "did you mean 'gmm2d'"),
                           ("grid = 8", "grid = 0", "greater than or equal to 1")]:
        path.write_text(text.replace(old, new))
        with pytest.raises(ValueError, match=word):
            verify.verify("runs", folder=folder, jobs=1)
    assert verify_command("dmd-2") == 2
    assert "did you mean 'dmd2'" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_said_before_anything_runs(folder, boundary, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match="verify in a checkout"):
        verify.verify("runs", folder=folder, jobs=1, run=interrupted)


def test_an_identity_that_is_not_written(folder):
    with pytest.raises(ValueError, match="identity 'somewhere:boundary' is not written"):
        verify.verify("runs", folder=folder, jobs=1, run=imagined)
