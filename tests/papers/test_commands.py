import json

import pytest

from workbench.papers import catalogue, commands
from workbench.papers.commands import papers_listing


def test_json_is_the_listing():
    rows = json.loads(papers_listing(as_json=True))
    assert rows == catalogue.listing()
    assert {row["family"] for row in json.loads(papers_listing(family="language", as_json=True))} == {"language"}


def test_lines_name_every_paper_and_count_them():
    lines = papers_listing().splitlines()
    assert len(lines) == len(catalogue.slugs()) + 1
    assert lines[-1].startswith("149 papers and ")
    assert all(catalogue.table(slug)["title"] in line for slug, line in zip(catalogue.slugs(), lines, strict=False))


def test_one_paper_in_full(folder):
    text = papers_listing("dmd2")
    assert "Improved Distribution Matching Distillation" in text and "arXiv 2405.14867" in text
    assert json.loads(papers_listing("dmd2", as_json=True))["title"] in text
    full = papers_listing("runs", folder=folder)
    assert "departs: the boundary sits at zero" in full and "[not measured]" in full


def test_unknown_names():
    with pytest.raises(ValueError, match="did you mean 'dmd2'"):
        papers_listing("dmd-2")
    with pytest.raises(ValueError, match="did you mean 'applied'"):
        papers_listing(family="aplied")


def test_an_interrupt_ends_with_130(monkeypatch, capsys):
    def interrupted(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr("workbench.papers.verify.verify", interrupted)
    assert commands.verify_command("icm") == 130
    assert "no evidence was written" in capsys.readouterr().err
