"""README's commands are the ones we run, and its example of a method works as printed."""

import ast
import inspect
import re
import subprocess
import tomllib
from pathlib import Path

from workbench import cells
from workbench.benches import load
from workbench.benches.assemble import born
from workbench.train.loop import train

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(name: str) -> list[str]:
    """The lines of the command between the markers of this name."""
    found = re.search(rf"<!-- {name}:begin -->\n```bash\n(.*?)```\n<!-- {name}:end -->", README, re.DOTALL)
    return found[1].splitlines()


def test_both_commands_are_whole():
    quickstart, test = block("quickstart"), block("test")
    assert quickstart[-1] == "workbench run quickstart" and test[-1] == "python -m pytest -n 2 --dist loadfile"
    assert quickstart[:2] == test[:2] and quickstart[0].startswith("python3 -m venv")
    assert (quickstart[2], test[2]) == ("pip install -e .", 'pip install -e ".[test]"')


def test_torch_is_the_one_that_the_project_allows():
    allowed = next(one for one in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
                   if one.startswith("torch"))
    assert allowed == "torch>=2.6,<2.14" and "torch==2.13.0" in block("test")[1]
    assert "pytorch[version='>=2.6,<2.14',build='cpu*']" in (ROOT / "binder" / "environment.yml").read_text()


def test_ci_runs_that_command():
    script = (ROOT / ".ci" / "run").read_text()
    assert subprocess.run(["bash", "-n", ROOT / ".ci" / "run"]).returncode == 0
    extract = next(line for line in script.splitlines() if line.startswith("command=$("))
    shell = ["bash", "-c", f'{extract}; printf "%s\\n" "$command"']
    said = subprocess.run(shell, cwd=ROOT, capture_output=True, text=True)
    assert said.stdout.splitlines() == block("test")


def test_the_example_method_trains(tmp_path, monkeypatch):
    source = next(text for text in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "class Imitation" in text)
    (tmp_path / "imitation.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    from imitation import Imitation

    run = born(load("gmm2d"), Imitation(), seed=0, steps=30, batch_size=256)
    losses = [float(stepped.taken[0].loss.total) for stepped in train(run)]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_the_example_of_cells_calls_what_there_is():
    source = next(text for text in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "cells as w" in text)
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)
             and ast.unparse(node.func).startswith("w.")]
    assert len(calls) == 6
    for call in calls:
        named = {keyword.arg: keyword.value for keyword in call.keywords}
        inspect.signature(getattr(cells, call.func.attr)).bind(*call.args, **named)
