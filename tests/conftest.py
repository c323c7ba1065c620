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


held = []  # the open files of a lock that the next test goes on with


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    """Let the quiet tests of one file have the machine one after the other: each waits long for the other workers."""
    item.goes_on = quiet(item) and nextitem is not None and quiet(nextitem) and item.path == nextitem.path


def quiet(item):
    return item.get_closest_marker("quiet") is not None


@pytest.fixture(autouse=True)
def turns(request):
    """Share the machine, or have it alone. Whoever waits to have it alone closes the gate to the next tests."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if fcntl is None or run is None:
        yield
        return
    if not held:
        place, alone = Path(tempfile.gettempdir()) / f"workbench-tests-{run}", quiet(request.node)
        held.extend(open(f"{place}.{name}", "a") for name in ("gate", "machine"))  # noqa: SIM115
        for file in held:
            fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(held[0], fcntl.LOCK_UN)
    yield
    if not request.node.goes_on:
        while held:
            held.pop().close()
