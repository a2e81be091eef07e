"""Two processes that share one GPU give the answer of one."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("run_on_one_gpu.py")


@pytest.mark.cuda
def test_two_processes_on_one_gpu(tmp_path):
    for processes in (1, 2):
        done = subprocess.run(
            [sys.executable, str(SCRIPT), str(processes), str(tmp_path)], capture_output=True, text=True, timeout=250
        )
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = (torch.load(tmp_path / f"{processes}.pt", weights_only=True) for processes in (1, 2))
    assert one.keys() == two.keys()
    for step, flat in one.items():
        torch.testing.assert_close(two[step], flat, rtol=0, atol=1e-9)
