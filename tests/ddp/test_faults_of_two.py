"""Two processes end alike where only one of them has the point at which the equation is not finite."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("run_faults.py")


@pytest.mark.parametrize("guarded", [pytest.param(False, marks=pytest.mark.slow), True], ids=["bare", "rollback"])
def test_all_processes_say_the_same(guarded, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), str(guarded)],
        env=environment, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = ((tmp_path / f"{rank}-{guarded}.txt").read_text().splitlines() for rank in range(2))
    assert first[::2] == second[::2]
    assert sorted([first[1], second[1]]) == ["0 points", "1 points"]
    assert all("residual of condition 'pde' is nan at x = 0.9" in line for line in first[::2])
