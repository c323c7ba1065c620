"""A training whose networks two processes hold in shares: weights of one process, from a checkpoint of one."""

import json

import pytest
import torch
from PIL import Image

from workbench import cells as w
from workbench.benches.assemble import bench_of, from_recipe
from workbench.benches.pipeline import PipelineBench
from workbench.record.session import session
from workbench.teachers.from_diffusers.small import save
from workbench.train.checkpoint import checkpoints, read


@pytest.fixture
def bench(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, word in enumerate(("red", "green", "blue")):
        Image.new("RGB", (32, 32), tuple(200 * (number == place) for place in range(3))).save(folder / f"{word}.png")
        (folder / f"{word}.txt").write_text(f"a {word} square\n")
    return PipelineBench(str(save("flux", tmp_path / "flux")), images=str(folder), rank=None, size=(32, 32))


def test_two_processes_in_shares_go_on_where_one_was(bench, tmp_path, monkeypatch):
    """Three steps by one process, three by two in shares; six by one."""
    monkeypatch.setenv("WORKBENCH_PROCESSES", "2")
    monkeypatch.setenv("WORKBENCH_SHARD", "1")
    said = w.distil("consistency", bench, steps=6, batch_size=4, folder=tmp_path / "whole").trained
    recipe = json.loads((tmp_path / "whole" / "run.json").read_text())["recipe"]
    assert json.loads((tmp_path / "whole" / "processes.json").read_text())["shard"] and said.finished

    assert stopped_at(recipe, tmp_path / "one", 6) == 6 and stopped_at(recipe, tmp_path / "half", 3) == 3
    w.resume(tmp_path / "half")
    assert json.loads((tmp_path / "half" / "run.json").read_text())["status"] == "finished"
    wanted = final(tmp_path / "one")
    for name in ("whole", "half"):
        found = final(tmp_path / name)
        assert found.keys() == wanted.keys()
        for path, value in wanted.items():
            torch.testing.assert_close(found[path], value, rtol=1e-5, atol=1e-5)


def stopped_at(recipe, folder, step):
    """The step that a training by one process was stopped at."""
    run = from_recipe(recipe, folder, bench=bench_of(recipe))
    for stepped in session(run, recipe, stop=lambda: run.step >= step):  # noqa: B007
        pass
    return stepped.step


def final(folder):
    state, tensors = read(checkpoints(folder)[-1])
    assert state["step"] == 6
    return {name: value for name, value in tensors.items() if name.startswith("nets/")}


def test_a_bench_without_a_pipeline_has_nothing_to_share(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_PROCESSES", "2")
    monkeypatch.setenv("WORKBENCH_SHARD", "1")
    with pytest.raises(RuntimeError, match="nothing to shard"):
        w.distil("consistency", w.bench("gmm2d"), steps=2, batch_size=4, folder=tmp_path / "run")
