import json

import pytest

from workbench.papers import catalogue, table
from workbench.papers.table import all_updated, markdown, markers, updated

BEGIN, END = markers("papers")


def test_readme_is_up_to_date():
    readme = table.README.read_text(encoding="utf-8")
    assert all_updated(readme) == readme, "run: python -m workbench.papers.table"


def evidence(folder, **changes):
    claim = {"says": "a <b> | c", "bench": "gmm2d", "measure": "energy_distance", "expect": "on < off", "seeds": [0, 1],
             "on": {"figures": {"energy_distance": [0.1, 0.3]}}, "off": {"figures": {"energy_distance": [0.5, 0.7]}},
             "effect": -0.4, "low": -0.5, "high": -0.3, "held": True, **changes}
    identity = {"says": "the boundary holds", "error": 2e-7, "bound": 1e-6, "held": True}
    path = catalogue.evidence_path("runs", folder)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"record": catalogue.fingerprint(catalogue.table("runs", folder)), "claims": [claim],
                                "identities": [identity]}), encoding="utf-8")


def test_counts_and_figures_come_from_the_evidence(folder):
    assert "not measured yet" in markdown(folder)
    evidence(folder)
    text = markdown(folder)
    assert "| trajectory | 1 | 0 | 0 | 1 |" in text
    assert ("a &lt;b> \\| c (gmm2d, energy distance, 2 seeds): 0.2 against 0.6, difference -0.4 [-0.5, -0.3]<br>"
            "the boundary holds: error 2e-07 (bound 1e-06) |") in text
    assert "`waits`" not in text  # only those that run are listed


def test_what_did_not_hold_is_said(folder):
    evidence(folder, held=False, on={"figures": {"energy_distance": [None, 0.3]}}, effect=None, low=None, high=None)
    assert "diverged against 0.6" in markdown(folder) and "**not held**" in markdown(folder)
    assert "| trajectory | 1 | 0 | 1 | 0 |" in markdown(folder)


def test_only_what_is_between_the_markers_changes(tmp_path, capsys):
    readme, old = tmp_path / "README.md", "above\n"
    for name in ("papers", "compare:gmm2d", "compare:digits"):
        begin, end = markers(name)
        old += f"{begin}\nold\n{end}\nbelow {name}\n"
    readme.write_text(old, encoding="utf-8")
    assert table.main(readme) == 0
    text = readme.read_text()
    assert text.startswith(f"above\n{BEGIN}\n{markdown()}\n{END}\nbelow papers\n{markers('compare:gmm2d')[0]}\n")
    assert text.endswith(f"\n{markers('compare:digits')[1]}\nbelow compare:digits\n") and "old\n" not in text
    assert table.main(readme) == 0 and "up to date" in capsys.readouterr().out


def test_a_table_whose_markers_are_missing_is_named(tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    assert table.main(readme) == 1 and "compare:gmm2d:begin" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", BEGIN, END + BEGIN, BEGIN + END + BEGIN + END])
def test_a_readme_without_its_markers_is_refused(text):
    with pytest.raises(ValueError, match="needs one line"):
        updated(text, "table")
