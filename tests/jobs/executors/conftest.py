"""Jobs laid out, and the places that run them: this machine, submitit, a real Slurm, a Ray cluster of two nodes."""

import os
import secrets
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.jobs.executors.slurm_here import missing, slurm_here
from workbench.jobs.executors import Executor, executor
from workbench.jobs.notebook import prepare
from workbench.jobs.work import lay

SLOW = "rfc3987_syntax"  # a grammar that jsonschema builds in 1.3 s of every process of Ray, where it is there
ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}  # on loopback, telling nobody


@pytest.fixture
def laid(notebook, tmp_path):
    """laid(*sources, name=..., **how) -> the folder of a queued job with these cells."""

    def lay_out(*sources: str, name: str = "tiny", **how) -> Path:
        folder = tmp_path / "jobs" / name
        folder.mkdir(parents=True)
        return lay(prepare(str(notebook(*sources, name=name))), folder, **how)

    return lay_out


@pytest.fixture(scope="session")
def slurm():
    """Whether there are GPUs on the Slurm of this machine; skips where its programs are missing."""
    if missing():
        pytest.skip(f"no real Slurm here, {', '.join(missing())} missing: apt-get install --no-install-recommends "
                    "slurmctld slurmd slurm-client munge")
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, slurm_here(Path(folder)) as gpus:
        yield gpus


@pytest.fixture(scope="session")
def quick_ray(tmp_path_factory):
    """Ray's processes start in half their time: they have 15 s to report, and two cores are shared."""
    folder = tmp_path_factory.mktemp("quick")
    (folder / f"{SLOW}.py").write_text("raise ImportError('left out')")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        yield


def started(start, times: int = 3):
    """What ``start`` returns; Ray gives up on itself where two cores have much else to do."""
    for _ in range(times - 1):
        with suppress(Exception):
            return start()
    return start()


@pytest.fixture(scope="session")
def ray_cluster(quick_ray):
    """The address of a Ray cluster of two nodes with two CPUs and two GPUs (that are none) each."""
    patch = pytest.MonkeyPatch()
    token = os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32)  # a process keeps the first that it was given
    for name, value in {**ALONE, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}.items():
        patch.setenv(name, value)
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 2, "num_gpus": 2, "object_store_memory": 80_000_000, "include_log_monitor": False}
    cluster = Cluster()
    started(lambda: cluster.add_node(**node, include_dashboard=False, no_monitor=True))
    started(lambda: cluster.add_node(**node))
    yield cluster.address
    cluster.shutdown()
    patch.undo()


@pytest.fixture(params=["local", "submitit", "slurm", "ray"])
def place(request):
    """place(jobs=..., gpus_per_job=..., ...) -> an executor, closed at the end of the test; ``place.kind`` names it."""
    options = {"local": {"gpus": ["0", "1", "2", "3"]}, "submitit": {"cluster": "local", "every": 1.0},
               "slurm": {"every": 1.0}, "ray": {}}[request.param]
    if request.param == "slurm":
        request.getfixturevalue("slurm")
    if request.param == "ray":
        options["address"] = request.getfixturevalue("ray_cluster")
    made: list[Executor] = []

    def make(**more) -> Executor:
        made.append(executor("slurm" if request.param == "submitit" else request.param, **options, **more))
        return made[-1]

    make.kind = request.param
    yield make
    for one in made:
        one.close()


def run(place: Executor, folders: list[Path], seconds: float = 90) -> list[int]:
    """Exit status of each job, submitted whenever there is room."""
    waiting, tasks = list(folders), {}
    end = time.monotonic() + seconds
    while waiting or any(task.ended() is None for task in tasks.values()):
        assert time.monotonic() < end, [*tasks]
        while waiting and place.room():
            folder = waiting.pop(0)
            tasks[folder] = place.submit(folder)
        time.sleep(0.05)
    return [tasks[folder].ended() for folder in folders]


def until(done, seconds: float = 60, every: float = 0.1) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(every)


def at_work(folder: Path) -> list[psutil.Process]:
    """Processes whose command line or environment names the folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = [*process.cmdline(), process.environ().get("WORKBENCH_RUN_FOLDER", "")]
            if process.pid != os.getpid() and any(str(folder) in word for word in words):
                found.append(process)
    return found
