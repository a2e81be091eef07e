"""The command: what it writes, what it refuses, and with which exit code."""

import json
import os
import shutil
import signal
import time
import warnings

import numpy as np
import pytest
import torch
import yaml
from commanded import fitted
from forked import finish, forked, run_command
from two_process_runs import TINY

from pinnlab.cli.commands import run

pytestmark = pytest.mark.filterwarnings("ignore")
SHORT = ["--trainer.max_steps=3", "--model.compile=false", "--data.evaluation_points=300"]


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])

    def execute(*arguments):
        code = run(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return execute


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of poisson1d."""
    return fitted(tmp_path_factory.mktemp("trained"), "-c", "poisson1d", *SHORT)


@pytest.fixture
def runs(trained, tmp_path):
    """A copy of it, for a test to write into."""
    return shutil.copytree(trained, tmp_path / "runs")


def test_fit_writes_summary_config_events_and_checkpoint(command, tmp_path):
    code, out, _ = command("fit", "-c", "burgers", *SHORT)
    assert code == 0
    assert "relative L2 error u" in out
    folder = tmp_path / "runs" / "burgers" / "version_0"
    summary = json.loads((folder / "summary.json").read_text())
    expected = {"recipe", "problem", "relative_l2", "loss", "seconds", "steps", "evaluations", "phases", "points"}
    assert expected | {"parameters", "dtype", "processes"} <= summary.keys()
    assert {"phase", "optimizer", "steps", "evaluations", "seconds", "loss", "stopped"} == summary["phases"][0].keys()
    assert (summary["steps"], summary["evaluations"], summary["processes"]) == (3, 3, 1)
    assert summary["points"] == {"pde": 3000}
    assert (folder / "config.yaml").is_file()
    assert list(folder.glob("events.*"))
    saved = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert yaml.safe_load(saved["pinnlab_config"])["problem"]["class_path"].endswith("Burgers")


def test_a_second_run_overwrites_nothing(command, runs):
    assert command("fit", "-c", "poisson1d", *SHORT)[0] == 0
    assert sorted(p.name for p in (runs / "poisson1d").iterdir()) == ["version_0", "version_1"]


@pytest.mark.usefixtures("rendered")
def test_resume_validate_test_and_predict_from_the_checkpoint(command, tmp_path):
    command("fit", "-c", "heat1d", *SHORT)
    checkpoint = tmp_path / "runs" / "heat1d" / "version_0" / "checkpoints" / "last.ckpt"
    options = ["--ckpt_path", str(checkpoint), "--data.evaluation_points=300"]
    code, _, _ = command("fit", "-c", "heat1d", *options, "--trainer.max_steps=5", "--model.compile=false")
    assert code == 0
    summary = json.loads((tmp_path / "runs" / "heat1d" / "version_1" / "summary.json").read_text())
    assert summary["steps"] == summary["evaluations"] == 5
    for name in ("validate", "test"):
        code, out, _ = command(name, "-c", "heat1d", *options)
        assert code == 0
        assert "relative_l2/u" in out
    assert command("predict", "-c", "heat1d", *options)[0] == 0
    file = next(tmp_path.rglob("solution.npz"))
    solution = np.load(file)
    assert solution["u"].shape == solution["x"].shape == solution["t"].shape == solution["reference_u"].shape
    assert next(tmp_path.rglob("solution_u.png")).stat().st_size > 5000


@pytest.mark.usefixtures("rendered")
def test_diagnose_writes_into_the_runs_folder_or_another(command, runs, tmp_path):
    checkpoint = runs / "poisson1d" / "version_0" / "checkpoints" / "last.ckpt"
    options = ["--data.evaluation_points=300", "--ckpt_path", str(checkpoint)]
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, out, err = command("diagnose", "-c", "poisson1d", *options)
    assert code == 0, err
    assert "Poisson1D, step 3, phase 1 (Adam): relative L2 error u" in out
    assert "Be aware" not in err  # nobody can act on that: the command itself leaves out the dashboard
    assert "no signature of failure" in out
    folder = tmp_path / "runs" / "poisson1d" / "version_0"
    assert f"wrote {folder.relative_to(tmp_path)}/diagnosis.json and diagnosis.png" in out
    assert (folder / "diagnosis.png").stat().st_size > 20_000
    found = json.loads((folder / "diagnosis.json").read_text())
    assert (found["step"], found["evaluations"], found["optimizer"]) == (3, 3, "Adam")
    assert command("diagnose", "-c", "poisson1d", *options, "--folder=here", "--trainer.logger=false")[0] == 0
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["diagnosis.json", "diagnosis.png"]


BAD_DIAGNOSES = {
    "recipe": (["-c", "burgrs"], "burgers"),
    "checkpoint": (["-c", "poisson1d", "--ckpt_path=nowhere.ckpt"], "ckpt_path"),
    "problem": (["-c", "poisson2d", "--ckpt_path=poisson1d.ckpt"], "Poisson1D"),
    "network": (["-c", "poisson1d", "--model.network.hidden=[7]", "--ckpt_path=poisson1d.ckpt"], "model.network"),
    "option": (["-c", "poisson1d", "--fodler=here"], "fodler"),
    "points": (["-c", "poisson1d", "--data.points={pde: -5}"], "data.points.pde"),
}


@pytest.mark.parametrize("case", BAD_DIAGNOSES)
def test_bad_input_of_diagnose_is_one_line_and_exit_code_2(command, trained, tmp_path, case):
    shutil.copy(next(trained.rglob("last.ckpt")), tmp_path / "poisson1d.ckpt")
    arguments, key = BAD_DIAGNOSES[case]
    code, _, err = command("diagnose", *arguments)
    lines = [line for line in err.splitlines() if not line.startswith("warning:")]
    assert code == 2, err
    assert len(lines) == 1, err
    assert key in lines[0]
    assert not list(tmp_path.rglob("diagnosis.*"))


def test_overrides_reach_the_objects(command, tmp_path):
    code, out, _ = command(
        "fit", "-c", "burgers", "--problem.viscosity=0.02", "--model.network.hidden=[5,5]", "--seed_everything=7",
        "--data.points={pde: 50}", "--print_config",
    )  # fmt: skip
    assert code == 0
    config = yaml.safe_load(out)
    assert config["problem"]["init_args"]["viscosity"] == 0.02
    assert config["model"]["network"]["init_args"]["hidden"] == [5, 5]
    assert config["data"]["points"] == {"pde": 50}


def test_printed_config_is_a_recipe(command, tmp_path):
    _, out, _ = command("fit", "-c", "burgers", *SHORT, "--print_config")
    (tmp_path / "mine.yaml").write_text(out)
    assert command("fit", "-c", "mine.yaml")[0] == 0
    assert next((tmp_path / "runs").rglob("summary.json")).is_file()


def test_a_checkpoint_of_an_earlier_version_holds_a_recipe(command, tmp_path):
    """Its classes have moved since; `pinnlab_config` names them where they were."""
    command("fit", "-c", "wave_weights", *SHORT)
    saved = torch.load(next(tmp_path.rglob("last.ckpt")), weights_only=True)["pinnlab_config"]
    moved = {"pinnlab.reporting.loggers.": "pinnlab.loggers.", "pinnlab.objective.balancing.": "pinnlab.balancing."}
    old = saved
    for today, then in moved.items():
        assert today in saved
        old = old.replace(today, then)
    (tmp_path / "old.yaml").write_text(old)
    code, out, err = command("fit", "-c", "old.yaml", "--print_config")
    assert code == 0, err
    assert yaml.safe_load(out) == yaml.safe_load(saved)
    assert command("fit", "-c", "old.yaml")[0] == 0
    assert len(list(tmp_path.rglob("summary.json"))) == 2


def test_without_a_logger_nothing_is_written(command, tmp_path):
    code, out, _ = command("fit", "-c", "poisson1d", *SHORT, "--trainer.logger=false")
    assert code == 0
    assert "relative L2" in out
    assert not list(tmp_path.iterdir())


def test_without_a_logger_checkpoints_that_are_asked_for_are_written_here(command, tmp_path):
    code, _, err = command(
        "fit", "-c", "poisson1d", *SHORT, "--trainer.logger=false", "--trainer.callbacks=ModelCheckpoint"
    )
    assert code == 0, err
    assert (tmp_path / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.parametrize("bar", ["{class_path: RichProgressBar, init_args: {refresh_rate: 2}}", "TQDMProgressBar"])
def test_a_bar_of_the_recipe_stands_for_the_standard_one(command, bar):
    code, _, err = command("fit", "-c", "poisson1d", *SHORT, "--trainer.logger=false", f"--trainer.callbacks={bar}")
    assert code == 0, err
    assert "(1/2)" not in err  # the phases that only the standard one shows


def test_a_run_is_not_written_over(command, tmp_path):
    assert command("fit", "-c", "poisson1d", *SHORT)[0] == 0
    code, _, err = command("fit", "-c", "poisson1d", *SHORT, "--trainer.logger.version=0")
    assert code == 2
    assert err.splitlines()[-1] == (
        "error: trainer.logger.version: a run is in runs/poisson1d/version_0 already; leave it out"
    )


ONE_LOOK = ["--trainer.logger=false", "--trainer.enable_progress_bar=false", "--trainer.val_check_interval=1"]
BAD = {
    "recipe": (["-c", "burgrs"], "burgers"),
    "class": (
        ["-c", "poisson1d", "--problem=Poison2D"],
        "problem: there is no class 'Poison2D' (did you mean 'Poisson2D'?)",
    ),
    "sampler": (
        ["-c", "poisson1d", "--data.sampler=Sobbol"],
        "data.sampler: there is no class 'Sobbol' (did you mean 'Sobol'?)",
    ),
    "key": (
        ["-c", "burgers", "--problem.viscosit=1"],
        "unknown option of Burgers in problem 'viscosit' (did you mean 'viscosity'?)",
    ),
    "option of a network": (
        ["-c", "burgers", "--model.network.hiden=[3]"],
        "unknown option of MLP in model.network 'hiden' (did you mean 'hidden'?)",
    ),
    "option without a class": (
        ["-c", "burgers", "--data.sampler.seed=3"],
        "data.sampler: name the class before its options",
    ),
    "type of an option": (["-c", "burgers", "--problem.viscosity=abc"], "problem.viscosity: must be float, got abc"),
    "type of a network's option": (["-c", "burgers", "--model.network.hidden=abc"], "model.network.hidden: must be"),
    "type": (["-c", "burgers", "--model.phases=[{optimizer: Adam, steps: many}]"], "steps"),
    "condition": (["-c", "burgers", "--data.points={pd: 5}"], "'pd'"),
    "negative count": (["-c", "burgers", "--data.points={pde: -5}"], "data.points.pde"),
    "empty batch": (["-c", "burgers", "--data.batch_size=0"], "data.batch_size"),
    "weight": (["-c", "burgers", "--model.weights={wall: 2}"], "'wall'"),
    "dtype": (["-c", "burgers", "--model.dtype=float16"], "model.dtype"),
    "compile": (["-c", "burgers", "--model.compile=maybe"], "model.compile"),
    "missing package": (
        ["-c", "burgers", "--model.phases=[{optimizer: no_such_package.SOAP, steps: 3}]"],
        "model.phases: there is no module no_such_package; install the package",
    ),
    "missing package of a class": (
        ["-c", "burgers", "--model.phases=[{optimizer: {class_path: no_such_package.SOAP, init_args: {lr: 1}}}]"],
        "model.phases: there is no module no_such_package; install the package",
    ),
    "class of ours that is gone": (
        ["-c", "burgers", "--problem=pinnlab.gone.Burgers2"],
        "problem: there is no gone in pinnlab; a class that `pinnlab list` shows needs no path, only its name",
    ),
    "name of a module": (
        ["-c", "burgers", "--model.network=pinnlab.networks.MPL"],
        "model.network: there is no MPL in pinnlab.networks (did you mean 'MLP'?)",
    ),
    "missing module of a problem": (["-c", "burgers", "--problem=my_file.Mine"], "problem: there is no module my_file"),
    "optimizer": (["-c", "burgers", "--model.phases=[{optimizer: torch.optim.Muon, steps: 3}]"], "optimizer: Muon"),
    "option of an optimizer": (
        ["-c", "burgers", "--model.phases=[{optimizer: {class_path: Adam, init_args: {lr: -1}}, steps: 3}]"],
        "model.phases.0.optimizer: Invalid learning rate",
    ),
    "accumulate": (["-c", "burgers", "--trainer.accumulate_grad_batches=2"], "accumulate_grad_batches"),
    "precision": (["-c", "burgers", "--trainer.precision=bf16-mixed"], "trainer.precision"),
    "metric": (
        ["-c", "poisson1d", "--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=val_loss", *ONE_LOOK],
        "Early stopping conditioned on metric `val_loss` which is not available",
    ),
    "least number of steps": (["-c", "burgers", "--trainer.min_steps=9"], "trainer.min_steps: the phases end the run"),
    "least number of epochs": (["-c", "burgers", "--trainer.min_epochs=1"], "trainer.min_epochs: the phases end"),
    "batch size finder": (["-c", "burgers", "--trainer.callbacks=BatchSizeFinder"], "BatchSizeFinder: all points"),
    "fsdp": (["-c", "burgers", "--trainer.strategy=fsdp"], "strategy"),
    "checkpoint": (["-c", "burgers", "--ckpt_path=nowhere.ckpt"], "ckpt_path"),
    "problem value": (["-c", "heat1d", "--problem.diffusivity=-1"], "problem.diffusivity"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_code_2(command, tmp_path, case):
    arguments, key = BAD[case]
    code, _, err = command("fit", *SHORT, *arguments)
    lines = [line for line in err.splitlines() if not line.startswith("warning:")]
    assert code == 2, err
    assert len(lines) == 1, err
    assert lines[0].startswith("error:")
    assert key in lines[0]
    assert not list(tmp_path.rglob("*.ckpt"))


def test_bad_names_in_a_recipe_get_a_suggestion(command, tmp_path):
    (tmp_path / "r.yaml").write_text("problem: {class_path: Burger}\n")
    code, _, err = command("fit", "-c", "r.yaml")
    assert code == 2
    assert "did you mean 'Burgers'" in err


@pytest.mark.parametrize("content", ["a: [", "just words", "- 1"])
def test_a_recipe_that_is_no_mapping(command, tmp_path, content):
    (tmp_path / "r.yaml").write_text(content)
    code, _, err = command("fit", "-c", "r.yaml")
    assert code == 2
    assert "r.yaml" in err
    assert len(err.splitlines()) == 1


def test_checkpoint_of_another_problem(command, trained):
    checkpoint = next(trained.rglob("last.ckpt"))
    code, _, err = command("fit", "-c", "poisson2d", "--ckpt_path", str(checkpoint), *SHORT)
    assert code == 2
    assert "Poisson1D" in err
    assert "Poisson2D" in err


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_leave_a_checkpoint_and_the_right_code(tmp_path, number, expected):
    early = "--trainer.callbacks=[{class_path: RunCheckpoint, init_args: {seconds: 0.2}}]"  # not after 30 s
    process = forked(run_command, tmp_path, *TINY, early)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(tmp_path.rglob("*.ckpt")):
        time.sleep(0.05)
    os.kill(process.pid, number)
    assert finish(process, 60.0) == expected, (tmp_path / "error.txt").read_text()[-2000:]
    last, summary = next(tmp_path.rglob("last.ckpt")), next(tmp_path.rglob("summary.json"))
    assert torch.load(last, weights_only=True)["global_step"] == json.loads(summary.read_text())["steps"] > 0
