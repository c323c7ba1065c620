import pytest

from workbench.papers.arms import Arm, Training, arms_of, by_training, check_arm, sampler_of
from workbench.papers.record import Claim, read
from workbench.solvers import Heun, Sampler


def test_arms_take_the_records_settings_under_their_own(folder):
    record = read(folder / "runs.toml")
    on = arms_of(record, record.claims[0], "on")
    assert [arm.training.seed for arm in on] == [0, 1, 2]
    assert on[0] == Arm(Training(record.method, '{"average": 0.0, "grid": 8}', "gmm2d", "{}", 0, steps=4, batch_size=8))


def test_arms_that_sample_differently_share_their_training(folder):
    record = read(folder / "runs.toml")
    arms = [arm for claim in record.claims for side in ("on", "off") for arm in arms_of(record, claim, side)]
    groups = by_training(arms)
    assert len(arms) == 12 and len(groups) == 6  # average 0 and 0.95, three seeds each
    first = groups[arms[0].training]
    assert [arm.num_inference_steps for arm in first] == [None, 2]


def claim(**off):
    return Claim(says="s", bench="gmm2d", measure="m", on={}, off=off, expect="on < off", budget={"teacher_calls": 1e3})


def test_an_arm_may_be_another_method_or_the_teacher(folder):
    record = read(folder / "runs.toml")
    other = arms_of(record, claim(method="steps.consistency_training:ConsistencyTraining", average=0.5), "off")[0]
    assert other.training.settings == '{"average": 0.5}'  # nothing of the record's own method
    teacher = arms_of(record, claim(method="teacher", sampler={"solver": "heun"}, num_inference_steps=4), "off")[0]
    assert teacher.training == Training("teacher", "{}", "gmm2d", "{}", 0)
    assert sampler_of(teacher) == Sampler(Heun(), num_inference_steps=4)


def test_what_an_arm_names_is_built_before_anything_runs(folder):
    record = read(folder / "runs.toml")
    for side, word in [({"averge": 0.5}, "did you mean 'average'"), ({"method": "teacher"}, "no sampler of its own"),
                       ({"sampler": {"solver": "huen"}, "num_inference_steps": 1}, "did you mean 'heun'"),
                       ({"sampler": {"solver": "heun", "spaceing": "karras"}}, "did you mean 'spacing'")]:
        with pytest.raises(ValueError, match=word):
            check_arm(arms_of(record, claim(**side), "off")[0])
