"""What came out of two runs: identical to the bit, within tolerance, or different, and where first."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

from workbench.jobs.outcome import TOLERANCE, metrics_differ, verdict

DONE = {"status": "succeeded", "error": None}


@pytest.fixture
def two(tmp_path):
    """The folders of two runs that came out alike: numbers, a training of three readings, weights, a figure."""
    one = tmp_path / "one"
    (one / "student" / "checkpoints").mkdir(parents=True)
    (one / "figures").mkdir()
    (one / "metrics.json").write_text(json.dumps({"recall": 0.5, "loss": None, "train seconds": 3.0}))
    state = {"format": 1, "status": "finished", "step": 3, "data_sha256": "d4"}
    (one / "student" / "run.json").write_text(json.dumps(state))
    steps = [{"kind": "step", "time": step, "step": step, "updates": [{"total": 1.0 / step}]} for step in (1, 2, 3)]
    (one / "student" / "events.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    (one / "student" / "checkpoints" / "00000003.json").write_text(json.dumps({"given": {"teacher": "ab12"}}))
    save_file({"a": torch.linspace(0, 1, 9), "b": torch.ones(2)}, one / "student/checkpoints/00000003.safetensors")
    (one / "figures" / "01-losses.json").write_text(json.dumps([{"model": "a", "values": [1, 2.5], "seconds": 1.0}]))
    shutil.copytree(one, tmp_path / "two")
    return one, tmp_path / "two"


def edited(path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def said(two, records=(DONE, DONE), **options) -> tuple[str, str | None]:
    found = verdict(*two, records, **options)
    return found.said, found.first and found.first.where


def test_alike_to_the_bit_whatever_the_clock_says(two):
    edited(two[1] / "metrics.json", '"train seconds": 3.0', '"train seconds": 4.0')
    edited(two[1] / "student" / "events.jsonl", '"time": 2', '"time": 99')
    edited(two[1] / "figures" / "01-losses.json", '"seconds": 1.0', '"seconds": 2.0')
    found = verdict(*two, (DONE, DONE))
    assert str(found) == "identical to the bit (6 compared)" and found.first is None


@pytest.mark.parametrize(("file", "old", "new", "verdict", "where"), [
    ("metrics.json", "0.5", "0.5000001", "within tolerance", "metrics.json: recall"),
    ("metrics.json", "0.5", "0.51", "different", "metrics.json: recall"),
    ("metrics.json", "null", "1.0", "different", "metrics.json: loss"),
    ("metrics.json", "0.5", "NaN", "different", "metrics.json: recall"),
    ("metrics.json", '"recall"', '"recal"', "different", "metrics.json: recall"),
    ("metrics.json", "}", "", "different", "metrics.json"),
    ("student/events.jsonl", "0.5", "0.6", "different", "student, step 2: updates, 1: total"),
    ("student/events.jsonl", "0.5", "0.50000001", "within tolerance", "student, step 2: updates, 1: total"),
    ("student/events.jsonl", '"step": 3, ', '"step": 3 ', "different", "student: steps recorded"),
    ("student/checkpoints/00000003.json", "ab12", "cd34", "different", "student: frozen net: teacher"),
    ("student/run.json", "d4", "e5", "different", "student: first batch of data"),
    ("figures/01-losses.json", "2.5", "2.6", "different", "figure 01-losses, 1: values, 2"),
    ("figures/01-losses.json", '"a"', '"b"', "different", "figure 01-losses, 1: model"),
])
def test_the_first_difference_is_named(two, file, old, new, verdict, where):
    edited(two[1] / file, old, new)
    assert said(two) == (verdict, where)


@pytest.mark.parametrize(("change", "verdict"), [(1e-7, "within tolerance"), (1e-3, "different")])
def test_weights_are_compared_by_value_where_their_bytes_differ(two, change, verdict):
    weights = torch.linspace(0, 1, 9)
    weights[4] += change
    save_file({"a": weights, "b": torch.ones(2)}, two[1] / "student/checkpoints/00000003.safetensors")
    assert said(two) == (verdict, "student, 00000003.safetensors: a")
    assert said(two, weights=False) == ("identical to the bit", None)


@pytest.mark.parametrize("tensors", [{"a": torch.linspace(0, 1, 9)}, {"a": torch.ones(3, 3), "b": torch.ones(2)}])
def test_other_tensors_are_different(two, tensors):
    save_file(tensors, two[1] / "student/checkpoints/00000003.safetensors")
    assert said(two)[0] == "different"


def test_a_torn_or_missing_checkpoint_is_different(two):
    (two[1] / "student/checkpoints/00000003.safetensors").write_bytes(b"torn")
    assert said(two) == ("different", "student, 00000003.safetensors")
    (two[1] / "student/checkpoints/00000003.safetensors").unlink()
    assert said(two) == ("different", "student: last checkpoint")


def test_a_large_difference_outweighs_a_small_one_before_it(two):
    edited(two[1] / "metrics.json", "0.5", "0.5000001")
    edited(two[1] / "figures" / "01-losses.json", "2.5", "2.6")
    assert said(two) == ("different", "figure 01-losses, 1: values, 2")
    assert 0.5e-6 < TOLERANCE < 0.04


def test_a_missing_training_and_another_status_are_different(two):
    shutil.rmtree(two[1] / "student")
    assert said(two) == ("different", "training student")
    failed = {"status": "failed", "error": "ValueError: no"}
    assert str(verdict(*two, (DONE, failed))) == (
        "different; first in status: was succeeded, is failed ValueError: no")


def test_fewer_readings_are_different(two):
    path = two[1] / "student" / "events.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    assert said(two) == ("different", "student: steps recorded")


def test_two_runs_that_kept_nothing_cannot_be_called_identical(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    found = verdict(tmp_path / "a", tmp_path / "b", (DONE, DONE))
    assert found.said == "nothing to compare" and "no metrics.json" in str(found)


def test_every_number_that_differs_is_named(two):
    edited(two[1] / "metrics.json", '"recall": 0.5, "loss": null', '"recall": 0.75, "loss": 2')
    assert metrics_differ(*two) == ["metrics.json: recall: was 0.5, is 0.75 (relative difference 3.3e-01)",
                                    "metrics.json: loss: was None, is 2"]
