"""Jobs as tasks of a Ray cluster, over all its machines, which see the job's folder under the same path."""

from __future__ import annotations

import ipaddress
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.jobs.executors import GRACE, LOG, command
from workbench.jobs.executors.local import Process
from workbench.jobs.folder import load

TOKEN_SINCE = (2, 52)  # the version of Ray that can ask for a token
OWN_STORE = 100_000_000  # bytes of shared memory of a Ray that we start; jobs pass no data through it


class Ray:
    """At most ``jobs`` tasks, each with ``gpus_per_job`` GPUs and ``cpus_per_job`` CPUs (by default such that all run).

    ``address`` None starts a Ray in this machine that listens on loopback alone; ``auto`` or ``host:port`` joins one.
    ImportError without Ray; ValueError for a cluster on a network that asks for no token, and where no machine of the
    cluster has what a job asks for.
    """

    def __init__(self, *, jobs: int, gpus_per_job: int = 0, address: str | None = None,
                 cpus_per_job: float | None = None, command: Callable[[Path], list[str]] = command) -> None:
        self.ray, self.jobs, self.command = imported(alone=address is None), jobs, command
        if address is not None and address != "auto":
            guard(address, self.ray.__version__)
        self.own = not self.ray.is_initialized()
        try:
            if self.own:
                connect(self.ray, address)
            if address is not None:
                guard(self.ray.get_runtime_context().gcs_address, self.ray.__version__)
            nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
            cpus = share([node.get("CPU", 0) for node in nodes], jobs) if cpus_per_job is None else cpus_per_job
            if not any(node.get("GPU", 0) >= gpus_per_job and node.get("CPU", 0) >= cpus for node in nodes):
                raise ValueError(f"a job asks for {gpus_per_job} GPUs and {cpus:g} CPUs and no machine of the Ray "
                                 "cluster has them: lower --gpus-per-job, or join another cluster")
        except BaseException:
            self.leave()
            raise
        self.attempt = self.ray.remote(attempt).options(
            num_gpus=gpus_per_job, num_cpus=cpus, max_retries=0, scheduling_strategy="SPREAD")
        self.tasks: list[Attempt] = []

    def room(self) -> bool:
        self.tasks = [task for task in self.tasks if task.ended() is None]
        return len(self.tasks) < self.jobs

    def submit(self, folder: Path) -> Attempt:
        if not self.room():
            raise RuntimeError(f"all {self.jobs} slots are taken: ask room() first")
        names = ["OMP_NUM_THREADS", *(load(folder).get("secrets") or ())]  # Ray sets the first to its own taste
        variables = {name: os.environ.get(name) for name in names}
        result = self.attempt.remote(self.command(folder), str(folder.resolve()), os.getcwd(), variables)
        task = Attempt(self.ray, folder, result)
        self.tasks.append(task)
        return task

    def attach(self, folder: Path) -> None:
        """Nothing: a job ends with the scheduler that started it."""

    def close(self) -> None:
        for task in self.tasks:
            task.ask()
        for task in self.tasks:
            task.cancel()
        self.leave()

    def leave(self) -> None:
        if self.own:
            self.ray.shutdown()


class Attempt:
    """A job in Ray's hands."""

    def __init__(self, ray: Any, folder: Path, result: Any) -> None:
        self.ray, self.folder, self.result = ray, folder, result
        self.code: int | None = None
        self.asked = False

    def ended(self) -> int | None:
        if self.code is None and self.ray.wait([self.result], timeout=0)[0]:
            self.code = self.outcome()
        return self.code

    def outcome(self) -> int:
        errors = self.ray.exceptions
        try:
            return self.ray.get(self.result)
        except errors.TaskCancelledError:
            return 128 + signal.SIGTERM
        except errors.RayTaskError as error:
            with open(self.folder / LOG, "a", encoding="utf-8") as log:
                log.write(f"{error}\n")
            return 1
        except errors.RayError:
            return -signal.SIGKILL

    def ask(self) -> None:
        if not self.asked and self.ended() is None:
            self.asked = True
            self.ray.cancel(self.result)

    def cancel(self) -> None:
        self.ask()
        if not self.ray.wait([self.result], timeout=2 * GRACE)[0]:
            self.ray.cancel(self.result, force=True)  # the job sees that its parent is gone, and ends
            self.ray.wait([self.result], timeout=GRACE)
        self.code = -signal.SIGKILL if self.ended() is None else self.code


def attempt(command: list[str], folder: str, directory: str, variables: dict[str, str | None]) -> int:
    """Run the job of a folder on the machine that Ray chose, and return its exit status."""
    import ray

    env = {name: value for name, value in {**os.environ, **variables}.items() if value is not None}
    process = Process(command, Path(folder), [str(gpu) for gpu in ray.get_gpu_ids()], env=env,
                      cwd=directory if Path(directory).is_dir() else None)
    try:
        while process.ended() is None:
            time.sleep(0.05)
    except KeyboardInterrupt:  # what a task sees of ray.cancel
        process.cancel()
    return process.popen.returncode


def imported(alone: bool) -> Any:
    """Ray, told to send no telemetry, and to keep to loopback where it is to be ``alone``."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if alone:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # so it is called: the address is 127.0.0.1
        if not (Path.home() / ".ray" / "auth_token").exists() and "RAY_AUTH_TOKEN_PATH" not in os.environ:
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # Ray would write one to that file
    try:
        import ray
    except ImportError:
        raise ImportError('--on ray needs Ray: pip install "distillation-workbench[ray]"') from None
    return ray


def connect(ray: Any, address: str | None) -> None:
    """Join the cluster, or start one here; our own signal handlers stay. RuntimeError where Ray cannot."""
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM) if main else None
    own = {"include_dashboard": False, "object_store_memory": OWN_STORE} if address is None else {}
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level="ERROR", **own)
    except Exception as error:
        raise RuntimeError(f"Ray {'does not start' if address is None else f'at {address} does not answer'}: "
                           f"{str(error).splitlines()[0]}") from error
    finally:
        if main:
            signal.signal(signal.SIGTERM, handler)


def guard(address: str, version: str) -> None:
    """ValueError for an address that other machines reach, unless the cluster's members show one another a token."""
    host = address.rpartition("://")[2].rpartition(":")[0].strip("[]") or address
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if loopback:
        return
    if tuple(int(part) for part in version.split(".")[:2]) < TOKEN_SINCE:
        raise ValueError(f"the Ray cluster at {address} is on a network and Ray {version} cannot ask for a token: "
                         "pip install 'ray>=2.52' on every machine")
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        raise ValueError(f"the Ray cluster at {address} is on a network where anybody could run code on it: start it "
                         "with RAY_AUTH_MODE=token (ray get-auth-token --generate makes one) and set that here too")


def share(cpus: list[float], jobs: int) -> float:
    """The most CPUs a job may ask for so that ``jobs`` of them run at once on machines with so many each."""
    most = int(sum(cpus) // jobs)
    whole = [each for each in range(most, 0, -1) if sum(int(here // each) for here in cpus) >= jobs]
    return whole[0] if whole else 0.5 ** next((k for k in range(1, 12) if sum(cpus) * 2**k >= jobs), 12)
