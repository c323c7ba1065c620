"""Sizes and forms that keep the code readable: what no linter counts for us."""

import ast
import dataclasses
import difflib
import itertools
import json
from pathlib import Path

import pytest

from workbench.types import Loss, Now, Update

ROOT = Path(__file__).resolve().parents[1]
CODE = sorted([*ROOT.glob("workbench/**/*.py"), *ROOT.glob("widgets/**/*.py"), *ROOT.glob("widgets/**/*.js")])
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
METHODS = sorted(path for path in ROOT.glob("workbench/methods/*/*.py")
                 if path.parent.name != "parts" and path.name != "__init__.py")
LINES, LOOP, FUNCTION, ALIKE = 250, 120, 50, 0.6
REVIEWED: set[frozenset[str]] = set()  # pairs of methods over ALIKE that were read side by side and stay two files


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_files_stay_short():
    lengths = {short(path): len(path.read_text(encoding="utf-8").splitlines()) for path in CODE}
    assert {name: length for name, length in lengths.items() if length > LINES} == {}
    assert len((ROOT / "workbench/train/loop.py").read_text().splitlines()) <= LOOP


def test_functions_stay_short():
    long = {}
    for path in CODE:
        if path.suffix == ".py":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    length = node.end_lineno - node.lineno + 1
                    long |= {f"{short(path)}:{node.name}": length} if length > FUNCTION else {}
    assert long == {}


def test_public_modules_say_what_they_are():
    assert [short(path) for path in CODE if path.suffix == ".py" and path.read_text().strip()
            and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))] == []


def test_no_drawer_for_odds_and_ends():
    assert [short(path) for path in CODE if path.stem in ("utils", "util", "helpers", "misc", "common")] == []


def test_the_loops_words_do_not_swell():
    """A new field needs two methods of the catalogue that use it, and then its name here."""
    assert [field.name for field in dataclasses.fields(Update)] == [
        "trains", "loss", "lr", "every", "average", "optimizer"]
    assert [field.name for field in dataclasses.fields(Now)] == ["step", "steps", "key", "device"]
    assert Loss._fields == ("total", "parts", "seen")


def lines_of_code(path: Path) -> list[str]:
    """The file as canonical source: no comments, no docstrings, one layout."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return [line.strip() for line in ast.unparse(tree).splitlines() if line and not line.startswith(("from", "import"))]


def likeness(a: list[str], b: list[str]) -> float:
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    return matcher.ratio() if matcher.quick_ratio() > ALIKE else 0.0


def test_methods_are_no_clones():
    """Over 60 % alike: one file with a field, or a part; else REVIEWED names the pair."""
    code = {path: lines_of_code(path) for path in METHODS}
    pairs = itertools.combinations(METHODS, 2)
    near = {frozenset((short(a), short(b))): round(likeness(code[a], code[b]), 2) for a, b in pairs}
    assert {tuple(sorted(pair)): how for pair, how in near.items() if how > ALIKE and pair not in REVIEWED} == {}
    assert {tuple(sorted(pair)) for pair in REVIEWED if near.get(pair, 0) <= ALIKE} == set()


def test_likeness_sees_a_clone(tmp_path):
    (tmp_path / "a.py").write_text('"""One."""\nx = 1\ndef f(a):\n    """Say."""\n    return a + x\n')
    (tmp_path / "b.py").write_text('"""Two."""\nx = 1  # a comment\ndef f(a):\n    return a + x\n')
    (tmp_path / "c.py").write_text("for i in range(3):\n    print(i)\n")
    a, b, c = (lines_of_code(tmp_path / f"{name}.py") for name in "abc")
    assert likeness(a, b) == 1 and likeness(a, c) == 0


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_programs_with_named_inputs(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    sources = ["".join(cell["source"]) for cell in code]
    assert sum("parameters" in cell["metadata"].get("tags", []) for cell in code) == 1
    assert len(code) <= 12 and max(len(source.splitlines()) for source in sources) <= 15
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    assert not [node for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_there_are_notebooks():
    assert "quickstart" in {path.stem for path in NOTEBOOKS}
