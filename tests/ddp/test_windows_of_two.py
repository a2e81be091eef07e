"""A run in windows of time on two processes is that on one."""

import pytest
import torch
from forked import on_ranks
from run_windows import march


def test_two_processes_march_as_one_does(tmp_path):
    found = []
    for processes in (1, 2):
        file = tmp_path / f"{processes}.pt"
        on_ranks(processes, tmp_path, march, processes, file)
        found.append(torch.load(file, weights_only=True))
    one, two = found
    assert [w["kept"] for w in one["windows"]] == [False, True, True, False, True, True]  # both were halved
    for mine, theirs in zip(one["windows"], two["windows"], strict=True):
        for key in ("low", "high", "steps", "evaluations", "kept"):
            assert mine[key] == theirs[key]
        assert theirs["residual"] == pytest.approx(mine["residual"], rel=1e-7)
    for name, value in one["state"].items():
        assert (two["state"][name] - value).abs().max() < 1e-9, name
