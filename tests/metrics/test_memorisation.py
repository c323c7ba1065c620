"""Copies are found, new points are not, and distances are judged against held-out points."""

import pytest
import torch

from workbench.metrics.memorisation import closeness, copied, nearest

TRAINING = torch.tensor([[0.0, 0.0], [6.0, 0.0], [0.0, 8.0]])


def test_nearest_distances_come_in_order():
    assert nearest(torch.tensor([[3.0, 4.0], [6.0, 0.0]]), TRAINING, 3).tolist() == [[5, 5, 5], [0, 6, 10]]


def test_copies_by_hand():
    """At (1, 0) the nearest is 1 away and the next 5: a copy. At (2, 0), 2 and 4: not one."""
    x = torch.tensor([[1.0, 0.0], [2.0, 0.0], [6.0, 0.0], [3.0, 4.0]])
    assert copied(x, TRAINING) == 0.5
    assert copied(x, TRAINING, ratio=0.1) == 0.25


def test_copies_of_real_pictures_are_found_and_unseen_ones_are_not():
    generator = torch.Generator().manual_seed(0)
    training, fresh = torch.randn(2, 200, 1, 8, 8, generator=generator).unbind(0)
    noisy = training + 0.1 * torch.randn(training.shape, generator=generator)
    assert copied(noisy, training) == 1.0
    assert copied(fresh, training) == 0.0


def test_closeness_is_one_for_more_of_the_same_and_falls_with_copying():
    generator = torch.Generator().manual_seed(0)
    training, held_out, fresh = torch.randn(3, 500, 16, generator=generator).unbind(0)
    torch.testing.assert_close(closeness(fresh, held_out, training), torch.ones(3).double(), rtol=0.05, atol=0)
    halfway = (fresh + training) / 2
    assert closeness(halfway, held_out, training).max() < 0.85
    assert closeness(training, held_out, training).tolist() == [0, 0, 0]


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="dimensions cannot be compared"):
        copied(torch.zeros(4, 3), TRAINING)
