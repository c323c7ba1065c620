"""A sweep's jobs: how many, which, and what is refused before the first starts."""

import pytest

from workbench.jobs.axes import Axes, listed
from workbench.jobs.parameters import BadParameter, typed_pairs

PARAMETERS = """\
steps: int = 3  # in [1, 1000]
rate: float = 0.5
name: str = "a"
sizes: list = [1]
seed: int = 0"""


@pytest.fixture
def path(notebook):
    return str(notebook(parameters=PARAMETERS))


def points(path, **axes):
    return [varied for _, varied in Axes(**axes).jobs(path, {}, {})]


def test_the_product_in_order_seeds_innermost(path):
    assert points(path, grid={"name": "a,b", "steps": "1,2"}, seeds=2, first_seed=5) == [
        {"name": name, "steps": steps, "seed": seed} for name in "ab" for steps in (1, 2) for seed in (5, 6)]


def test_draws_are_counted_bounded_and_the_same_again(path):
    draws = {"rate": "log:1e-4..1e-1", "steps": "10..12", "name": "x,y"}
    found = points(path, draws=draws, count=60)
    assert found == points(path, draws=draws, count=60) != points(path, draws=draws, count=60, draw_seed=1)
    assert found[:5] == points(path, draws=draws, count=5)
    assert {one["steps"] for one in found} == {10, 11, 12} and {one["name"] for one in found} == {"x", "y"}
    rates = sorted(one["rate"] for one in found)
    assert 1e-4 <= rates[0] and rates[-1] <= 1e-1 and rates[30] < 0.02  # the median of a log-uniform law is 3e-3


def test_every_job_has_an_address_of_its_own(path):
    jobs = [job for job, _ in Axes(grid={"steps": "1,2"}, seeds=3).jobs(path, {}, {"name": "z"})]
    assert len({job.key for job in jobs}) == 6
    assert all(job.parameters["name"] == "z" and job.given == ("name", "seed", "steps") for job in jobs)


def test_lists_are_split_at_their_outer_commas():
    assert listed("[1, 2],[3],'a,b'") == ["[1, 2]", "[3]", "'a,b'"]


@pytest.mark.parametrize(("axes", "typed", "says"), [
    ({"grid": {"stpes": "1,2"}}, {}, "did you mean 'steps'"),
    ({"grid": {"steps": "1,2000"}}, {}, "must lie in"),
    ({"grid": {"steps": "1,,2"}}, {}, "no list of values"),
    ({"grid": {"steps": "1,2"}}, {"steps": "3"}, "given twice"),
    ({"grid": {"seed": "1,2"}, "seeds": 2}, {}, "given twice"),
    ({"draws": {"rate": "0..1"}}, {}, "--random N"),
    ({"count": 3}, {}, "--draw"),
    ({"draws": {"rate": "1..0"}, "count": 2}, {}, "LOW below HIGH"),
    ({"draws": {"rate": "log:0..1"}, "count": 2}, {}, "above 0"),
    ({"draws": {"rate": "a..b"}, "count": 2}, {}, "LOW..HIGH"),
])
def test_wrong_axes_are_refused(path, axes, typed, says):
    with pytest.raises(BadParameter, match=says):
        Axes(**axes).jobs(path, {}, typed)


def test_pairs_are_read_and_refused():
    assert typed_pairs("--grid", ("a=1,2", "b=x=y")) == {"a": "1,2", "b": "x=y"}
    for wrong in (("a",), ("1a=2",), ("a=1", "a=2")):
        with pytest.raises(ValueError, match="--grid"):
            typed_pairs("--grid", wrong)


def test_fields_of_the_method_may_vary():
    jobs = Axes(grid={"method": "ctm,icm", "lr": "1e-3,1e-4"}).jobs("train", {}, {"steps": "5"})
    assert [varied for _, varied in jobs] == [{"method": m, "lr": lr} for m in ("ctm", "icm") for lr in (1e-3, 1e-4)]
    assert [job.parameters["settings"] for job, _ in jobs] == 2 * [{"lr": 1e-3}, {"lr": 1e-4}]
    with pytest.raises(BadParameter, match="field of icm"):
        Axes(grid={"method": "ctm,icm", "hops": "2,4"}).jobs("train", {}, {})
