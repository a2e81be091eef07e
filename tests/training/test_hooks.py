"""Hooks of a subclass call the inherited ones, or are refused; those that PINN has no part in are free."""

import pytest
import torch
from training import ADAM, quiet_trainer, small_data

from pinnlab import PINN, Phase
from pinnlab.errors import ConfigurationError
from pinnlab.problems import Poisson1D

pytestmark = pytest.mark.filterwarnings("ignore")


class Passing(PINN):
    """Logs the size of the gradient and saves a number of its own."""

    seen = 0

    @torch.no_grad()
    def on_before_optimizer_step(self, optimizer):
        super().on_before_optimizer_step(optimizer)
        self.seen += 1

    def on_save_checkpoint(self, checkpoint):
        PINN.on_save_checkpoint(self, checkpoint)
        checkpoint["seen"] = self.seen

    def on_after_backward(self):
        """Of Lightning's alone."""


class Saving(PINN):
    def on_save_checkpoint(self, checkpoint):
        checkpoint["seen"] = 1


class Beginning(Passing):
    def on_train_batch_start(self, batch, batch_idx):
        pass


class Mixin:
    @torch.no_grad()
    def on_fit_start(self):
        pass


class Mixed(Mixin, PINN):
    pass


class SettingUp(PINN):
    def setup(self, stage):
        pass


class Calling(PINN):
    def configure_callbacks(self):
        return []


def fit(kind):
    problem = Poisson1D()
    module = kind(problem, phases=[Phase(ADAM, steps=2)])
    trainer = quiet_trainer()
    trainer.fit(module, small_data(problem))
    return module, trainer


def test_hooks_that_pass_the_call_on(tmp_path):
    module, trainer = fit(Passing)
    assert module.seen == 2
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    assert {"pinnlab", "seen"} <= torch.load(tmp_path / "run.ckpt", weights_only=True).keys()


@pytest.mark.parametrize(
    ("kind", "hook"),
    [
        (Saving, "Saving.on_save_checkpoint"),
        (Beginning, "Beginning.on_train_batch_start"),
        (Mixed, "Mixin.on_fit_start"),
        (SettingUp, "SettingUp.setup"),
        (Calling, "Calling.configure_callbacks"),
    ],
)
def test_hooks_that_do_not_are_refused(kind, hook):
    name = hook.partition(".")[2]
    with pytest.raises(ConfigurationError) as refused:
        fit(kind)
    assert str(refused.value) == f"{hook}: PINN has work of its own in this hook; begin with super().{name}(...)"
