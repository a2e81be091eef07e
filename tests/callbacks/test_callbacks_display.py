"""Progress, prediction files, interruption."""

import functools
import os
import signal

import numpy as np
import pytest
import torch
from training import ADAM, quiet_trainer, small_data, small_module

from pinnlab.callbacks import GracefulStop, PhaseProgressBar, SolutionFigures, SolutionWriter
from pinnlab.errors import ConfigurationError
from pinnlab.training.phases import Phase

pytestmark = pytest.mark.filterwarnings("ignore")


def fit(callback, **options):
    module = small_module(phases=[Phase(functools.partial(ADAM), steps=20)])
    trainer = quiet_trainer(callbacks=[callback], enable_progress_bar=isinstance(callback, PhaseProgressBar), **options)
    trainer.fit(module, small_data(module.problem))
    return trainer


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_phase_loss_and_error(capsys, monkeypatch, terminal):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    fit(PhaseProgressBar(refresh=1))
    shown = capsys.readouterr().err
    assert "Adam (1/1)" in shown
    assert "loss" in shown
    assert "error u" in shown
    assert "20/20" in shown


class Interrupt(GracefulStop):
    """Sends itself Ctrl-C at step 4."""

    def on_train_batch_start(self, trainer, *unused):
        if trainer.global_step == 4:
            os.kill(os.getpid(), signal.SIGINT)


def test_first_interrupt_ends_after_the_step_and_gives_the_signal_back():
    before = signal.getsignal(signal.SIGINT)
    callback = Interrupt()
    assert fit(callback).global_step == 5
    assert callback.interrupted
    assert signal.getsignal(signal.SIGINT) is before


def test_second_interrupt_is_immediate():
    callback = GracefulStop()
    callback._on_signal(signal.SIGINT, None)
    with pytest.raises(KeyboardInterrupt):
        callback._on_signal(signal.SIGINT, None)


def test_prediction_files_hold_the_solution_and_are_never_overwritten(tmp_path):
    module = small_module()
    trainer = quiet_trainer(callbacks=[SolutionWriter(str(tmp_path))])
    data = small_data(module.problem)
    for _ in range(2):
        trainer.predict(module, data)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "solution-1.npz", "solution-1_u.png", "solution.npz", "solution_u.png",
    ]  # fmt: skip
    with np.load(tmp_path / "solution.npz") as file:
        solution = dict(file)
    points = torch.stack([torch.from_numpy(solution["x"]), torch.from_numpy(solution["t"])], -1)
    assert np.array_equal(solution["u"], module(points)[:, 0].detach().numpy())
    assert np.allclose(solution["reference_u"], module.problem.reference_values(points)[:, 0])


def test_figures_refuse_a_bad_interval():
    with pytest.raises(ConfigurationError, match=r"SolutionFigures\.every"):
        SolutionFigures(every=0)
