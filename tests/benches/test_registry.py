"""Benches by name; what is special about the ring and about the mixture in many dimensions."""

import importlib
import math

import pytest
import torch

from workbench.benches import BENCHES, load
from workbench.benches.gmm2d import Gmm2d


def test_names_load_and_a_misspelt_one_is_answered_with_the_nearest():
    assert isinstance(load("gmm2d", std=0.1), Gmm2d)
    for wrong, near in (("gmm2", "gmm2d"), ("gmd", "gmmd"), ("digit", "digits")):
        with pytest.raises(ValueError, match=f"did you mean '{near}'"):
            load(wrong)
    with pytest.raises(ValueError, match="known benches: gmm2d"):
        load("something else")


@pytest.mark.parametrize("name", ["gmm2d", "gmmd"])
def test_entries_name_their_bench(name):
    module, _, attribute = BENCHES[name].partition(":")
    assert getattr(importlib.import_module(module), attribute).name == name == load(name).name


def test_the_ring_has_opposite_modes_in_a_class():
    bench = load("gmm2d")
    teacher = bench.teacher()
    assert bench.sigma_data == pytest.approx(math.sqrt(0.5 + 0.08**2), abs=1e-12)
    assert torch.equal(teacher.labels, torch.arange(8) % 4) and bench.shape == (2,)
    for label in range(4):
        assert teacher.means[teacher.labels == label].mean(0).abs().max() < 1e-12
    assert load("gmm2d", conditional=True).num_classes == 4


def test_many_dimensions_keep_their_seeded_centres_apart():
    bench, other = load("gmmd"), load("gmmd", dim=64, means_seed=1)
    assert torch.equal(bench.teacher().means, load("gmmd").teacher().means)
    assert bench.shape == (32,) and other.shape == (64,)
    assert torch.pdist(bench.teacher().means).min() / 0.3 > 15  # stds between centres: no overlap
    with pytest.raises(ValueError, match="at least 4"):
        load("gmmd", modes=3).teacher()
