"""Two processes train small pipelines together, data parallel and sharded: one process with as many micro-batches."""

import json
import math
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from tests.train.pair import CASES, HALF, RESUMED, run_of, trained
from tests.train.toys import Follow, Line, Points
from workbench.teachers.from_diffusers.small import save
from workbench.train.checkpoint import restore, save_run, tensors_of
from workbench.train.place import Place
from workbench.train.run import Run
from workbench.train.shard import blocks_of, model_of

PARALLEL = [name for name, case in CASES.items() if not case.shard and not case.bfloat16]
SHARDED = [name for name, case in CASES.items() if case.shard]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pipelines, a checkpoint of one process, and what two processes left."""
    found = tmp_path_factory.mktemp("pair")
    for kind in ("sd", "flux"):
        save(kind, found / kind)
    torch.set_num_threads(1)
    run = run_of(CASES[RESUMED], found, Place(), found / "saved by one")
    trained(run, HALF)
    save_run(run)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    ranks = [subprocess.Popen([sys.executable, "-m", "tests.train.pair", str(rank), str(found / "meeting"), str(found)],
                              env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
             for rank in (0, 1)]
    said = [rank.communicate(timeout=240)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(said)
    return found


@pytest.fixture(scope="module")
def alone(folder):
    """The same trainings in this process, each made once: (what was seen, tensors at the end)."""
    made = {}

    def one(name):
        if name not in made:
            run = run_of(CASES[name], folder, Place())
            made[name] = trained(run), tensors_of(run)
        return made[name]

    return one


def together(folder, name):
    """What both processes saw, in the order of one; and the tensors at the end of each."""
    said = [json.loads((folder / f"{rank}.json").read_text())[name] for rank in (0, 1)]
    assert said[0]["norms"] == said[1]["norms"]
    losses = sorted(said[0]["losses"] + said[1]["losses"], key=lambda one: one[:3])
    tensors = [load_file(folder / f"{rank} {name}.safetensors") for rank in (0, 1)]
    return {"losses": losses, "norms": said[0]["norms"]}, tensors


def apart(one, two):
    """Largest difference of two lists of losses or norms, over the size of each."""
    assert len(one) == len(two) > 0
    pairs = [(a[-1], b[-1]) if isinstance(a, list) else (a, b) for a, b in zip(one, two, strict=True)]
    return max(abs(a - b) / max(abs(b), 1e-3) for a, b in pairs)


def between(one, two):
    """Largest difference of nets and averages."""
    assert one.keys() == two.keys()
    return max(float((one[name] - two[name]).abs().max()) for name in one if name.startswith("nets/"))


@pytest.mark.parametrize("name", PARALLEL)
def test_data_parallel_processes_are_one_process_to_the_bit(folder, alone, name):
    (seen, ends), (expected, end) = together(folder, name), alone(name)
    expected["losses"].sort(key=lambda one: one[:3])
    assert seen == expected
    for tensors in ends:
        assert tensors.keys() == end.keys() and all(torch.equal(tensors[key], end[key]) for key in end)


@pytest.mark.parametrize("name", SHARDED)
def test_sharded_processes_lose_what_one_process_loses(folder, alone, name):
    (seen, ends), (expected, end) = together(folder, name), alone(name)
    expected["losses"].sort(key=lambda one: one[:3])
    assert [one[:3] for one in seen["losses"]] == [one[:3] for one in expected["losses"]]
    assert apart(seen["losses"], expected["losses"]) < 1e-5 and apart(seen["norms"], expected["norms"]) < 1e-5
    assert between(ends[0], end) < 1e-5 and all(torch.equal(ends[0][key], ends[1][key]) for key in end)
    first = run_of(CASES[name], folder, Place()).nets["student"].state_dict()
    moved = [key for key, value in first.items() if not torch.equal(value, ends[0][f"nets/student/{key}"])]
    assert len(moved) > 0.9 * len(first)


@pytest.mark.parametrize("name", SHARDED)
def test_each_process_holds_half(folder, name):
    said = [json.loads((folder / f"{rank}.json").read_text())[name]["held"] for rank in (0, 1)]
    cut = ["base"] if CASES[name].rank else ["base", "student"]
    for part in cut:
        whole = said[0][part][1]
        assert sum(one[part][0] for one in said) == whole
        assert all(0.45 * whole < one[part][0] < 0.55 * whole for one in said), (part, said)
    if "student" in cut and "consistency" in name:
        assert sum(one["moments"][0] for one in said) == 2 * said[0]["student"][1]


def test_a_sharded_checkpoint_goes_on_unsharded(folder):
    run = run_of(CASES[RESUMED], folder, Place(), folder / "saved 0")
    state = restore(run)
    assert state["step"] == HALF and run.step == HALF
    trained(run)
    whole = load_file(folder / f"0 {RESUMED}.safetensors")
    assert between(tensors_of(run), whole) < 1e-5
    assert not (folder / "saved elsewhere" / "checkpoints").exists()  # the first process alone writes


def test_an_unsharded_checkpoint_goes_on_sharded(folder, alone):
    run = run_of(CASES[RESUMED], folder, Place(), folder / "saved by one")
    restore(run)
    one, two = tensors_of(run), load_file(folder / "0 resumed.safetensors")
    assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)
    at_end = load_file(folder / "0 resumed, at its end.safetensors")
    assert between(at_end, alone(RESUMED)[1]) < 1e-5


def test_a_method_that_draws_its_own_order_is_refused_by_both(folder):
    for rank in (0, 1):
        refused = json.loads((folder / f"{rank}.json").read_text())["refused"]
        assert "which sharded nets cannot follow" in refused and "num_inference_steps=1" in refused


def test_bfloat16_by_accelerate_is_near_float32(folder, alone):
    name = "bfloat16 flux copy consistency"
    seen, ends = together(folder, name)
    expected, end = alone(name)
    assert all(math.isfinite(one[-1]) for one in seen["losses"])
    assert {value.dtype for key, value in ends[0].items() if key.startswith("nets/")} == {torch.float32}
    assert 0 < between(ends[0], end) < 5e-3
    norms = list(zip(seen["norms"], expected["norms"], strict=True))
    assert all(abs(a / b - 1) < 0.1 for a, b in norms), norms


def test_blocks_are_those_that_diffusers_never_splits(folder):
    model = model_of(run_of(CASES["sharded flux copy consistency"], folder, Place()).nets["student"])
    assert {type(one).__name__ for one in blocks_of(model)} == {"FluxTransformerBlock", "FluxSingleTransformerBlock"}


def test_nothing_to_shard_is_said(monkeypatch):
    monkeypatch.setattr("torch.distributed.device_mesh.init_device_mesh", lambda *_: None)
    with pytest.raises(ValueError, match="none of these nets is a pipeline's network"):
        Run(Follow(), {"teacher": Line(2.0), "student": Line()}, Points(), blocks=2, place=Place(world=2, shard=True))
