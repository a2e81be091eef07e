"""A run in windows of time on two processes is that on one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("run_windows.py")


def test_two_processes_march_as_one_does(tmp_path):
    found = []
    for processes in (1, 2):
        file = tmp_path / f"{processes}.pt"
        done = subprocess.run(
            [sys.executable, str(SCRIPT), str(processes), str(file)],
            env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        found.append(torch.load(file, weights_only=True))
    one, two = found
    assert [w["kept"] for w in one["windows"]] == [False, True, True, False, True, True]  # both were halved
    for mine, theirs in zip(one["windows"], two["windows"], strict=True):
        for key in ("low", "high", "steps", "evaluations", "kept"):
            assert mine[key] == theirs[key]
        assert theirs["residual"] == pytest.approx(mine["residual"], rel=1e-7)
    for name, value in one["state"].items():
        assert (two["state"][name] - value).abs().max() < 1e-9, name
