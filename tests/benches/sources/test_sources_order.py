"""The order of an epoch: one to one, another for every key, fair over keys, and of any length at once."""

import numpy as np
import pytest

from workbench.benches.sources.order import Permutation


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 16, 17, 63, 64, 65, 1000, 4097, 100_003])
def test_it_is_a_permutation(n):
    found = Permutation(n, 12345)(np.arange(n))
    assert np.array_equal(np.sort(found), np.arange(n))


def test_a_place_does_not_depend_on_who_else_is_asked():
    order, places = Permutation(1000, 3), np.array([999, 0, 500, 0])
    assert order(places).tolist() == [int(order(np.array([place]))[0]) for place in places]


def test_other_numbers_give_other_orders_and_equal_ones_the_same():
    orders = {tuple(Permutation(50, number)(np.arange(50))) for number in range(200)}
    assert len(orders) == 200
    assert np.array_equal(Permutation(50, 2**62)(np.arange(50)), Permutation(50, 2**62)(np.arange(50)))


@pytest.mark.parametrize("n", [2, 5, 10, 24])
def test_every_item_comes_to_every_place_equally_often(n):
    """Counts over 2,000 keys: chi-squared of n x n cells with (n - 1)^2 degrees, within five standard deviations."""
    keys, counts = 2000, np.zeros((n, n))
    for key in range(keys):
        counts[np.arange(n), Permutation(n, key)(np.arange(n))] += 1
    chi, free = ((counts - keys / n) ** 2 / (keys / n)).sum(), (n - 1) ** 2
    assert abs(chi - free) < 5 * np.sqrt(2 * free)


def test_neighbours_are_parted():
    """Of 4,096 places about one pair of neighbours stays neighbours; the identity keeps all."""
    kept = [(np.abs(np.diff(Permutation(4096, key)(np.arange(4096)))) == 1).sum() for key in range(50)]
    assert 0.5 < np.mean(kept) < 4  # 2 expected
    assert abs(np.mean([np.corrcoef(np.arange(4096), Permutation(4096, key)(np.arange(4096)))[0, 1]
                        for key in range(50)])) < 0.01


def test_a_set_of_any_size_costs_nothing():
    n = 10**12 + 39
    found = Permutation(n, 1)(np.arange(10_000))
    assert found.min() >= 0 and found.max() < n and len(np.unique(found)) == 10_000


def test_no_places_at_all():
    with pytest.raises(ValueError, match="at least one place"):
        Permutation(0, 1)
