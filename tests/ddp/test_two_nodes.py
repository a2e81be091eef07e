"""Two nodes of torchrun, each with one process, on one machine: the commands of docs/clusters.md."""

import os
import socket
import subprocess
import sys

import pytest
import torch
from forked import finish, forked, on_ranks, run_command

OPTIONS = (
    "fit", "-c", "poisson1d", "--model.compile=false", "--model.network.hidden=[8, 8]",
    "--data.points={pde: 31, boundary: 2}", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false",
    "--model.phases=[{optimizer: Adam, steps: 10}, "
    "{optimizer: {class_path: LBFGS, init_args: {iterations: 3}}, steps: 2}]",
)  # fmt: skip
NODES = ("--trainer.num_nodes=2", "--trainer.devices=1", "--trainer.strategy=ddp")


def start(folder, *program):
    folder.mkdir()
    return subprocess.Popen(
        [sys.executable, "-m", *program, *OPTIONS, *NODES],
        cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def finished(*runs):
    """Waits for runs, and leaves none behind."""
    try:
        errors = [run.communicate(timeout=200)[1] for run in runs]
    finally:
        for run in runs:
            run.kill()
    assert [run.returncode for run in runs] == [0] * len(runs), "\n".join(error[-2000:] for error in errors)


def trained(folder):
    (path,) = folder.rglob("last.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    parameters = [t.reshape(-1) for name, t in checkpoint["state_dict"].items() if name.startswith("trial.")]
    return checkpoint["global_step"], torch.cat(parameters)


def as_node(rank, folder):
    """As torchrun starts it: a process that finds its place in the environment."""
    node = folder / str(rank)
    node.mkdir()
    os.environ |= {"TORCHELASTIC_RUN_ID": "none", "RANK": str(rank), "GROUP_RANK": str(rank), "LOCAL_RANK": "0"}
    os.environ |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1"}
    run_command(node, *OPTIONS, *NODES)


def by_torchrun(folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launch = ("--nnodes=2", "--nproc-per-node=1", "--master-addr=127.0.0.1", f"--master-port={port}")
    nodes = [
        start(folder / str(k), "torch.distributed.run", f"--node-rank={k}", *launch, "-m", "pinnlab") for k in range(2)
    ]
    finished(*nodes)


@pytest.mark.parametrize("launched", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["as by", "by torchrun"])
def test_two_nodes_train_what_one_process_trains(launched, tmp_path):
    if launched:
        by_torchrun(tmp_path)
    else:
        on_ranks(2, tmp_path, as_node, tmp_path)
    (tmp_path / "one").mkdir()
    assert finish(forked(run_command, tmp_path / "one", *OPTIONS)) == 0, (tmp_path / "one" / "error.txt").read_text()
    (steps, expected), (made, found) = trained(tmp_path / "one"), trained(tmp_path / "0")
    assert steps == made == 12
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    assert not list((tmp_path / "1").rglob("*.ckpt"))  # the first node writes
