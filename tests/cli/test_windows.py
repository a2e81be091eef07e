"""A recipe in windows of time, by the command: fit, go on, predict, validate, load."""

import json
import signal

import numpy as np
import pytest
import torch
from board import read_board
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import pinnlab
from pinnlab.callbacks import RunCheckpoint, SolutionFigures
from pinnlab.cli.commands import run

pytestmark = pytest.mark.filterwarnings("ignore")

RECIPE = """
problem: {class_path: Lorenz, init_args: {horizon: 0.6}}
data: {points: {ode: 20}, held_out: 30, evaluation_points: 100}
march: {windows: 3}
model:
  network: {class_path: MLP, init_args: {hidden: [8]}}
  phases:
    - {optimizer: {class_path: LevenbergMarquardt}, steps: 4}
    - {optimizer: LBFGS, steps: 2}
  compile: false
trainer: {log_every_n_steps: 1, val_check_interval: 3}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])
    (tmp_path / "little.yaml").write_text(RECIPE)
    assert run(["fit", "-c", "little.yaml"]) == 0, capsys.readouterr().err
    return tmp_path / "runs" / "little" / "version_0"


def test_a_run_that_ends_between_two_windows_says_how_it_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "little.yaml").write_text(RECIPE)
    monkeypatch.setattr("sys.argv", ["pinnlab"])
    assert run(["fit", "-c", "little.yaml", "--trainer.max_steps=6"]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.splitlines()[-1] == (
        "step 6, phase 2: the trainer's limit was reached; saved in runs/little/version_0; "
        "go on with: pinnlab fit runs/little/version_0 --trainer.max_steps 12"
    )


@pytest.mark.parametrize(
    ("callback", "where"), [(SolutionFigures, "step 6, phase 2"), (RunCheckpoint, "step 7, phase 1")]
)
def test_a_signal_at_the_end_of_a_window_ends_the_run(tmp_path, monkeypatch, capsys, callback, where):
    """Behind the window, or, where that is over for the run, after the first step of the next one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "little.yaml").write_text(RECIPE)
    monkeypatch.setattr("sys.argv", ["pinnlab"])
    monkeypatch.setattr(callback, "on_train_end", lambda *unused: signal.raise_signal(signal.SIGTERM))
    assert run(["fit", "-c", "little.yaml"]) == 143
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"{where}: the run was interrupted; saved in runs/little/version_0; go on with: ")


def test_a_run_in_windows_is_one_run(folder, tmp_path, capsys):
    summary = json.loads((folder / "summary.json").read_text())
    assert [path.name for path in folder.glob("summary*")] == ["summary.json"]
    assert [w["low"] for w in summary["windows"]] == pytest.approx([0.0, 0.2, 0.4])
    assert [w["high"] for w in summary["windows"]] == pytest.approx([0.2, 0.4, 0.6])
    assert summary["steps"] == 18
    assert [phase["steps"] for phase in summary["phases"]] == [4, 2] * 3
    assert summary["evaluations"] == sum(phase["evaluations"] for phase in summary["phases"])
    shown = EventAccumulator(str(folder)).Reload().Scalars("relative_l2/x")[-1].value  # on the page HParams
    assert shown == pytest.approx(summary["relative_l2"]["x"])
    steps = read_board(folder).steps["loss/total"]
    assert steps == sorted(steps)  # all windows on one axis
    assert set(steps) == set(range(18))

    solution = pinnlab.load(folder)
    assert solution.errors(100) == pytest.approx(summary["relative_l2"])
    t = torch.linspace(0, 0.6, 100, dtype=torch.float64)
    events = {path: path.read_bytes() for path in folder.glob("events.*")}
    assert run(["predict", str(folder), "--grid=100"]) == 0, capsys.readouterr().err
    written = np.load(next(folder.glob("*.npz")))
    assert np.allclose(written["x"], solution.x(t=t), atol=1e-12)
    assert run(["validate", str(folder)]) == 0, capsys.readouterr().err
    assert f"{summary['relative_l2']['x']:.4g}"[:5] in capsys.readouterr().out
    assert run(["diagnose", str(folder)]) == 0, capsys.readouterr().err
    assert "of the last window that was trained, 0.4 to 0.6" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in folder.glob("events.*")} == events  # no look changes the curves
    others = {"--problem.beta=2": " problem.beta: 2.6", "--model.network.hidden=[5]": "(8, 1)"}
    others["--march=null"] = "last.ckpt is of a run in windows of time; give its march, or read"
    for option, refused in others.items():
        assert run(["predict", str(folder), option]) == 2
        assert refused in capsys.readouterr().err


def test_a_run_that_was_cut_short_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])
    (tmp_path / "little.yaml").write_text(RECIPE)
    plain = ["fit", "-c", "little.yaml", "--trainer.logger=false", "--trainer.enable_checkpointing=true"]

    def last(folder, *options):
        callback = f"--trainer.callbacks=[{{class_path: RunCheckpoint, init_args: {{folder: {folder}}}}}]"
        assert run([*plain, callback, *options]) == 0, capsys.readouterr().err
        return torch.load(tmp_path / folder / "last.ckpt", weights_only=True)

    whole = last("whole")
    last("short", "--trainer.max_steps=8")
    half = pinnlab.load(tmp_path / "short" / "last.ckpt")
    assert half.problem.domain.high == (pytest.approx(0.4),)  # as far as it came
    again = last("again", "--ckpt_path=short/last.ckpt")
    assert again["global_step"] == whole["global_step"] == 18
    assert again["pinnlab"]["evaluations"] == whole["pinnlab"]["evaluations"]
    assert again["state_dict"].keys() == whole["state_dict"].keys()
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, again["state_dict"][name]), name


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--march.windows=0", "march.windows: must be at least 1, got 0"),
        ("--march.window=3", "window"),
        ("--march.edges=[0.0, 0.5]", "march: give either windows or edges"),
    ],
)
def test_bad_input_is_one_line(option, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])
    (tmp_path / "little.yaml").write_text(RECIPE)
    assert run(["fit", "-c", "little.yaml", option]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("error:") == 1
