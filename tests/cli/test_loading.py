"""`pinnlab.load`: runs of the command and of Python, from anywhere, with nothing else given."""

import json
import os
import sys
from functools import partial

import lightning as L
import numpy as np
import pytest
import torch
import yaml

import pinnlab
from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.cli.commands import run
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP
from pinnlab.problems import Burgers, Heat1D

pytestmark = pytest.mark.filterwarnings("ignore")
SHORT = ["--trainer.max_steps=3", "--model.compile=false", "--data.evaluation_points=300"]

OWN = '''
import torch
from torch import nn

from pinnlab import Problem
from pinnlab.domains import Interval
from pinnlab.problems import Coefficient, Observations, Residual


class Growth(Problem):
    """u' = k u and v' = -v, with unknown k."""

    def __init__(self, end=1.0):
        t = Interval("t", 0, end)
        times = torch.linspace(0, end, 4, dtype=torch.float64)[:, None]
        super().__init__(
            t,
            ("u", "v"),
            {
                "ode": Residual(t, lambda u, v, k: (u.t - k * u, v.t + v)),
                "data": Observations(times, u=torch.exp(times[:, 0]), v=torch.exp(-times[:, 0])),
            },
            coefficients={"k": Coefficient(0.5)},
        )


class Net(nn.Module):
    def __init__(self, inputs: int, outputs: int, width: int = 5):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, outputs))

    def forward(self, x):
        return self.layers(x)
'''


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])

    def execute(*arguments):
        assert run(list(arguments)) == 0, capsys.readouterr().err
        capsys.readouterr()

    return execute


def fitted(problem, network, folder, **options):
    """A run in Python, and the checkpoint that the user saves."""
    model = PINN(problem, network, phases=[Phase(torch.optim.Adam, steps=3)], compile=False, **options)
    trainer = L.Trainer(
        max_epochs=-1, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False
    )
    trainer.fit(model, CollocationDataModule(problem, points=20, evaluation_points=100))
    trainer.save_checkpoint(folder / "run.ckpt")
    return model


def values_in(checkpoint, problem, network, points, **options):
    """What a module that is built by hand makes of the checkpoint's parameters."""
    model = PINN(problem, network, **options)
    model.load_state_dict(torch.load(checkpoint, weights_only=True)["state_dict"])
    return model(points.to(model.dtype)).detach()


@pytest.mark.parametrize("place", ["", "checkpoints", "checkpoints/last.ckpt"])
def test_a_run_of_the_command_is_loaded_from_anywhere(command, tmp_path, monkeypatch, place):
    command("fit", "-c", "heat1d", "--problem.diffusivity=0.1", "--name=mine", "--model.network.hidden=[6, 5]", *SHORT)
    folder = tmp_path / "runs" / "mine" / "version_0"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    solution = pinnlab.load(folder / place)
    points = torch.rand(6, 2, dtype=torch.float64)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["problem"]["init_args"]["diffusivity"] == 0.1
    expected = values_in(folder / "checkpoints" / "last.ckpt", Heat1D(0.1), partial(MLP, hidden=[6, 5]), points)
    assert torch.equal(solution(points), expected)
    assert solution.problem.diffusivity == 0.1
    summary = json.loads((folder / "summary.json").read_text())
    assert solution.errors(300) == pytest.approx(summary["relative_l2"], rel=1e-9)
    assert solution.grid(x=3, t=3).attrs["run"] == str(folder / place)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_float32_run(command, tmp_path):
    command("fit", "-c", "poisson1d", "--model.dtype=float32", *SHORT)
    solution = pinnlab.load("runs/poisson1d/version_0")
    points = torch.rand(6, 1)
    assert solution(points).dtype == torch.float32
    summary = json.loads((tmp_path / "runs/poisson1d/version_0/summary.json").read_text())
    assert solution.errors(300) == pytest.approx(summary["relative_l2"], rel=1e-4)


def test_own_classes_two_unknowns_and_a_coefficient(command, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_growth.py").write_text(OWN)
    recipe = {
        "problem": {"class_path": "own_growth.Growth", "init_args": {"end": 2.0}},
        "model": {"network": {"class_path": "own_growth.Net", "init_args": {"width": 4}}, "compile": False},
        "data": {"points": {"ode": 20}, "evaluation_points": 100},
        "trainer": {"max_steps": 3},
    }
    (tmp_path / "growth.yaml").write_text(yaml.safe_dump(recipe))
    command("fit", "-c", "growth.yaml")
    folder = tmp_path / "runs" / "growth" / "version_0"
    solution = pinnlab.load(folder)
    summary = json.loads((folder / "summary.json").read_text())
    assert solution.coefficients == pytest.approx(summary["coefficients"], rel=1e-14)
    assert solution.coefficients["k"] != 0.5
    assert solution.problem.domain.high == (2.0,)
    assert solution(t=np.linspace(0, 2, 5)).shape == (5, 2)
    assert solution.v(t=1.0) == solution(t=1.0)[1]
    monkeypatch.delitem(sys.modules, "own_growth")
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(tmp_path)])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert pinnlab.load(folder).v(t=1.0) == solution.v(t=1.0)  # the file is in a folder above the run
    monkeypatch.delitem(sys.modules, "own_growth")
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(tmp_path)])
    (tmp_path / "own_growth.py").unlink()
    with pytest.raises(ConfigurationError, match=r"own_growth.*give it: pinnlab.load.*problem=") as caught:
        pinnlab.load(folder)
    assert "\n" not in str(caught.value)
    given = pinnlab.load(
        folder, problem=solution.problem, network=partial(type(solution.trial.network.network), width=4)
    )
    assert given.v(t=1.0) == solution.v(t=1.0)


def test_a_run_in_python_is_loaded_from_what_its_checkpoint_says(tmp_path):
    model = fitted(Heat1D(0.2), partial(MLP, hidden=(5, 4)), tmp_path, scale_inputs=False, engine="reverse")
    solution = pinnlab.load(tmp_path / "run.ckpt")
    points = torch.rand(6, 2, dtype=torch.float64)
    assert torch.equal(solution(points), model(points))
    assert solution.system.engine == "reverse"
    assert solution.problem.diffusivity == 0.2
    assert torch.equal(model.solution()(points), solution(points))


def test_checkpoints_that_lightning_names_are_found(tmp_path):
    fitted(Burgers(), partial(MLP, hidden=[4]), tmp_path)
    folder = tmp_path / "lightning_logs" / "version_0" / "checkpoints"
    folder.mkdir(parents=True)
    os.rename(tmp_path / "run.ckpt", folder / "epoch=0-step=3.ckpt")
    assert pinnlab.load(folder.parent).problem.name == "Burgers"


def test_what_cannot_be_built_again_is_asked_for(tmp_path):
    class Local(Burgers):
        pass

    network = MLP(2, 1, hidden=[4])
    model = fitted(Local(), network, tmp_path)
    path = tmp_path / "run.ckpt"
    for given, key in (({}, "problem"), ({"problem": Local()}, "network")):
        with pytest.raises(ConfigurationError) as caught:
            pinnlab.load(path, **given)
        message = str(caught.value)
        assert message.startswith(f"{key}: cannot be built from the checkpoint: ")
        assert message.endswith(f"; give it: pinnlab.load({str(path)!r}, {key}=...)")
        assert "\n" not in message
    fresh = MLP(2, 1, hidden=[4])
    before = fresh.last.weight.clone()
    solution = pinnlab.load(path, problem=Local(), network=fresh)
    points = torch.rand(6, 2, dtype=torch.float64)
    assert torch.equal(solution(points), model(points))
    assert torch.equal(fresh.last.weight, before)  # what was given stays as it was


def test_another_problem_or_network_is_refused(tmp_path):
    fitted(Heat1D(0.2), partial(MLP, hidden=[4]), tmp_path)
    path = tmp_path / "run.ckpt"
    with pytest.raises(ConfigurationError, match=r"problem.diffusivity: 0.2 in the checkpoint, 0.3"):
        pinnlab.load(path, problem=Heat1D(0.3))
    with pytest.raises(ConfigurationError, match=r"run.ckpt is of problem Heat1D, this run's is Burgers"):
        pinnlab.load(path, problem=Burgers())
    with pytest.raises(ConfigurationError, match=r"run.ckpt has trial.network.*, this run's network has"):
        pinnlab.load(path, network=partial(MLP, hidden=[5]))


def changed(path, change):
    """The checkpoint with another recipe in it, as somebody could have sent it."""
    saved = torch.load(path, weights_only=True)
    change(saved["pinnlab"]["recipe"])
    torch.save(saved, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda r: r.update(problem={"class_path": "os.system", "init_args": {"command": "touch owned"}}),
            "no Problem",
        ),
        (
            lambda r: r["model"].update(network={"class_path": "subprocess.Popen", "init_args": {"args": "ls"}}),
            "no Module",
        ),
        (lambda r: r["problem"].update(init_args={"viscous": 1}), "unknown option of Burgers in problem 'viscous'"),
        (
            lambda r: r["problem"].update(init_args={"viscosity": "thick"}),
            "problem.viscosity: must be float, got thick",
        ),
        (lambda r: r.pop("problem"), "problem: must be"),
    ],
)
def test_only_problems_and_networks_are_called(tmp_path, monkeypatch, change, message):
    monkeypatch.chdir(tmp_path)
    fitted(Burgers(), partial(MLP, hidden=[4]), tmp_path)
    changed(tmp_path / "run.ckpt", change)
    with pytest.raises(ConfigurationError, match=message) as caught:
        pinnlab.load(tmp_path / "run.ckpt")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["run.ckpt"]


def test_a_checkpoint_of_an_earlier_version_says_nothing(tmp_path):
    fitted(Burgers(), partial(MLP, hidden=[4]), tmp_path)
    saved = torch.load(tmp_path / "run.ckpt", weights_only=True)
    del saved["pinnlab"]["recipe"]
    torch.save(saved, tmp_path / "run.ckpt")
    with pytest.raises(ConfigurationError, match=r"run.ckpt says nothing of it; give it"):
        pinnlab.load(tmp_path / "run.ckpt")
    assert pinnlab.load(tmp_path / "run.ckpt", Burgers(), partial(MLP, hidden=[4])).u(x=0.0, t=0.0) == pytest.approx(0)


def test_where_there_is_no_run(tmp_path):
    with pytest.raises(ConfigurationError, match="there is no run in"):
        pinnlab.load(tmp_path)
    (tmp_path / "x.ckpt").write_text("no")
    with pytest.raises(ConfigurationError, match="damaged or no checkpoint"):
        pinnlab.load(tmp_path / "x.ckpt")


class KeepsToItself(torch.nn.Module):
    """Has random numbers that are in no checkpoint."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.mixed = torch.randn(inputs, 5, dtype=torch.float64)
        self.last = torch.nn.Linear(5, outputs)

    def forward(self, x):
        return self.last(torch.tanh(x @ self.mixed))


def test_the_seed_is_that_of_the_run(command, tmp_path):
    model = fitted(Burgers(), KeepsToItself, tmp_path, seed=7)
    points = torch.rand(6, 2, dtype=torch.float64)
    assert torch.equal(pinnlab.load(tmp_path / "run.ckpt")(points), model(points))
    options = ["--model.network=test_loading.KeepsToItself", "--seed_everything=7", *SHORT]
    command("fit", "-c", "burgers", *options)
    loaded = pinnlab.load(tmp_path / "runs" / "burgers" / "version_0")
    assert torch.equal(loaded.trial.network.network.mixed, model.trial.network.network.mixed)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("scale_inputs", "wide", "model.scale_inputs: must be bool"), ("dtype", "float16", "model.dtype")],
)
def test_options_that_do_not_fit(tmp_path, key, value, message):
    fitted(Burgers(), partial(MLP, hidden=[4]), tmp_path)
    changed(tmp_path / "run.ckpt", lambda recipe: recipe["model"].update({key: value}))
    with pytest.raises(ConfigurationError, match=message):
        pinnlab.load(tmp_path / "run.ckpt")
