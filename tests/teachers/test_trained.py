"""The cache of trained nets: reused when whole and made of the same, rebuilt when stale, torn or foreign."""

import json
import subprocess
import sys

import pytest
import torch

from workbench.nets.classifier import MlpClassifier
from workbench.teachers.trained import cache_folder, fingerprint, frozen, kept, load, save

X = torch.arange(6.0)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Trainer:
    """Counts how often it is asked, and fills the net with that number."""

    def __init__(self):
        self.times = 0

    def __call__(self, net):
        self.times += 1
        with torch.no_grad():
            for weight in net.parameters():
                weight.fill_(self.times)
        return {"seconds": 1.5}


def made(trainer, print_="a" * 64):
    return kept("tiny", MlpClassifier(widths=(4,)), print_, trainer)


def test_a_net_is_trained_once_and_comes_back_frozen(cache):
    trainer = Trainer()
    first, second = made(trainer), made(trainer)
    assert trainer.times == 1
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not any(p.requires_grad for net in (first, second) for p in net.parameters()) and not second.training
    folder = cache / ("tiny-" + "a" * 16)
    assert json.loads((folder / "net.json").read_text())["notes"] == {"seconds": 1.5}
    assert [path.name for path in cache.iterdir() if path.is_dir()] == [folder.name]  # nothing left beside it


def test_another_fingerprint_is_another_net():
    trainer = Trainer()
    made(trainer)
    made(trainer, "b" * 64)
    made(trainer, "a" * 16 + "c" * 48)  # the same folder, yet stale
    assert trainer.times == 3


def cut(path):
    path.write_bytes(path.read_bytes()[:-8])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [
    lambda folder: cut(folder / "weights.safetensors"), lambda folder: flip(folder / "weights.safetensors"),
    lambda folder: (folder / "weights.safetensors").unlink(), lambda folder: cut(folder / "net.json"),
    lambda folder: (folder / "net.json").unlink(), lambda folder: (folder / "net.json").write_text("[]"),
    lambda folder: (folder / "net.json").write_bytes(b"\xff\xfe\x00"),
], ids=["cut", "flipped", "lost", "torn-json", "lost-json", "other-json", "no-json"])
def test_harm_is_found_and_the_net_rebuilt(cache, harm):
    trainer = Trainer()
    made(trainer)
    harm(cache / ("tiny-" + "a" * 16))
    net = made(trainer)
    assert trainer.times == 2 and float(net.head.bias[0]) == 2
    made(trainer)
    assert trainer.times == 2


def test_whole_weights_of_another_shape_are_refused(cache):
    save(cache / "one", MlpClassifier(widths=(5,)), "a", {})
    net = MlpClassifier(widths=(4,))
    before = net.head.weight.clone()
    assert load(cache / "one", net, "a") is None
    assert torch.equal(net.head.weight, before)


def test_a_training_that_fails_leaves_nothing(cache):
    def fails(net):
        raise RuntimeError("diverged")

    with pytest.raises(RuntimeError, match="diverged"):
        made(fails)
    assert [path for path in cache.iterdir() if path.is_dir()] == []
    assert made(Trainer()) is not None


def test_two_processes_train_once(cache):
    code = """
import sys, time
from pathlib import Path
from workbench.nets.classifier import MlpClassifier
from workbench.teachers.trained import kept
def train(net):
    with open(sys.argv[1], "a") as log:
        log.write("trained\\n")
    time.sleep(0.5)
    return {}
kept("tiny", MlpClassifier(widths=(4,)), "d" * 64, train)
"""
    log = cache.parent / "log"
    both = [subprocess.Popen([sys.executable, "-c", code, str(log)]) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert log.read_text() == "trained\n"


def test_fingerprints_tell_recipes_and_data_apart():
    one = fingerprint({"lr": 1e-3, "steps": 5}, X)
    assert one == fingerprint({"steps": 5, "lr": 1e-3}, X.clone())
    others = [fingerprint({"lr": 1e-3, "steps": 6}, X), fingerprint({"lr": 1e-3, "steps": 5}, X + 1e-7),
              fingerprint({"lr": 1e-3, "steps": 5}, X.reshape(2, 3)), fingerprint({"lr": 1e-3, "steps": 5}, X.double())]
    assert len({one, *others}) == 5


def test_the_cache_lies_where_the_user_says(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("WORKBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "distillation-workbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "distillation-workbench"


def test_frozen_nets_are_in_eval_mode():
    net = frozen(MlpClassifier())
    assert not net.training and not any(p.requires_grad for p in net.parameters())
