"""Numbers on their way to the loggers."""

import csv
import functools

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.callbacks import NTKSpectrum
from pinnlab.networks import MLP
from pinnlab.problems import Heat1D
from pinnlab.reporting.loggers import LogScaleTensorBoardLogger

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Lightning and torch about each other


def fit(folder, every, steps, *callbacks):
    problem = Heat1D()
    phase = Phase(functools.partial(torch.optim.SGD, lr=1e-3), steps=steps)
    module = PINN(problem, functools.partial(MLP, hidden=[6]), [phase], compile=False)
    trainer = L.Trainer(
        logger=CSVLogger(folder), log_every_n_steps=every, max_epochs=-1, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, limit_val_batches=0, callbacks=list(callbacks),
    )  # fmt: skip
    trainer.fit(module, CollocationDataModule(problem, points=20, evaluation_points=50))
    return trainer


def test_spaced_steps_every_nth_and_the_last_one_are_logged_under_their_numbers(tmp_path):
    trainer = fit(tmp_path, 7, 45)
    with next(tmp_path.rglob("metrics.csv")).open() as file:
        rows = list(csv.DictReader(file))
    steps = [int(row["step"]) + 1 for row in rows]  # counted from 0
    assert steps == [*range(1, 33), 34, 35, 36, 38, 40, 42, 44, 45]
    assert [float(row["training/evaluations"]) for row in rows] == steps
    assert not trainer._results  # what Lightning would look through at every step


def test_nothing_is_logged_where_nothing_is_asked_for(tmp_path):
    assert not fit(tmp_path, 0, 3).logged_metrics


def test_what_is_measured_before_the_first_step_is_logged_with_it(tmp_path):
    fit(tmp_path, 3, 3, NTKSpectrum(every=2, max_points=3))
    with next(tmp_path.rglob("metrics.csv")).open() as file:
        steps = [int(row["step"]) for row in csv.DictReader(file) if row["spectrum/total/top"]]
    assert steps == [0, 1, 2]


def test_callbacks_can_monitor_them(tmp_path):
    seen = []

    class Watch(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, *unused):
            seen.append((trainer.callback_metrics.get("loss/total"), pl_module.current_loss()))

    fit(tmp_path, 1, 4, Watch())
    assert seen[0][0] is None
    for (logged, _), (_, loss) in zip(seen[1:], seen, strict=False):  # callbacks come before the module
        assert float(logged) == pytest.approx(loss)


def test_hyperparameters_alone_make_no_chart(tmp_path):
    logger = LogScaleTensorBoardLogger(tmp_path, name="", version="")
    logger.log_hyperparams({"seed": 1})
    logger.log_metrics({"loss/total": 1.0}, 1)
    logger.finalize("success")
    assert set(EventAccumulator(str(tmp_path)).Reload().Tags()["scalars"]) == {"loss/total", "log10/loss/total"}
    assert "seed: 1" in (tmp_path / "hparams.yaml").read_text()


def test_what_is_logged_is_written_over_other_axes_too_and_epochs_never(tmp_path):
    logger = LogScaleTensorBoardLogger(tmp_path, name="", version="")
    logger.log_metrics({"loss/total": 0.1, "epoch": 3}, 1)
    logger.axes = lambda: {"evaluations": 25, "milliseconds": 1500}
    logger.log_metrics({"loss/total": 0.01, "loss/pde": 0.01, "training/evaluations": 25.0, "epoch": 3}, 2)
    logger.log_metrics({"relative_l2/u": 1e-3, "held_out/pde": 1.0}, 2)
    logger.finalize("success")
    events = EventAccumulator(str(tmp_path)).Reload()
    found = {tag: [(e.step, round(e.value, 6)) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert found == {
        "loss/total": [(1, 0.1), (2, 0.01)],
        "log10/loss/total": [(1, -1.0), (2, -2.0)],
        "loss/pde": [(2, 0.01)],
        "log10/loss/pde": [(2, -2.0)],
        "training/evaluations": [(2, 25.0)],
        "training/seconds": [(2, 1.5)],
        "relative_l2/u": [(2, 0.001)],
        "log10/relative_l2/u": [(2, -3.0)],
        "held_out/pde": [(2, 1.0)],
        "log10/held_out/pde": [(2, 0.0)],
        "log10/over/evaluations/loss/total": [(25, -2.0)],
        "log10/over/milliseconds/loss/total": [(1500, -2.0)],
        "log10/over/evaluations/relative_l2/u": [(25, -3.0)],
        "log10/over/milliseconds/relative_l2/u": [(1500, -3.0)],
    }
