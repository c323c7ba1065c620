"""One thread of arithmetic for each worker: two workers with two threads each keep two cores waiting for one another."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; children inherit it
