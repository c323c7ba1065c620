import json
import subprocess
import sys
import time
from collections import Counter

import pytest

from workbench.papers import catalogue
from workbench.papers.record import read


def test_the_149_papers_and_their_roots():
    tables = {slug: catalogue.table(slug) for slug in catalogue.slugs()}
    papers = [data for data in tables.values() if not data.get("root")]
    roots = sorted(slug for slug, data in tables.items() if data.get("root"))
    assert len(papers) == 149
    assert {"consistency-distillation", "logit-kd", "progressive-distillation", "scm"} <= set(roots)
    assert Counter(data["family"] for data in papers) == {
        "trajectory": 33, "distribution": 33, "knowledge": 36, "language": 22, "applied": 25}


def test_every_record_is_valid_and_no_paper_is_told_twice():
    records = {slug: read(catalogue.find(slug)) for slug in catalogue.slugs()}
    numbers = [record.arxiv for record in records.values() if record.arxiv]
    assert len(numbers) == len(set(numbers))
    titles = [record.title.casefold() for record in records.values()]
    assert len(titles) == len(set(titles))


def test_listing_has_exactly_these_keys_and_is_quick():
    catalogue.listing()  # the files are in the page cache
    started = time.perf_counter()
    rows = catalogue.listing()
    assert time.perf_counter() - started < 0.3
    assert all(list(row) == ["slug", "title", "family", "kind", "status"] for row in rows)
    assert {row["status"] for row in rows} <= set(catalogue.STATUSES)
    assert {row["family"] for row in catalogue.listing("applied")} == {"applied"}


def test_listing_needs_neither_torch_nor_pydantic():
    code = ("import sys; from workbench.papers.commands import papers_listing; papers_listing(); papers_listing('icm');"
            "sys.exit(bool({'torch', 'pydantic', 'scipy', 'numpy'} & set(sys.modules)))")
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_unknown_names_come_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'dmd2'"):
        catalogue.find("dmd-2")
    with pytest.raises(ValueError, match="did you mean 'knowledge'"):
        catalogue.listing("knowlege")
    with pytest.raises(ValueError, match="unknown paper '../../etc/passwd'"):
        catalogue.find("../../etc/passwd")


def write(folder, claims, identities, record=None):
    found = {"record": record or catalogue.fingerprint(catalogue.table("runs", folder)),
             "claims": [{"held": held} for held in claims], "identities": [{"held": held} for held in identities]}
    path = catalogue.evidence_path("runs", folder)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found), encoding="utf-8")


@pytest.mark.parametrize("claims, identities, expected", [
    ([True, True], [True], "verified"), ([True, False], [True], "held-in-part"),
    ([True, True], [False], "held-in-part"),
    ([False, False], [True], "held-in-part"), ([False, False], [False], "present"), ([], [True], "held-in-part"),
    ([], [], "present"),
])
def test_statuses_follow_the_evidence(folder, claims, identities, expected):
    write(folder, claims, identities)
    assert {row["slug"]: row["status"] for row in catalogue.listing(folder=folder)} == {
        "runs": expected, "waits": "missing"}


def test_without_evidence_or_with_another_record_s_a_paper_is_present(folder):
    def status():
        return catalogue.status("runs", catalogue.table("runs", folder), folder)

    assert status() == "present"
    write(folder, [True, True], [True])
    assert status() == "verified"
    path = folder / "runs.toml"
    path.write_text(path.read_text().replace("seeds = 3", "seeds = 3\nheld = true", 1).replace("beats an", "passes an"))
    assert status() == "verified"  # words may be edited
    path.write_text(path.read_text().replace("average = 0.95", "average = 0.9"))
    assert status() == "present"  # an arm may not


def test_a_method_that_is_not_written_is_missing(folder):
    path = folder / "runs.toml"
    path.write_text(path.read_text().replace("ConsistencyDistillation", "ConsistencyDistil"))
    assert catalogue.status("runs", catalogue.table("runs", folder), folder) == "missing"
