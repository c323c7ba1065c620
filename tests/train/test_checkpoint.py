"""Checkpoints: the same bits come back, and whatever is torn, altered, foreign or half written is not taken for one."""

import json
from dataclasses import dataclass, replace

import pytest
import torch

from tests.train.toys import Follow, Line, Points, Rich, back_from, bits, drain, new
from workbench.train.checkpoint import (
    FORMAT,
    KEEP,
    BrokenCheckpoint,
    checkpoints,
    fingerprint,
    read,
    restore,
    save_run,
    sealed,
)
from workbench.train.loop import train
from workbench.train.run import Run


@pytest.mark.parametrize("stop", range(1, 8))
def test_saved_and_restored_goes_on_with_the_same_bits(tmp_path, stop):
    """Acts, rhythms, averages, moments, memory and counters; at 4 of 8 the second act has just begun."""
    whole, first = drain(new(Rich(), steps=8)), new(Rich(), steps=8, folder=tmp_path)
    save_run(drain(first, stop), offset=17)
    back = new(Rich(), steps=8, folder=tmp_path, start=0.9)
    state = restore(back)
    assert state["extra"] == {"offset": 17} and state["skipped"] == []
    assert (back.step, back.act, back.act_step) == (first.step, first.act, first.act_step)
    assert back.teacher_calls == first.teacher_calls and bits(back) == bits(first)
    assert bits(drain(back)) == bits(whole) and back.teacher_calls == whole.teacher_calls


def test_an_act_is_not_entered_again(tmp_path):
    @dataclass(frozen=True)
    class Counts(Rich):
        def acts(self, steps):
            first, second = super().acts(steps)
            return first, replace(second, enter=entered.append)

    entered = []
    run = drain(new(Counts(), steps=8, folder=tmp_path), 6)
    save_run(run)
    back = new(Counts(), steps=8, folder=tmp_path)
    restore(back)
    drain(back)
    assert len(entered) == 1


def test_a_non_finite_streak_is_kept(tmp_path):
    run = drain(new(data=Points(bad=(1, 2)), folder=tmp_path), 3)
    save_run(run)
    back = new(data=Points(bad=(1, 2)), folder=tmp_path)
    restore(back)
    assert float(back.bad_streak[0]) == float(run.bad_streak[0]) == 2


def test_saving_changes_nothing(tmp_path):
    run = new(Rich(), folder=tmp_path)
    for _ in train(run):
        save_run(run)
    assert bits(run) == bits(drain(new(Rich())))


def test_the_newest_few_are_kept_with_their_tensors(tmp_path):
    run = new(folder=tmp_path)
    for _ in train(run):
        save_run(run)
    assert [path.name for path in checkpoints(tmp_path)] == [f"{n:08d}.json" for n in (6, 7, 8)] and KEEP == 3
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == sorted(
        f"{n:08d}.{kind}" for n in (6, 7, 8) for kind in ("json", "safetensors"))


def test_a_given_net_is_saved_by_fingerprint_alone(tmp_path):
    run = new(folder=tmp_path)
    state, tensors = read(save_run(run))
    assert state["given"] == {"teacher": fingerprint(run.nets["teacher"])}
    assert not any(name.startswith("nets/teacher") for name in tensors)


def test_a_fingerprint_sees_every_bit():
    one, other = Line(), Line()
    assert fingerprint(one) == fingerprint(other)
    with torch.no_grad():
        other.b[1] = 1e-38
    assert fingerprint(one) != fingerprint(other)


def flips(path, count=15):
    """``count`` copies of a file's bytes, each with one bit flipped, from the first byte to the last."""
    raw = path.read_bytes()
    for i in range(count):
        at = i * (len(raw) - 1) // (count - 1)
        yield raw[:at] + bytes([raw[at] ^ (1 << i % 7)]) + raw[at + 1 :]


@pytest.mark.parametrize("kind", ["json", "safetensors"])
def test_a_flipped_bit_is_found_and_the_previous_checkpoint_used(two, kind):
    folder, known = two
    path = checkpoints(folder)[-1].with_suffix(f".{kind}")
    for altered in flips(path):
        path.write_bytes(altered)
        with pytest.raises(BrokenCheckpoint, match=f"{path.stem}"):
            read(path.with_suffix(".json"))
        run, state = back_from(folder)
        assert run.step == 2 and bits(run) == known[2] and state["extra"] == {"offset": 2}
        assert len(state["skipped"]) == 1 and str(path.with_suffix("")) in state["skipped"][0]


@pytest.mark.parametrize("kind", ["json", "safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_is_found_and_the_previous_used(two, kind, share):
    folder, known = two
    path = checkpoints(folder)[-1].with_suffix(f".{kind}")
    raw = path.read_bytes()
    path.write_bytes(raw[: int(share * len(raw))])
    run, state = back_from(folder)
    assert run.step == 2 and bits(run) == known[2] and "torn" in state["skipped"][0]


def test_missing_tensors_are_found(two):
    folder, known = two
    checkpoints(folder)[-1].with_suffix(".safetensors").unlink()
    assert bits(back_from(folder)[0]) == known[2]


def test_a_changed_number_in_the_json_is_found(two):
    """The digest covers the state itself, not the tensors alone: seed 0 turned into 1 would train on another noise."""
    path = checkpoints(two[0])[-1]
    state = json.loads(path.read_text())
    for name, value in (("seed", 1), ("step", 3), ("changes", [{"act": 0}]), ("teacher_calls", 0), ("extra", {})):
        path.write_text(json.dumps({**state, name: value}))
        with pytest.raises(BrokenCheckpoint, match="was altered or is torn"):
            read(path)
    path.write_text(json.dumps(sealed({**state, "seed": 1})))
    assert read(path)[0]["seed"] == 1  # the digest is of the content: layout does not matter


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", "3", '{"format": 1}', '{"sha256": "", "format": "new"}'])
def test_a_foreign_file_is_refused_with_a_sentence(two, content):
    folder, known = two
    path = checkpoints(folder)[-1]
    path.write_text(content)
    with pytest.raises(BrokenCheckpoint, match="is torn or not a checkpoint .*; resume from an earlier one"):
        read(path)
    assert bits(back_from(folder)[0]) == known[2]


def test_a_newer_format_is_refused_with_the_way_out(two):
    path = checkpoints(two[0])[-1]
    path.write_text(json.dumps(sealed({**json.loads(path.read_text()), "format": FORMAT + 1})))
    with pytest.raises(BrokenCheckpoint, match=f"has format {FORMAT + 1}, this version reads up to {FORMAT}: update"):
        read(path)


def test_no_whole_checkpoint_is_said_with_every_reason(two):
    folder, _ = two
    for path in checkpoints(folder):
        path.write_text("{")
    with pytest.raises(BrokenCheckpoint, match="00000004.json .*; .*00000002.json"):
        back_from(folder)
    with pytest.raises(BrokenCheckpoint, match="no checkpoint in .*: start the run anew"):
        back_from(folder / "elsewhere")


def test_a_checkpoint_of_another_run_is_refused(two):
    folder, _ = two

    def restored(run):
        restore(run, checkpoints(folder)[-1])

    teacher = Run(Follow(), {"teacher": Line(3.0), "student": Line()}, Points(), steps=8, folder=folder)
    with pytest.raises(ValueError, match="made with another teacher"):
        restored(teacher)
    with pytest.raises(ValueError, match="made with 1 micro-batches a step, this run has 2"):
        restored(new(folder=folder, blocks=2))
    with pytest.raises(ValueError, match="made with seed 0, this run has 1"):
        restored(new(folder=folder, seed=1))
    with pytest.raises(ValueError, match=r"stands at step 4 of act 1; here acts have \[3\] steps"):
        restored(new(folder=folder, steps=3))
    with pytest.raises(ValueError, match="belongs to another run"):
        restored(new(Rich(), folder=folder, steps=12))


def test_a_run_without_a_folder_says_so():
    with pytest.raises(ValueError, match="has no folder: give one at birth"):
        save_run(new())
