"""Arms through the real engine, at a size of milliseconds: a net of width 16, 3 steps, 64 samples."""

import json
import math
from dataclasses import replace

import pytest
import torch

from workbench.papers.arms import Arm, Training, run_arm, run_arms

SMALL = json.dumps({"samples": 64, "width": 16})
METHOD = "steps.consistency:ConsistencyDistillation"
TRAINING = Training(METHOD, '{"grid": 4}', "gmm2d", SMALL, 0, steps=3, batch_size=8)


def test_an_arm_gives_every_measure_and_the_same_ones_again():
    figures = run_arm(Arm(TRAINING))
    assert {"energy_distance", "endpoint_error", "outside"} <= set(figures)
    assert all(math.isfinite(value) for value in figures.values())
    assert run_arm(Arm(TRAINING)) == figures
    assert run_arm(Arm(replace(TRAINING, seed=1))) != figures
    assert run_arm(Arm(replace(TRAINING, settings='{"grid": 5}'))) != figures


def test_a_shared_training_gives_what_separate_ones_give():
    arms = [Arm(TRAINING), Arm(TRAINING, num_inference_steps=2), Arm(TRAINING, '{"solver": "euler"}', 2)]
    shared = run_arms(arms)
    assert [outcome.steps for outcome in shared] == [3] * 3
    assert [outcome.figures for outcome in shared] == [run_arm(arm) for arm in arms]
    assert len({outcome.figures["energy_distance"] for outcome in shared}) == 3


def test_the_teacher_is_sampled_and_nothing_trained():
    coarse, fine = (run_arms([Arm(Training("teacher", "{}", "gmm2d", SMALL, 0), '{"solver": "heun"}', count)])[0]
                    for count in (1, 16))
    assert coarse.steps == 0 and fine.figures["endpoint_error"] < 0.1 < coarse.figures["endpoint_error"]


def test_teacher_calls_are_a_bound():
    training = replace(TRAINING, steps=None, teacher_calls=320.0)  # Heun asks twice a sample: 20 steps of 8
    assert run_arms([Arm(training)])[0].steps == 20


def test_a_diverged_training_gives_no_figures_and_says_why():
    outcome = run_arms([Arm(replace(TRAINING, settings='{"grid": 4, "lr": 1e30}', steps=20))])[0]
    assert outcome.figures and all(math.isnan(value) for value in outcome.figures.values())
    assert outcome.note.startswith("diverged at step 4: non-finite consistency")


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="no bench called"):
        run_arm(Arm(replace(TRAINING, bench="nowhere")))
    assert torch.get_num_threads() == before
