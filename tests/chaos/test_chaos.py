"""A short chaos: two kills for each scenario and every negative control. ``python -m tests.chaos`` kills 50 times."""

import pytest

from tests.chaos.compare import differences
from tests.chaos.harness import Chaos
from tests.chaos.life import FORGET
from tests.chaos.scenarios import scenarios
from workbench.benches.assemble import from_recipe
from workbench.record import session

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


def test_ctrl_c_before_an_event_loses_none(tmp_path, monkeypatch):
    told, reading = {**SCENARIOS["two micro-batches"].told, "steps": 12}, session.reading

    def interrupted(stepped, run):
        if stepped.step == 7:
            raise KeyboardInterrupt
        return reading(stepped, run)

    def train(folder):
        return list(session.session(from_recipe(told, folder), told, every=1, save_every=5))

    train(tmp_path / "reference")
    monkeypatch.setattr(session, "reading", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run")
    monkeypatch.undo()
    train(tmp_path / "run")
    assert differences(tmp_path / "reference", tmp_path / "run") == []


def test_a_killed_writer_leaves_no_scraps(chaos):
    scenario, folder = SCENARIOS["acts"], chaos.root / "scraps"
    assert chaos.finish(scenario, folder, die=("before", 6)) == -9
    assert list(folder.rglob(".*.part")) != []
    assert chaos.finish(scenario, folder) == 0
    assert list(folder.rglob(".*.part")) == []
    assert differences(chaos.reference(scenario), folder) == []
