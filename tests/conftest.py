"""Threads for the test processes."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers and threads multiply; set before torch is imported, and passed on to processes that tests start.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
