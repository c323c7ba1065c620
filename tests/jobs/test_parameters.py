"""Parameters are read without running them, and refused with a sentence that names the fix."""

import json

import pytest

from workbench.jobs.parameters import BadParameter, Parameter, read, settle

CELL = '''"""What can be set."""
steps: int = 400  # in [1, 1e4]: steps of the student
rate = 1e-3  # learning rate, é
method: Literal["dmd2", "rcm"] = "dmd2"
note: str | None = None
fast: bool = False
grid: list[int] = [1, 2]'''


def notebook(source: str, tags=("parameters",)) -> dict:
    return {"cells": [{"cell_type": "code", "source": source.splitlines(keepends=True), "metadata": {"tags": [*tags]}}]}


def test_names_types_bounds_and_help():
    found = read(notebook(CELL))
    assert [*found] == ["steps", "rate", "method", "note", "fast", "grid"]
    assert found["steps"] == Parameter("steps", 400, int, low=1, high=1e4, help="steps of the student")
    assert (found["rate"].kind, found["rate"].help) == (float, "learning rate, é")
    assert found["method"].choices == ("dmd2", "rcm")
    assert (found["note"].kind, found["note"].optional) == (str, True)
    assert found["grid"].kind is list


def test_typed_text_takes_the_parameters_type():
    typed = {"steps": "20", "rate": "2", "method": "rcm", "note": "7", "fast": "true", "grid": "[3]"}
    values = settle(read(notebook(CELL)), {}, typed)
    assert values == {"steps": 20, "rate": 2.0, "method": "rcm", "note": "7", "fast": True, "grid": [3]}
    assert type(values["rate"]) is float


def test_typed_beats_the_file():
    assert settle(read(notebook(CELL)), {"steps": 5, "fast": True}, {"steps": "6"}) == {"steps": 6, "fast": True}


@pytest.mark.parametrize(("typed", "says"), [
    ({"stpes": "3"}, "unknown parameter 'stpes'; did you mean 'steps'"),
    ({"steps": "many"}, "steps takes an int, got 'many'"),
    ({"steps": "1.5"}, "steps takes an int, got 1.5"),
    ({"steps": "0"}, r"steps must lie in \[1, 10000\], got 0"),
    ({"rate": "nan_"}, "rate takes a float"),
    ({"method": "rmc"}, "did you mean 'rcm'"),
    ({"fast": "1"}, "fast takes a bool, got 1"),
    ({"steps": "true"}, "steps takes an int, got True"),
    ({"rate": "__import__('os').getpid()"}, "rate takes a float"),
])
def test_bad_values_are_named(typed, says):
    with pytest.raises(BadParameter, match=says):
        settle(read(notebook(CELL)), {}, typed)


def test_a_value_that_is_not_a_number_is_outside_every_range():
    with pytest.raises(BadParameter, match="must be finite"):
        Parameter("rate", 0.5, float, low=0.0, high=1.0).check(float("nan"))


@pytest.mark.parametrize(("source", "says"), [
    ("import os", "line 1"),
    ("steps = 1\nprint(steps)", "line 2"),
    ("steps = min(1, 2)", "steps is not a literal"),
    ("a, b = 1, 2", "line 1"),
    ("steps: tensor = 1", "unknown type 'tensor'"),
    ("steps: int = 'a'", "steps takes an int"),
    ("steps: int = 0  # in [1, 2]: few", "must lie in"),
    ("%pip install x", "not plain Python"),
])
def test_a_cell_that_is_no_list_of_literals_is_refused(source, says):
    with pytest.raises(BadParameter, match=says):
        read(notebook(source))


def test_exactly_one_cell_is_tagged():
    with pytest.raises(BadParameter, match="has 0 cells tagged"):
        read(notebook("a = 1", tags=()))
    with pytest.raises(BadParameter, match="has 2 cells tagged"):
        read({"cells": notebook("a = 1")["cells"] * 2})


def test_source_may_be_one_string():
    assert [*read(json.loads(json.dumps({"cells": [
        {"cell_type": "code", "source": "a = 1\nb = 2", "metadata": {"tags": ["parameters"]}}]})))] == ["a", "b"]
