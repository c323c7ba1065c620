"""What is read from a method's source is what the method itself says."""

import pytest

from workbench.jobs.method_fields import fields_of
from workbench.jobs.notebook import prepare
from workbench.jobs.parameters import BadParameter
from workbench.methods.fields import described
from workbench.papers import chosen

METHODS = sorted({table["method"] for table in chosen.runnable().values()} - {"teacher"})


@pytest.mark.parametrize("name", METHODS)
def test_the_source_and_the_class_agree(name):
    told = {field.name: field for field in described(chosen.method(name))}
    found = fields_of(name)
    assert told.keys() <= found.keys()
    for field in told.values():
        mine = found[field.name]
        low, high = max(mine.low, mine.above), min(mine.high, mine.below)
        assert (field.value, field.low if field.low is not None else float("-inf")) == (mine.default, low), field.name
        assert high == (field.high if field.high is not None else float("inf"))
        assert field.kind == "choice" or {"float": float, "int": int, "bool": bool}[field.kind] is mine.kind
        assert field.choices == mine.choices and field.doc == mine.help


@pytest.mark.parametrize(("typed", "says"), [
    ({"method": "ctm", "lrr": "1e-3"}, "did you mean 'lr'"),
    ({"method": "ctm", "lr": "0"}, r"must lie in \(0, inf"),
    ({"method": "ctm", "grid": "2.5"}, "takes an int"),
    ({"method": "ctm", "distance": "sqare"}, "did you mean 'square'"),
    ({"method": "ctm", "process": "edm"}, "unknown parameter"),
    ({"method": "ctmm", "lr": "1"}, "did you mean 'ctm'"),
])
def test_wrong_fields_are_refused_before_anything_runs(typed, says):
    with pytest.raises((BadParameter, ValueError), match=says):
        prepare("train", typed=typed)


def test_fields_join_the_settings():
    job = prepare("train", given={"settings": {"grid": 9}}, typed={"method": "ctm", "lr": "1e-4", "steps": "7"})
    assert job.parameters["settings"] == {"grid": 9, "lr": 1e-4} and job.parameters["steps"] == 7
    assert set(job.given) == {"method", "settings", "steps"}
