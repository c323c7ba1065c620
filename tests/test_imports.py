"""The house rule: a floor imports only floors below it. Imports inside functions count too."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = (
    "files", "naming", "randomness", "types", "noise", "solvers", "nets", "teachers", "students", "methods", "passes",
    "train", "record", "metrics", "benches", "papers", "export", "cells", "jobs", "run", "cli", "__main__",
)
GROUND = {"files", "naming", "randomness", "types"}
FOREIGN = {"diffusers", "transformers", "peft"}
MAY_IMPORT_FOREIGN = ("from_diffusers", "from_transformers")  # modules, and packages, that begin so


def imported(source: str, module: str, package: bool) -> set[str]:
    """Full names of all that a module imports, relative imports resolved, ``from a import b`` as ``a.b``."""
    names = set()
    base = module.split(".") if package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = base[: len(base) - node.level + 1] if node.level else []
            whole = ".".join([*start, *([node.module] if node.module else [])])
            names |= {f"{whole}.{alias.name}" for alias in node.names}
    return names


def floor(name: str) -> str | None:
    """The floor a full name of this package lies on; None for ``workbench`` itself (version) and for other packages."""
    parts = name.split(".")
    if parts[0] != "workbench" or len(parts) < 2 or parts[1] == "__version__":
        return None
    return parts[1]


def breaks(module: str, names: set[str]) -> list[str]:
    """Sentences on the rules that a module with these imports breaks."""
    mine, found = floor(module), []
    for name in sorted(names):
        theirs = floor(name)
        if theirs is not None and theirs not in FLOORS:
            found.append(f"{module} imports {name}: {theirs} is no floor of the house")
        elif theirs is not None and mine is not None and mine != theirs:
            up = FLOORS.index(theirs) >= FLOORS.index(mine)
            if (up and not {mine, theirs} <= GROUND) or (mine in GROUND and theirs not in GROUND):
                found.append(f"{module} imports {name}: {theirs} is not below {mine}")
        top = name.split(".")[0]
        if top == "widgets" and mine != "cells" and not module.startswith("widgets"):
            found.append(f"{module} imports {name}: only cells feed widgets")
        if module.startswith("widgets") and top == "workbench":
            found.append(f"{module} imports {name}: widgets know nothing of the workbench")
        border = any(part.startswith(MAY_IMPORT_FOREIGN) for part in module.split("."))
        if top in FOREIGN and not (border or mine in ("students", "export")):
            found.append(f"{module} imports {name}: only {', '.join(MAY_IMPORT_FOREIGN)}, students and export may")
        if mine == "methods" and theirs in ("teachers", "students"):
            found.append(f"{module} imports {name}: a method knows no teacher and no student")
        parts = module.split(".")
        inside = mine == theirs == "methods" and name.split(".")[2:3] != ["parts"]
        if inside and len(parts) > 3 and name.rpartition(".")[0] != "workbench.methods":
            found.append(f"{module} imports {name}: methods share through methods/parts only")
    return found


def modules() -> list[Path]:
    return sorted([*ROOT.glob("workbench/**/*.py"), *ROOT.glob("widgets/**/*.py")])


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_point_down(path):
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    package = module.endswith(".__init__")
    module = module.removesuffix(".__init__")
    assert breaks(module, imported(path.read_text(encoding="utf-8"), module, package)) == []


@pytest.mark.parametrize(("module", "source"), [
    ("workbench.noise.process", "from workbench.nets import mlp"),
    ("workbench.noise.process", "def f():\n    import workbench.train.run"),
    ("workbench.types", "from workbench.noise import Edm"),
    ("workbench.methods.steps.a", "from workbench.methods.steps.b import B"),
    ("workbench.methods.steps.a", "from .b import B"),
    ("workbench.methods.steps.a", "from workbench.teachers import analytic"),
    ("workbench.train.run", "import widgets"),
    ("workbench.solvers.walk", "import diffusers"),
    ("workbench.nets.mlp", "from workbench.helpers import anything"),
    ("widgets.player", "from workbench.types import Loss"),
])
def test_the_rule_catches(module, source):
    assert breaks(module, imported(source, module, False))


@pytest.mark.parametrize(("module", "source"), [
    ("workbench.methods.steps.a", "from workbench.methods.parts.distances import Distance"),
    ("workbench.methods.parts.a", "from workbench.methods.parts.b import c"),
    ("workbench.types", "from workbench.randomness import Key"),
    ("workbench.cells.panel", "from widgets import player"),
    ("workbench.teachers.from_diffusers", "import diffusers"),
    ("workbench.cli", "from workbench import __version__"),
])
def test_the_rule_allows(module, source):
    assert breaks(module, imported(source, module, False)) == []


def test_every_floor_is_ordered():
    there = {path.name for path in (ROOT / "workbench").iterdir() if path.is_dir() and any(path.glob("*.py"))}
    there |= {path.stem for path in (ROOT / "workbench").glob("*.py")} - {"__init__"}
    assert there <= set(FLOORS)
    assert sys.version_info >= (3, 11)
