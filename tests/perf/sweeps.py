"""What a sweep costs beside its jobs, and a job beside bare nbclient: ``python -m tests.perf.sweeps [--jobs 24]``.

Throughput: the sum of the lives of the jobs' processes over two, to the sweep's own time on two slots; 1 is ideal.
Overhead: the life of ``python -m workbench.run`` less that of a process that executes the same notebook by nbclient,
alternating. The notebook sleeps, so that both slots are free to do so.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import nbformat

from workbench.jobs.axes import Axes
from workbench.jobs.executors.local import Local, Process
from workbench.jobs.notebook import prepare
from workbench.jobs.sweep import Sweep
from workbench.jobs.work import lay

BARE = """import sys
sys.modules["rfc3987_syntax"] = None  # as ours does: an import of 1.2 s that is there or not
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[1])"""


class Timed(Local):
    """Local processes, and when each began and ended."""

    lives: list[list[float]]

    def submit(self, folder: Path) -> Process:
        life = [time.perf_counter(), 0.0]
        task = super().submit(folder)
        self.lives = [*getattr(self, "lives", []), life]
        threading.Thread(target=lambda: (task.popen.wait(), life.__setitem__(1, time.perf_counter()))).start()
        return task


def written(folder: Path, seconds: float) -> Path:
    cells = [nbformat.v4.new_code_cell("seed: int = 0", metadata={"tags": ["parameters"]}),
             nbformat.v4.new_code_cell(f"import time\ntime.sleep({seconds})")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "sleeps.ipynb")
    return folder / "sleeps.ipynb"


def throughput(folder: Path, jobs: int, seconds: float = 2.0) -> float:
    """Share of the ideal that a sweep of ``jobs`` on two slots reaches."""
    found = Axes(seeds=jobs).jobs(str(written(folder, seconds)), {}, {})
    executor, began = Timed(jobs=2), time.perf_counter()
    assert Sweep(found, folder / "sweep").run(executor) == "succeeded"
    took = time.perf_counter() - began
    return sum(end - start for start, end in executor.lives) / 2 / took


def life(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return time.perf_counter() - began


def lives(folder: Path, pairs: int) -> tuple[float, float]:
    """Seconds of a job and of bare nbclient: the least of so many, for noise only adds."""
    path = written(folder, 0.0)
    ours, bare = [], []
    for pair in range(pairs):
        (folder / f"job-{pair}").mkdir()
        ours.append(life("-m", "workbench.run", str(lay(prepare(str(path)), folder / f"job-{pair}"))))
        bare.append(life("-c", BARE, str(path)))
    return min(ours), min(bare)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=24)
    parser.add_argument("--pairs", type=int, default=9)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        share = throughput(Path(folder), asked.jobs)
        ours, bare = lives(Path(folder), asked.pairs)
    print(json.dumps({"jobs": asked.jobs, "throughput": round(share, 4), "overhead_seconds": round(ours - bare, 3),
                      "seconds": {"ours": round(ours, 3), "bare": round(bare, 3)}}))


if __name__ == "__main__":
    main()
