"""How often a step has the host wait for its device: once for each decision, and no more."""

import functools

import lightning as L
import pytest
import torch
from card import WAITS, card, card_trainer_options
from training import quiet_trainer, small_data, small_module

from pinnlab.callbacks import Rollback
from pinnlab.optimizers import LBFGS, EnergyNaturalGradient, LevenbergMarquardt, SSBroyden
from pinnlab.training.phases import Phase

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Lightning


class Counter(L.Callback):
    """Notes what each step waited for, and how often it evaluated the loss."""

    def __init__(self):
        self.waits, self.evaluations = [], []

    def on_train_batch_start(self, trainer, pl_module, *unused):
        WAITS.clear()
        self._evaluated = pl_module.evaluations

    def on_train_batch_end(self, trainer, pl_module, *unused):
        self.waits.append(list(WAITS.seen))
        self.evaluations.append(pl_module.evaluations - self._evaluated)


def counted(optimizer, steps=8, updates=1, **options):
    """What the steps of a run waited for, beside their evaluations; the first ones, which set things up, left out."""
    module, counter = small_module(phases=[Phase(optimizer, steps=steps, updates=updates)], **options), Counter()
    with card():
        quiet_trainer(callbacks=[Rollback(every=100), counter], val_check_interval=1000, **card_trainer_options()).fit(
            module, small_data(module.problem)
        )
    assert len(counter.waits) == steps
    return list(zip(counter.waits, counter.evaluations, strict=True))[3:]


@pytest.mark.parametrize(
    "optimizer", [torch.optim.Adam, torch.optim.AdamW, functools.partial(torch.optim.SGD, lr=1e-3)]
)
def test_a_first_order_step_waits_once(optimizer):
    """For the loss and the gradient's being finite, before the gradient gets into the parameters."""
    for waits, evaluations in counted(optimizer):
        assert evaluations == 1
        assert len(waits) == 1, waits


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, functools.partial(torch.optim.SGD, lr=1e-3)])
def test_updates_that_are_not_recorded_wait_once_each(optimizer):
    for waits, evaluations in counted(optimizer, updates=4):
        assert evaluations == 4
        assert len(waits) == 4, waits


@pytest.mark.parametrize("optimizer", [LBFGS, SSBroyden])
@pytest.mark.parametrize("iterations", [1, 4])
def test_a_quasi_newton_iteration_waits_three_times(optimizer, iterations):
    """For the slope where it begins, loss and slope of each trial, and the pair; a step, for its parameters, once."""
    for waits, evaluations in counted(functools.partial(optimizer, iterations=iterations)):
        assert len(waits) <= 1 + 2 * iterations + evaluations, waits


@pytest.mark.parametrize("optimizer", [EnergyNaturalGradient, LevenbergMarquardt])
def test_a_gauss_newton_step_waits_for_its_decisions(optimizer):
    """Where it begins, its system's solvability, the step's being finite, its slope, each loss, and the gain."""
    for waits, evaluations in counted(optimizer):
        losses = evaluations - 2  # one with gradient, one for the Jacobian
        assert len(waits) <= 5 + losses, waits
