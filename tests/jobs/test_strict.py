"""Whatever is given for a notebook's parameters is refused with a sentence or arrives equal; nothing of it is executed.

1,000 sets made by hypothesis go through the same check as the command line's; what is accepted is injected by papermill
and executed in one real kernel. A canary would be left behind by any payload that ran.
"""

import ast
import json
import math
import subprocess
import sys
import time

import nbformat
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from jupyter_client.manager import start_new_kernel
from papermill.parameterize import parameterize_notebook

from workbench.jobs.engine import register
from workbench.jobs.notebook import prepare
from workbench.jobs.parameters import BadParameter

PARAMETERS = """\
steps: int = 3  # in [1, 10000]
rate: float = 0.5
flag: bool = False
name: str = "a"
words: list = []
pair: tuple = (1, 2)
table: dict = {}
limit: float | None = None
mode: Literal["fast", "slow"] = "fast"
anything = None"""
NAMES = ["steps", "rate", "flag", "name", "words", "pair", "table", "limit", "mode", "anything"]
CANARY = "canary-was-here"
PAYLOADS = [f"__import__('pathlib').Path('{CANARY}').touch()", f'";import pathlib;pathlib.Path("{CANARY}").touch();"',
            f"x\nimport pathlib; pathlib.Path('{CANARY}').touch()", f"!touch {CANARY}", f"%%bash\ntouch {CANARY}",
            f"{{__import__('os').system('touch {CANARY}')}}", f"$(touch {CANARY})", "\\", '"""', "'''", "\\N{BULLET}",
            "\x00", "\u2028", "\ud800", "名前", "𝓃", "\r\n", "# in [1, 2]", f"os.system('touch {CANARY}')"]
text = st.one_of(st.sampled_from(PAYLOADS), st.text(max_size=30))
leaf = st.one_of(st.none(), st.booleans(), st.integers(), st.integers(-(10**400), 10**400), st.floats(), text,
                 st.binary(max_size=4), st.just(...), st.complex_numbers(), st.just(object), st.sampled_from(["fast"]))
value = st.recursive(leaf, lambda inner: st.one_of(
    st.lists(inner, max_size=4), st.tuples(inner, inner),
    st.dictionaries(st.one_of(text, st.integers()), inner, max_size=3),
    st.sets(st.integers(), max_size=3)), max_leaves=8)
fitting = st.fixed_dictionaries({}, optional={
    "steps": st.integers(1, 10000), "rate": st.floats(allow_nan=False, allow_infinity=False), "flag": st.booleans(),
    "name": text, "words": st.lists(text, max_size=3), "pair": st.tuples(st.integers(-9, 9), text),
    "table": st.dictionaries(text, st.one_of(st.integers(-9, 9), text), max_size=3), "mode": st.just("slow")})
names = st.one_of(st.sampled_from(NAMES), st.sampled_from(NAMES), text)
sets = st.one_of(fitting, st.dictionaries(names, value, max_size=3),
                 st.dictionaries(st.sampled_from(NAMES), value, max_size=2))
typed = st.one_of(st.just({}), st.just({}), st.dictionaries(names, text, max_size=2))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    cell = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    where = tmp_path_factory.mktemp("strict") / "strict.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), where)
    return where


def injected(path, job) -> str:
    """Source of the cell that papermill puts in; every statement of it assigns a literal."""
    register()
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    notebook.metadata["papermill"] = {}
    chosen = {name: job.parameters[name] for name in job.given}
    source = parameterize_notebook(notebook, chosen, kernel_name="python3", language="python").cells[1].source
    for statement in ast.parse(source).body:
        assert isinstance(statement, ast.Assign), source
        ast.literal_eval(statement.value)
    return source


def test_a_thousand_sets_are_refused_or_arrive(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    accepted, refused = [], []

    @seed(0)
    @settings(max_examples=1000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(sets, typed)
    def each(values, texts):
        try:
            job = prepare(str(path), given=values, typed=texts)
        except BadParameter as error:
            said = str(error)
            assert said and "Traceback" not in said
            refused.append(said)
            return
        accepted.append((injected(path, job), {name: job.parameters[name] for name in job.given}))

    each()
    print(f"{len(accepted)} accepted, {len(refused)} refused")
    assert len(accepted) + len(refused) >= 1000 and len(accepted) > 200 and len(refused) > 200
    assert arrived(accepted, tmp_path) == []
    assert not list(tmp_path.rglob(f"*{CANARY}*"))


def arrived(accepted, folder) -> list[str]:
    """What did not come out of a real kernel as it went in."""
    wrong = []
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(folder))
    try:
        for source, values in accepted:
            ask = "".join(f"\nprint(ascii({name}))" for name in values)
            said = []
            reply = client.execute_interactive(source + ask, output_hook=said.append, timeout=30)
            lines = "".join(one["content"].get("text", "") for one in said).splitlines()
            found = [ast.literal_eval(line) for line in lines] if reply["content"]["status"] == "ok" else None
            if found != list(values.values()) or list(map(type, found)) != list(map(type, values.values())):
                wrong.append(f"{values!r} came out as {found!r}")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return wrong


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 2**63, "\ud800", [math.nan], {"a": {1: 2}}, [(1, 2)],
                                 b"a", {1, 2}, object()])
def test_values_that_would_not_come_back_are_refused(path, bad):
    with pytest.raises(BadParameter, match="anything"):
        prepare(str(path), given={"anything": bad})


@pytest.mark.parametrize(("arguments", "says"), [
    (["-p", "stpes=3"], "did you mean 'steps'"),
    (["-p", "steps=many"], "takes an int"),
    (["-p", "lr=-1"], "must lie in (0, inf)"),
    (["-p", "method=ctmm"], "did you mean 'ctm'"),
    (["-p", "a b=1"], "NAME=VALUE"),
])
def test_refusal_is_quick_and_starts_nothing(arguments, says, tmp_path):
    """Under 1.5 s with the interpreter's own start, without torch or a kernel's client."""
    code = ("import sys\nfrom workbench.cli import main\n"
            f"sys.argv = ['workbench', 'run', 'train', *{arguments!r}]\n"
            "try:\n    main()\nexcept SystemExit as end:\n"
            "    print(end.code, sorted({'torch', 'papermill', 'jupyter_client'} & set(sys.modules)))")
    took, done = math.inf, None
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
        took = min(took, time.perf_counter() - began)
    assert says in done.stderr and done.stdout.strip() == "2 []", done
    assert took < 1.5 and not list(tmp_path.iterdir())


def test_arguments_as_json_round_trip(path):
    """What run.json keeps is what is injected."""
    job = prepare(str(path), given={"table": {"a": [1, 2.5, None, True]}, "pair": [1, "b"]})
    assert job.parameters["pair"] == (1, "b")
    assert json.loads(json.dumps(job.parameters["table"])) == job.parameters["table"]
