"""The study of lazy training: nothing is missed where the network is linear, and its report by hand."""

import functools
import itertools
import math

import lightning as L
import pytest
import torch

from pinnlab.networks import MLP
from pinnlab.problems import Poisson1D
from pinnlab.studies.command import run_study_command
from pinnlab.studies.engine.recording import Recorder, StableRate, cell
from pinnlab.studies.engine.runner import KEY, append_row, merged, train
from pinnlab.studies.lazy.report import holds_until
from pinnlab.studies.lazy.runs import AT, COLUMNS, CURVES, PROBLEMS, SETTINGS, STUDY, InitialModel, laziness
from pinnlab.training.datamodule import CollocationDataModule
from pinnlab.training.module import PINN
from pinnlab.training.phases import Phase

pytestmark = pytest.mark.filterwarnings("ignore")


def curves_of(frozen, optimizer, *callbacks, marks=(1, 20)):
    """What is recorded of Poisson's equation, with or without its hidden layer frozen."""
    problem = Poisson1D(frequency=2)
    phases = [Phase(optimizer, steps=marks[-1])]
    module = PINN(problem, functools.partial(MLP, hidden=(30,)), phases, compile=False)
    for parameter in module.trial.network.network.hidden.parameters():
        parameter.requires_grad_(not frozen)
    recorder = Recorder(marks, laziness)
    trainer = L.Trainer(
        max_epochs=-1, logger=False, enable_progress_bar=False, enable_checkpointing=False, limit_val_batches=0,
        enable_model_summary=False, callbacks=[InitialModel(), *callbacks, recorder],
    )  # fmt: skip
    trainer.fit(module, CollocationDataModule(problem, points={"pde": 24, "boundary": 2}, evaluation_points=50))
    return recorder.curves


def test_of_a_linear_network_everything_is_predicted():
    curves = curves_of(True, functools.partial(torch.optim.SGD, lr=1.0), StableRate(0.5))
    for name in ("mode", "residual", "linear", "kernel"):
        assert max(curves[name]) < 1e-6, name
    assert curves["predicted"] == pytest.approx(curves["loss"])
    assert curves["loss"][1] < curves["loss"][0] < 1
    assert curves["weights"][1] > curves["weights"][0] > 0


def test_a_network_that_is_not_linear_is_told_from_one():
    curves = curves_of(False, functools.partial(torch.optim.SGD, lr=1.0), StableRate(0.5), marks=(1, 200))
    for name in ("residual", "linear", "kernel"):
        assert min(curves[name]) > 1e-5, name
    assert curves["kernel"][1] > curves["kernel"][0]


def test_the_linear_model_can_be_asked_of_adam():
    curves = curves_of(True, functools.partial(torch.optim.Adam, lr=1e-3))
    assert max(curves["linear"]) < 1e-6
    assert all(math.isnan(value) for name in ("mode", "residual", "predicted") for value in curves[name])


def test_a_run_records_all_curves():
    tiny = {"data": {"points": {"data": 16}}, "trainer": {"max_steps": 20}}
    summary, trained = train(merged(STUDY.config("regression", "gd_0.1_width_16", 0), tiny))
    kept = {**STUDY.measure(summary), **STUDY.probe(trained)}
    assert set(kept) == set(COLUMNS)
    assert all(len(kept[name].split()) == 2 for name in CURVES)  # after 10 and 20 steps


def test_how_long_a_prediction_holds():
    assert holds_until(AT, [0.01, 0.04, 0.06, 0.01]) == 20
    assert holds_until(AT, [0.06, 0.01]) == 0
    assert holds_until(AT, [0.01, math.nan, 0.01]) == 10


def test_the_report_tells_the_worst_mode(tmp_path, capsys):
    for problem, setting, seed in itertools.product(PROBLEMS, SETTINGS, range(2)):
        curves = {name: cell([0.01 * (1 + seed)] * 4 + [0.04 + 0.02 * seed] * 3) for name in CURVES}
        if setting.startswith("adam"):
            curves["mode"] = cell([math.nan] * len(AT))
        row = {"problem": problem, "setting": setting, "seed": seed, "status": "done", "parameters": 5}
        append_row(tmp_path / "lazy.csv", (*KEY, "status", *COLUMNS), {**row, **curves})
    assert run_study_command(["lazy", "--report", "--folder", str(tmp_path)]) == 0
    assert "lazy.md" in capsys.readouterr().out
    text = (tmp_path / "lazy.md").read_text()
    assert "| gd_0.02_width_64 | 6 % | 100 | 5 % | 5 % | 5 % | 5 % | 5 % | 5 % |" in text
    assert "| adam_1e-3_width_1024 | - | - | 5 % |" in text
    assert (tmp_path / "lazy.png").stat().st_size > 5_000
