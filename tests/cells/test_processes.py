"""A training shared by two processes: told what to do, killed here and there, and at its end the one-process bits."""

import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.chaos.compare import differences
from workbench.benches import load
from workbench.benches.assemble import from_recipe, recipe
from workbench.cells.processes import environment, share, shared
from workbench.methods.steps.consistency import ConsistencyDistillation
from workbench.record.control import command
from workbench.record.session import session
from workbench.record.store import read_events, read_state
from workbench.train.checkpoint import checkpoints

STEPS, MILESTONE = 120, 10


@pytest.fixture(scope="module")
def told():
    return recipe(load("gmm2d"), ConsistencyDistillation(), seed=3, steps=STEPS, batch_size=32, blocks=2)


def life(told, folder: Path):
    """The run of that folder in two processes, newly born or gone on with: (run, its recorded steps)."""
    run = from_recipe(told, folder)
    return run, shared(run, told, 2, every=1, milestone=MILESTONE)


def family() -> dict[str, psutil.Process]:
    """The processes of the training by what they are."""
    launcher = next(child for child in psutil.Process().children() if "accelerate.commands.launch" in child.cmdline())
    return {"launcher": launcher} | {f"rank {child.environ()['RANK']}": child for child in launcher.children()}


def killed(told, folder: Path, whom: str) -> str:
    """A life in which one process is killed ten steps on: what it raises; nothing of it is left. At step 1 it is told
    to change and to pause.
    """
    first, ours, before = None, {}, max((int(path.stem) for path in checkpoints(folder)), default=0)
    with pytest.raises(RuntimeError) as raised:
        for stepped in life(told, folder)[1]:
            first = first or stepped.step
            if stepped.step == 1:
                command(folder, "change", name="lr", value=3e-4)
                for order in ("pause", "step", "resume"):
                    command(folder, order)
            if not ours and stepped.step >= first + MILESTONE:
                ours = family()
                ours[whom].send_signal(signal.SIGKILL)
                died = time.monotonic()
    assert first == before + 1 and len(ours) == 3 and time.monotonic() < died + 10
    assert not [name for name, one in ours.items() if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    return str(raised.value)


@pytest.mark.chaos
def test_whatever_is_done_to_two_processes_they_end_with_the_bits_of_one(told, tmp_path):
    folder = tmp_path / "two"
    for whom in ("rank 1", "rank 0", "launcher"):
        assert "run again to go on from" in killed(told, folder, whom)
        assert read_state(folder)["status"] == ("stopped" if whom == "launcher" else "failed")
    change = next(read_events(folder, "change"))
    assert (change["name"], change["value"]) == ("lr", 3e-4)
    assert {"paused", "resumed"} <= {event["kind"] for event in read_events(folder)}
    run, steps = life(told, folder)
    assert [stepped.step for stepped in steps][-1] == STEPS == run.step
    one = from_recipe(told, tmp_path / "one")  # in this process alone
    for stepped in session(one, told, every=1, milestone=MILESTONE):
        if stepped.step == change["step"]:
            one.change("lr", 3e-4)
    assert differences(tmp_path / "one", folder) == []
    assert run.teacher_calls == one.teacher_calls


def test_a_batch_is_shared_evenly_or_refused():
    assert share(64, 2) == 32
    with pytest.raises(ValueError, match="batch_size = 65 cannot be shared by 2 processes: use a multiple of 2"):
        share(65, 2)


def test_a_run_of_one_micro_batch_is_refused_before_anything_starts(told, tmp_path):
    run = from_recipe(told | {"blocks": 1}, tmp_path / "run")
    with pytest.raises(ValueError, match="1 micro-batches a step cannot be shared by 2 processes"):
        next(shared(run, told, 2))
    assert not (tmp_path / "run").exists()


def test_threads_are_shared_and_nothing_but_loopback_is_used(monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    assert environment(2, "")["OMP_NUM_THREADS"] == "4" and environment(16, "")["OMP_NUM_THREADS"] == "1"
    assert environment(2, "")["GLOO_SOCKET_IFNAME"].startswith("lo")
