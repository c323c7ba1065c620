import tomllib

import pytest

from workbench.papers.record import parse, read


def test_reads_what_is_written(folder):
    record = read(folder / "runs.toml")
    assert record.method == "steps.consistency:ConsistencyDistillation" and record.settings == {"grid": 8}
    assert [claim.on for claim in record.claims] == [{"average": 0.0}, {"average": 0.0, "num_inference_steps": 2}]
    assert record.claims[0].seeds == 3 and record.claims[0].budget.steps == 4
    assert record.identities[0].bound == 1e-6
    assert read(folder / "waits.toml").status == "missing"


@pytest.mark.parametrize("old, new, word", [
    ("settings =", "setings =", "unknown key 'setings'; did you mean 'settings'?"),
    ("measure =", "mesure =", r"unknown key 'mesure'; did you mean 'measure'\? \(in claim.0\)"),
    ("[[claim]]", "[[claims]]", "unknown key 'claims'; did you mean 'claim'"),
    ("check =", "chek =", "did you mean 'check'"),
    ("batch_size =", "batchsize =", "did you mean 'batch_size'"),
    ("steps = 4", "steps = 4, teacher_calls = 10.0", "either teacher_calls or steps"),
    ('"on < off"', '"on < off + 1"', "no effect at all would pass"),
    ("seeds = 3", "seeds = 1", "seeds"),
    ("seeds = 3", 'seeds = "3"', "valid integer"),
    ("off = { average = 0.95 }", "off = { average = 0.0 }", "the same arm"),
    ("seeds = 3", "seeds = 3\nheld = false", "needs seen"),
    ('family = "trajectory"', 'family = "trajectories"', "family"),
    ("steps.consistency:", "steps/consistency:", "module:Class"),
    ('arxiv = "2303.01469"', 'arxiv = "2303"', "arxiv"),
    ("year = 2023", 'year = 2023\nstatus = "missing"', 'either a method, or status = "missing"|either a method'),
    ("method = ", "# ", "either a method"),
    ('kind = "objective"', "", "kind: Field required"),
    ("somewhere:boundary", "os.path:getcwd", "check"),
])
def test_faults_are_named(runs, old, new, word):
    assert old in runs
    with pytest.raises(ValueError, match=word) as caught:
        parse(tomllib.loads(runs.replace(old, new)), "a.toml")
    assert str(caught.value).startswith("a.toml: ")


def test_not_toml(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text("title = ", encoding="utf-8")
    with pytest.raises(ValueError, match="broken.toml: not TOML"):
        read(path)
