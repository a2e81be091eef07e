"""What a run's summary says, and what its table shows."""

import math
from functools import partial

import lightning as L
import pytest
import torch

from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.callbacks import RunSummary
from pinnlab.networks import MLP
from pinnlab.problems import Burgers, Poisson1D
from pinnlab.training.run_summary import LISTED, _table


def summary_of(problem):
    """Of one step of Adam."""
    summary = RunSummary()
    phases = [Phase(partial(torch.optim.Adam, lr=1e-3), steps=1)]
    model = PINN(problem, partial(MLP, hidden=[4]), phases, compile=False)
    data = CollocationDataModule(problem, points=20, evaluation_points=50)
    trainer = L.Trainer(
        max_epochs=-1, accelerator="cpu", logger=False, callbacks=[summary],
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(model, data)
    return summary.result


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("problem", "accuracy"), [(Burgers(), 1e-13), (Poisson1D(), None)])
def test_accuracy_of_the_reference(problem, accuracy):
    assert summary_of(problem)["reference_accuracy"] == accuracy


def summary_with(**found):
    return {
        "recipe": "burgers", "relative_l2": {}, "reference_accuracy": None, "coefficients": {}, "phases": [],
        "standard_errors": {}, "points": {}, "parameters": 1, "dtype": "float64",
        "compilation": {"functions": [], "seconds": 0.0}, **found,
    }  # fmt: skip


@pytest.mark.parametrize(("error", "told"), [(1.9e-11, True), (3e-11, False), (0.1, False)])
def test_an_error_as_small_as_that_of_the_reference_is_told(error, told):
    title = str(_table(summary_with(relative_l2={"u": error}, reference_accuracy=1e-11)).title)
    assert ("the reference itself is good to 1e-11" in title) == told


@pytest.mark.parametrize(("seconds", "told"), [(0.0, False), (3.14, True)])
def test_waiting_for_compilation_is_told(seconds, told):
    caption = str(_table(summary_with(compilation={"functions": ["loss"], "seconds": seconds})).caption)
    assert ("waited 3.1 s for compilation" in caption) == told


def test_of_many_windows_there_are_both_ends_and_what_the_others_come_to():
    record = {"steps": 2, "evaluations": 3, "seconds": 0.5, "stopped": "the planned number of steps was reached"}
    windows = [{"low": k / 10, "high": (k + 1) / 10, "loss": 10.0**-k, **record} for k in range(30)]
    windows[7]["loss"] = math.nan
    table = _table(summary_with(windows=windows))
    columns = [list(column.cells) for column in table.columns]
    assert len(columns[0]) == LISTED + 1
    middle = LISTED // 2
    assert columns[0][middle - 1 : middle + 2] == ["0.5 to 0.6", "18 more", "2.4 to 2.5"]
    assert [column[middle] for column in columns[1:]] == ["36", "54", "9.0", "nan", "see summary.json"]
    assert len(list(_table(summary_with(windows=windows[:LISTED])).columns[0].cells)) == LISTED
