"""A step that is cut off by Ctrl-C in the middle of its line search."""

import functools

import lightning as L
import pytest
import torch
from training import QUASI_NEWTON, SCHWARZ, quiet_trainer, small_data, small_module

from pinnlab.training.phases import Phase

pytestmark = pytest.mark.filterwarnings("ignore")

TORCHS = functools.partial(torch.optim.LBFGS, max_iter=4, line_search_fn="strong_wolfe")


class CtrlC(L.Callback):
    """Comes after some steps, as soon as the loss is evaluated elsewhere than where the last step ended."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.accepted = [p.detach().clone() for p in pl_module.trial.parameters()]

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        if trainer.global_step >= 3 and not all(map(torch.equal, self.accepted, pl_module.trial.parameters())):
            raise KeyboardInterrupt


@pytest.mark.parametrize("optimizer", [QUASI_NEWTON, SCHWARZ, TORCHS])
def test_the_solution_is_that_of_the_last_whole_step(optimizer):
    module, ctrl_c = small_module(phases=[Phase(optimizer, steps=5)]), CtrlC()
    trainer = quiet_trainer(callbacks=[ctrl_c])
    with pytest.raises((SystemExit, KeyboardInterrupt)):  # Lightning makes the one of the other
        trainer.fit(module, small_data(module.problem))
    assert trainer.global_step == 3
    assert all(map(torch.equal, ctrl_c.accepted, module.trial.parameters()))
    trainer = quiet_trainer()
    trainer.fit(module, small_data(module.problem))
    assert trainer.global_step == 5
