"""One thread of arithmetic a worker: two workers of two threads each keep two cores waiting for one another."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; children inherit it
