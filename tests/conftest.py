"""One thread of arithmetic a worker, and tests that measure time alone on the machine.

Two workers of two threads each keep two cores waiting for one another. A test marked ``quiet`` waits until the other
workers are between two tests, and they wait for it.
"""

import os
import tempfile
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; children inherit it

try:
    import fcntl
except ImportError:  # no such locks on Windows: there the tests that measure are as noisy as their surroundings
    fcntl = None


@pytest.fixture(autouse=True)
def turns(request):
    """Share the machine, or have it alone. Whoever waits to have it alone closes the gate to the next tests."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if fcntl is None or run is None:
        yield
        return
    place = Path(tempfile.gettempdir()) / f"workbench-tests-{run}"
    with open(f"{place}.gate", "a") as gate, open(f"{place}.machine", "a") as machine:
        quiet = request.node.get_closest_marker("quiet")
        fcntl.flock(gate, fcntl.LOCK_EX if quiet else fcntl.LOCK_SH)
        fcntl.flock(machine, fcntl.LOCK_EX if quiet else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield
