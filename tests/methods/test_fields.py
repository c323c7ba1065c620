"""A method's fields told for forms and helps: kinds, ranges, choices and meanings as the source has them."""

from dataclasses import dataclass
from typing import Literal

import pytest

from workbench.methods.fields import check_settings, described
from workbench.methods.score.dmd2 import Dmd2
from workbench.methods.steps.consistency import ConsistencyDistillation
from workbench.types import Average, Count, Positive


@dataclass(frozen=True)
class Sample:
    lr: Positive = 1e-3
    turns: Count = 5  # of the critic: to one of the student
    mu: Average = 0.9  # decay
    kind: Literal["square", "huber"] = "square"
    fast: bool = False
    levels: tuple[float, ...] = (1.0, 2.0)  # not one value: left out


def test_kinds_ranges_choices_and_meanings():
    told = {one.name: one for one in described(Sample(lr=2e-3))}
    assert [*told] == ["lr", "turns", "mu", "kind", "fast"]
    assert told["lr"][1:5] == ("float", 2e-3, 0, None)
    assert told["turns"] == ("turns", "int", 5, 1, None, (), "of the critic: to one of the student")
    assert told["mu"][1:] == ("float", 0.9, 0, 1, (), "decay")
    assert told["kind"].choices == ("square", "huber") and told["fast"].kind == "bool"


@pytest.mark.parametrize("method", [ConsistencyDistillation(), Dmd2()])
def test_what_is_told_is_admitted(method):
    told = described(method)
    assert {"lr"} <= {one.name for one in told}
    assert check_settings(type(method), {one.name: one.value for one in told}) == {one.name: one.value for one in told}
    assert {one.name: one.doc for one in described(ConsistencyDistillation())}["average"].startswith("mu: decay")


@pytest.mark.parametrize(("settings", "said"), [
    ({"lr": 0.0}, "greater than 0"), ({"turns": 1.5}, "valid integer"), ({"mu": 1.0}, "less than 1"),
    ({"kind": "cube"}, "'square' or 'huber'"), ({"fast": 1}, "valid boolean"), ({"lr": "1e-3"}, "valid number"),
    ({"trns": 1}, "did you mean 'turns'"),
])
def test_what_does_not_fit_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        check_settings(Sample, settings)
