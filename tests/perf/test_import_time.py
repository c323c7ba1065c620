"""What a person waits for before anything happens: the best of several runs, so that a busy machine does not decide."""

import subprocess
import sys
import time

RUNS = 5
MEASURE = "import time; start = time.perf_counter(); import workbench; print(time.perf_counter() - start)"


def python(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True, timeout=120).stdout


def test_import_is_light():
    assert min(float(python("-c", MEASURE)) for _ in range(RUNS)) < 0.3


def test_import_brings_nothing_heavy():
    heavy = "{'torch', 'numpy', 'accelerate', 'diffusers', 'transformers', 'peft', 'matplotlib', 'IPython'}"
    assert python("-c", f"import sys, workbench; print(sorted({heavy} & set(sys.modules)))").strip() == "[]"
    assert python("-c", f"import sys, workbench.cli; print(sorted({heavy} & set(sys.modules)))").strip() == "[]"


def test_help_comes_at_once():
    waits = []
    for _ in range(RUNS):
        start = time.perf_counter()
        assert "verify" in python("-m", "workbench", "--help")
        waits.append(time.perf_counter() - start)
    assert min(waits) < 0.5
