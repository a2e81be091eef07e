"""Two gloo processes do what one does, to 1e-10 on a short float64 run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training import GROWTH_CALLBACKS, PHASES, TOLERANCES, WEIGHT_CALLBACKS, full_run

SCRIPT = Path(__file__).with_name("run_training.py")


def train(folder, processes, *phases):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(processes), str(folder), *phases],
        env=environment, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(folder / "result.pt", weights_only=True), folder


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return {processes: train(tmp_path_factory.mktemp(f"processes{processes}"), processes) for processes in (1, 2)}


def test_parameters_agree(results):
    one, two = results[1][0], results[2][0]
    assert one["parameters"].keys() == two["parameters"].keys()
    for step, expected in one["parameters"].items():
        assert (two["parameters"][step] - expected).abs().max() < 1e-10, f"step {step}"


def test_evaluations_agree(results):
    assert results[1][0]["evaluations"] == results[2][0]["evaluations"]


def test_points_agree(results):
    for name, rows in results[1][0]["points"].items():
        assert torch.equal(rows, results[2][0]["points"][name]), name
    assert len(results[1][0]["points"]["pde"]) % 2 == 1  # the shares are uneven


def test_metrics_agree(results):
    one, two = results[1][0], results[2][0]
    assert one["errors"]["u"] == pytest.approx(two["errors"]["u"], rel=1e-9)
    assert one["validation"].keys() == two["validation"].keys()
    assert "relative_l2/u" in one["validation"]
    for name, value in one["validation"].items():
        assert value == pytest.approx(two["validation"][name], rel=1e-8), name


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_of_two_processes_resumes_in_one(results, tmp_path):
    two, folder = results[2]
    path = sorted((folder / "checkpoints").glob("*.ckpt"))[0]
    again, _, _, _ = full_run(tmp_path, ckpt_path=path)
    for step, parameters in again.parameters.items():
        assert (parameters - two["parameters"][step]).abs().max() < 1e-10, f"step {step}"


@pytest.mark.parametrize("phases", PHASES)
def test_other_optimizers_agree(phases, tmp_path_factory):
    one, two = (train(tmp_path_factory.mktemp(f"{phases}{k}"), k, phases)[0] for k in (1, 2))
    assert one["evaluations"] == two["evaluations"]
    for step, expected in one["parameters"].items():
        assert two["parameters"][step].dtype == expected.dtype
        assert (two["parameters"][step] - expected).abs().max() < TOLERANCES.get(phases, 1e-10), f"step {step}"


def test_changing_points_agree(tmp_path_factory):
    one, two = (train(tmp_path_factory.mktemp(f"points{k}"), k, "several")[0] for k in (1, 2))
    assert len(one["points"]["pde"]) > 21
    for name, rows in one["points"].items():
        assert torch.equal(rows, two["points"][name]), name
    for step, expected in one["parameters"].items():
        assert (two["parameters"][step] - expected).abs().max() < 1e-10, f"step {step}"


@pytest.mark.parametrize("name", WEIGHT_CALLBACKS)
def test_changing_weights_agree(name, tmp_path_factory):
    one, two = (train(tmp_path_factory.mktemp(f"{name}{k}"), k, name)[0] for k in (1, 2))
    assert one["evaluations"] == two["evaluations"]
    assert not torch.equal(one["factors"], torch.ones_like(one["factors"]))
    assert torch.allclose(one["factors"], two["factors"], rtol=1e-8)
    for condition, rows in one["points"].items():
        assert torch.allclose(rows, two["points"][condition], rtol=1e-8, atol=0), condition
    for step, expected in one["parameters"].items():
        assert (two["parameters"][step] - expected).abs().max() < 1e-10, f"step {step}"


@pytest.mark.parametrize("name", GROWTH_CALLBACKS)
def test_growing_batches_agree(name, tmp_path_factory):
    one, two = (train(tmp_path_factory.mktemp(f"{name}{k}"), k, name)[0] for k in (1, 2))
    assert one["batch_size"] != 4
    for key in ("evaluations", "points_seen", "batch_size"):
        assert one[key] == two[key], key
    for step, expected in one["parameters"].items():
        assert (two["parameters"][step] - expected).abs().max() < 1e-10, f"step {step}"
