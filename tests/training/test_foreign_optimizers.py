"""A third-party optimizer by class path: trains, resumes bit for bit, stays in float64."""

import functools
import json

import pytest
import torch
import yaml
from training import ADAM, QUASI_NEWTON, full_run

from pinnlab.cli.commands import run
from pinnlab.training.phases import Phase

pytorch_optimizer = pytest.importorskip(
    "pytorch_optimizer", reason="needs a third-party optimizer: pip install pytorch_optimizer"
)
pytestmark = pytest.mark.filterwarnings("ignore")

SOAP = functools.partial(pytorch_optimizer.SOAP, lr=3e-3, weight_decay=0.0, precondition_frequency=2)
PHASES = [Phase(ADAM, steps=3), Phase(SOAP, steps=9), Phase(QUASI_NEWTON, steps=2)]


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])

    def execute(*options):
        short = ["--model.compile=false", "--data.evaluation_points=300", "--trainer.enable_progress_bar=false"]
        code = run(["fit", *options, *short])
        summaries = sorted(tmp_path.rglob("summary.json"), key=lambda path: path.stat().st_mtime)
        return code, json.loads(summaries[-1].read_text())

    return execute


def test_in_a_recipe(command, tmp_path):
    optimizer = {"class_path": "pytorch_optimizer.SOAP", "init_args": {"lr": 3e-3, "weight_decay": 0.0}}
    recipe = {
        "problem": {"class_path": "Poisson1D"},
        "data": {"points": {"pde": 32, "boundary": 2}},
        "model": {"phases": [{"optimizer": optimizer, "steps": 4}, {"optimizer": {"class_path": "LBFGS"}, "steps": 1}]},
    }
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    code, summary = command("-c", "r.yaml")
    assert code == 0
    assert [phase["optimizer"] for phase in summary["phases"]] == ["SOAP", "LBFGS"]
    assert summary["dtype"] == "float64"


@pytest.mark.parametrize(
    "phases",
    [
        "[{optimizer: {class_path: pytorch_optimizer.SOAP, init_args: {lr: 2e-3, betas: [0.9, 0.99]}}, steps: 3}]",
        "[{optimizer: pytorch_optimizer.Lion, steps: 3}]",
    ],
)
def test_on_the_command_line(command, phases):
    code, summary = command("-c", "poisson1d", f"--model.phases={phases}")
    assert code == 0
    assert summary["phases"][0]["optimizer"] in phases
    assert summary["steps"] == 3


def test_trains_in_float64():
    layer = torch.nn.Linear(6, 5, dtype=torch.float64)
    x = torch.randn(50, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    optimizer = SOAP(layer.parameters(), lr=1e-2)

    def closure():
        optimizer.zero_grad()
        loss = (layer(x) - x[:, :5]).square().mean()
        loss.backward()
        return loss

    first = closure().item()
    for _ in range(200):
        optimizer.step(closure)
    assert closure().item() < 1e-2 * first
    values = [value for state in optimizer.state.values() for value in state.values()]
    tensors = [t for value in values for t in (value if isinstance(value, list) else [value])]
    assert {t.dtype for t in tensors if isinstance(t, torch.Tensor)} == {torch.float64}


def test_resume_is_bitwise_at_every_checkpoint(tmp_path):
    whole, _, _, _ = full_run(tmp_path / "whole", every=1, phases=PHASES)
    assert list(dict.fromkeys(whole.optimizers.values())) == ["Adam", "SOAP", "LBFGS"]
    checkpoints = sorted((tmp_path / "whole").glob("*.ckpt"))
    assert len(checkpoints) >= 14
    for path in checkpoints:  # read with weights_only=True
        again, _, _, _ = full_run(tmp_path / "again", ckpt_path=path, every=100, phases=PHASES)
        for step, parameters in again.parameters.items():
            assert torch.equal(parameters, whole.parameters[step]), f"{path.name}: step {step} differs"
