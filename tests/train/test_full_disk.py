"""A full disk: the last checkpoint lives, nothing half written stays, and the run goes on once there is room."""

import builtins
import errno
import os

import pytest

from tests.train.toys import back_from, bits, drain, new
from workbench import files
from workbench.train.checkpoint import checkpoints, restore, save_run


def full_disk(monkeypatch, where, after):
    """Raise ENOSPC at the ``after``-th call of "open", "write", "fsync" or "replace" while a checkpoint is written."""
    calls = []

    def counted():
        calls.append(where)
        if len(calls) > after:
            raise OSError(errno.ENOSPC, "No space left on device")

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, data):
            self.file.write(data[: len(data) // 2])  # half of it fits
            counted()
            self.file.write(data[len(data) // 2 :])

    def opened(path, mode="r", *rest, **named):
        if where == "open":
            counted()
        file = builtins.open(path, mode, *rest, **named)
        return Full(file) if where == "write" else file

    monkeypatch.setattr(files, "open", opened, raising=False)
    if where in ("fsync", "replace"):
        real = getattr(os, where)
        monkeypatch.setattr(os, where, lambda *a, **k: (counted(), real(*a, **k))[1])


@pytest.mark.parametrize("where", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize("after", [0, 1])  # in the tensors, in the JSON
def test_a_full_disk_costs_the_new_checkpoint_alone(two, monkeypatch, where, after):
    folder, known = two
    run = new(folder=folder)
    restore(run)
    drain(run, 6)
    with monkeypatch.context() as broken, pytest.raises(OSError, match="No space left"):
        full_disk(broken, where, after)
        save_run(run)
    assert [path.stem for path in checkpoints(folder)] == ["00000002", "00000004"]
    assert list(folder.rglob("*.part")) == [] and list(folder.rglob(".*")) == []
    again, state = back_from(folder)
    assert again.step == 4 and bits(again) == known[4] and state["skipped"] == []
    save_run(run)  # there is room again
    assert back_from(folder)[0].step == 6
    assert bits(drain(run)) == bits(drain(new()))


def test_a_full_disk_while_rewriting_a_step_leaves_that_step(two, monkeypatch):
    folder, known = two
    run, _ = back_from(folder)
    with monkeypatch.context() as broken, pytest.raises(OSError, match="No space left"):
        full_disk(broken, "replace", 1)
        save_run(run, offset=99)
    again, state = back_from(folder)
    assert again.step == 4 and bits(again) == known[4] and state["extra"] == {"offset": 4}
