"""Numbers on their way to the loggers."""

import csv
import functools

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.callbacks import NTKSpectrum
from pinnlab.networks import MLP
from pinnlab.problems import Heat1D

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


def test_every_nth_step_is_logged_under_its_number(tmp_path):
    trainer = fit(tmp_path, 3, 8)
    with next(tmp_path.rglob("metrics.csv")).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "5"]  # counted from 0
    assert float(rows[1]["training/evaluations"]) == 6
    assert not trainer._results  # what Lightning would look through at every step


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
