"""Starts a script once for each of two ranks."""

import os
import subprocess
import sys

import torch


def on_two_ranks(script, folder):
    """What each rank of `script RANK 2 FOLDER` saved as `RANK.pt`, in their order."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    runs = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), "2", str(folder)],
            env=environment, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        errors = [run.communicate(timeout=200)[1] for run in runs]
    finally:
        for run in runs:
            run.kill()  # one that fails leaves the other waiting for it
    assert [run.returncode for run in runs] == [0, 0], errors[0][-2000:] + errors[1][-2000:]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]
