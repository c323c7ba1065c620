"""A short chaos: two kills for each scenario and every negative control. ``python -m tests.chaos`` kills 50 times."""

import pytest

from tests.chaos.compare import differences
from tests.chaos.harness import Chaos
from tests.chaos.life import FORGET
from tests.chaos.scenarios import scenarios

pytestmark = pytest.mark.chaos
SCENARIOS = scenarios()


@pytest.fixture(scope="module")
def chaos(tmp_path_factory):
    return Chaos(tmp_path_factory.mktemp("chaos"), seed=1)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_killed_run_ends_with_the_same_bits(chaos, name):
    outcome = chaos.torment(SCENARIOS[name], kills=2)
    assert outcome.killed == 2
    assert outcome.said == []  # bits, counters, each event once, at most one checkpoint interval redone


@pytest.mark.parametrize("forgotten", FORGET)
def test_a_restore_that_forgets_is_found(chaos, forgotten):
    assert chaos.control(SCENARIOS["two clocks"], forgotten) != []


def test_a_killed_writer_leaves_no_scraps(chaos):
    scenario, folder = SCENARIOS["acts"], chaos.root / "scraps"
    assert chaos.finish(scenario, folder, die=("before", 6)) == -9
    assert list(folder.rglob(".*.part")) != []
    assert chaos.finish(scenario, folder) == 0
    assert list(folder.rglob(".*.part")) == []
    assert differences(chaos.reference(scenario), folder) == []
