import pytest

from workbench.methods.steps.consistency import ConsistencyDistillation
from workbench.noise import TrigFlow
from workbench.papers import catalogue
from workbench.papers.record import TEACHER
from workbench.papers.validate import build_method
from workbench.solvers import Euler, Gamma

PATH = "steps.consistency:ConsistencyDistillation"


def test_builds_with_defaults_and_settings():
    assert build_method(PATH) == ConsistencyDistillation()
    built = build_method(PATH, {"grid": 4, "lr": 1, "average": 0, "distance": "absolute"})
    assert (built.grid, built.lr, built.average, built.distance) == (4, 1.0, 0.0, "absolute")
    assert isinstance(built.lr, float)


def test_processes_and_solvers_by_name():
    built = build_method(PATH, {"process": "trig_flow", "solver": "euler"})
    assert built.process == TrigFlow() and built.solver == Euler()
    assert build_method(PATH, {"solver": {"name": "gamma", "gamma": 0.5}}).solver == Gamma(gamma=0.5)
    assert build_method(PATH, {"solver": Euler()}).solver == Euler()


@pytest.mark.parametrize("settings, word", [
    ({"averge": 0.9}, "unknown field of ConsistencyDistillation 'averge'; did you mean 'average'"),
    ({"average": 1.0}, "average should be less than 1, got 1.0"),
    ({"average": "0.9"}, "average should be a valid number, got '0.9'"),
    ({"lr": 0}, "lr should be greater than 0"), ({"lr": float("nan")}, "not a number"),
    ({"grid": 2.5}, "grid should be a valid integer"), ({"grid": True}, "grid should be a valid integer"),
    ({"lr": True}, "lr should be a valid number"), ({"grid": 0}, "greater than or equal to 1"),
    ({"distance": "squared"}, "distance should be 'square'"),
    ({"process": "edmm"}, "did you mean 'edm'"), ({"process": 3}, "process"),
    ({"solver": "huen"}, "did you mean 'heun'"), ({"solver": {"name": "gamma", "gama": 1.0}}, "did you mean 'gamma'"),
])
def test_faults_are_named(settings, word):
    with pytest.raises(ValueError, match=word):
        build_method(PATH, settings)


@pytest.mark.parametrize("path, word", [
    ("steps.consistensy:ConsistencyDistillation", "did you mean 'steps.consistency'"),
    ("steps.consistency:ConsistencyDistilation", "did you mean 'ConsistencyDistillation'"),
    ("steps.consistency:cosine", "unknown method"), ("os:system", "unknown method module"),
    ("..os:system", "module:Class"), ("steps.consistency", "module:Class"), (TEACHER, "no method"),
])
def test_unknown_methods(path, word):
    with pytest.raises(ValueError, match=word):
        build_method(path)


def test_every_record_that_runs_builds_its_method_and_all_arms():
    from workbench.papers.arms import arms_of, check_arm

    for slug in catalogue.slugs():
        record = catalogue.record(slug)
        if record.method is None:
            continue
        assert catalogue.written(record.method), f"{slug}: {record.method} is not written"
        build_method(record.method, record.settings)
        for claim in record.claims:
            for side in ("on", "off"):
                check_arm(arms_of(record, claim, side)[0])
