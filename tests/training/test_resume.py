"""A run that was killed and resumed is bitwise the run that was not killed."""

import warnings

import lightning as L
import pytest
import torch
from training import (
    ADAM,
    BATCH_SIZES,
    PARTS,
    PHASES,
    WATCHING_CALLBACKS,
    assert_alike,
    full_run,
    quiet_trainer,
    small_data,
    small_module,
)

from pinnlab.errors import ConfigurationError
from pinnlab.problems import Heat1D
from pinnlab.training.phases import Phase
from pinnlab.training.switching import phases_of

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("batch_size", [None, 8], ids=["full batch", "mini-batch"])
def test_resume_is_bitwise_at_every_checkpoint(tmp_path, batch_size):
    whole, _, module, data = full_run(tmp_path / "whole", batch_size=batch_size, every=1)
    assert set(whole.optimizers.values()) == {"Adam", "LBFGS"}
    assert data.store.version >= 2  # points changed on the way
    checkpoints = sorted((tmp_path / "whole").glob("*.ckpt"))
    assert len(checkpoints) >= 19
    warnings.filterwarnings("error", "You're resuming from a checkpoint that ended before")  # for this test alone
    for path in checkpoints if batch_size is None else checkpoints[::3]:
        again, _, resumed, _ = full_run(tmp_path / "again", ckpt_path=path, batch_size=batch_size, every=100)
        assert resumed.evaluations == module.evaluations, path.name
        for step, parameters in again.parameters.items():
            assert torch.equal(parameters, whole.parameters[step]), f"{path.name}: step {step} differs"


def some_of(folder):
    """Every fourth checkpoint by the order of names, in which 10 comes before 2: before, in and after phases."""
    return sorted(folder.glob("*.ckpt"))[::4]


EVENTS = {"trials": {"trial undone", "trial kept"}, "going_back": {"back"}}
"""What has to happen in some of `PHASES`."""


@pytest.mark.parametrize("phases", PHASES)
def test_resume_of_other_optimizers_is_bitwise(tmp_path, phases):
    batch_size = BATCH_SIZES.get(phases)
    whole, trainer, module, _ = full_run(tmp_path / "whole", every=1, phases=PHASES[phases](), batch_size=batch_size)
    assert EVENTS.get(phases, set()) <= {decision.event for decision in phases_of(trainer).decisions}
    for path in some_of(tmp_path / "whole"):
        again, trainer_again, resumed, _ = full_run(
            tmp_path / "again", ckpt_path=path, every=100, phases=PHASES[phases](), batch_size=batch_size
        )
        assert resumed.evaluations == module.evaluations, path.name
        assert phases_of(trainer_again).decisions == phases_of(trainer).decisions
        for step, parameters in again.parameters.items():
            assert torch.equal(parameters, whole.parameters[step]), f"{path.name}: step {step} differs"


@pytest.mark.parametrize("name", PARTS)
def test_resume_of_windows_as_blocks_is_bitwise(tmp_path, name):
    whole, _, module, _ = full_run(tmp_path / "whole", every=1, **PARTS[name]())
    for path in some_of(tmp_path / "whole"):
        again, _, resumed, _ = full_run(tmp_path / "again", ckpt_path=path, every=100, **PARTS[name]())
        assert resumed.evaluations == module.evaluations, path.name
        for step, parameters in again.parameters.items():
            assert torch.equal(parameters, whole.parameters[step]), f"{path.name}: step {step} differs"


@pytest.mark.parametrize("name", WATCHING_CALLBACKS)
def test_who_only_looks_on_changes_no_bit_and_resumes(tmp_path, name):
    def run(folder, **options):
        found = full_run(folder, callbacks=WATCHING_CALLBACKS[name](), **options)
        return *found, found[1].callbacks[0].state_dict()

    without, _, plain, _ = full_run(tmp_path / "without", every=100)
    whole, _, module, _, seen = run(tmp_path / "whole", every=1)
    assert module.evaluations == plain.evaluations
    for step, parameters in whole.parameters.items():
        assert torch.equal(parameters, without.parameters[step]), f"step {step} differs"
    for path in some_of(tmp_path / "whole"):
        again, _, resumed, _, seen_again = run(tmp_path / "again", ckpt_path=path, every=100)
        assert resumed.evaluations == module.evaluations, path.name
        if again.parameters:  # a run that is over has no batch to look at
            assert_alike(seen_again, seen)
        for step, parameters in again.parameters.items():
            assert torch.equal(parameters, whole.parameters[step]), f"{path.name}: step {step} differs"


def test_checkpoint_holds_tensors_and_primitives_only(tmp_path):
    full_run(tmp_path, every=7)
    for path in tmp_path.glob("*.ckpt"):
        content = torch.load(path, weights_only=True)
        assert content["pinnlab"]["problem"] == "Burgers"
        assert not [p.name for p in tmp_path.iterdir() if p.suffix != ".ckpt"]  # no temporary file is left


def test_checkpoint_of_another_problem_is_refused(tmp_path):
    full_run(tmp_path, every=7)
    path = next(tmp_path.glob("*.ckpt"))
    with pytest.raises(ConfigurationError, match=r"ckpt_path.*Burgers.*Heat1D"):
        full_run(tmp_path / "other", ckpt_path=path, problem=Heat1D())


def test_resume_after_the_end_changes_nothing(tmp_path):
    _, trainer, module, _ = full_run(tmp_path, every=1)
    last = tmp_path / f"step={trainer.global_step}.ckpt"
    again, resumed, same, _ = full_run(tmp_path / "again", ckpt_path=last)
    assert resumed.global_step == trainer.global_step
    assert same.current_loss() == module.current_loss()
    assert not again.parameters


@pytest.mark.slow
def test_resume_is_bitwise_when_compiled(tmp_path):
    whole, _, _, _ = full_run(tmp_path / "whole", every=5, compile=True)
    for path in sorted((tmp_path / "whole").glob("*.ckpt")):
        again, _, _, _ = full_run(tmp_path / "again", ckpt_path=path, every=100, compile=True)
        for step, parameters in again.parameters.items():
            assert torch.equal(parameters, whole.parameters[step])


class Saves(L.Callback):
    """Saves at the end of steps, before the phases have looked at them: callbacks come in the order of the trainer."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_batch_end(self, trainer, *unused):
        trainer.save_checkpoint(self.folder / f"{trainer.global_step}.ckpt")


def test_a_callback_of_ones_own_may_save(tmp_path):
    def fitted(*callbacks, path=None):
        module = small_module(phases=[Phase(ADAM, steps=4), Phase(ADAM, steps=3)])
        trainer = quiet_trainer(callbacks=list(callbacks))
        trainer.fit(module, small_data(module.problem), ckpt_path=path)
        return module, trainer

    whole, trainer = fitted(Saves(tmp_path))
    for step in range(1, 8):
        resumed, again = fitted(path=tmp_path / f"{step}.ckpt")
        assert again.global_step == trainer.global_step == 7
        counts = [(record.steps, record.evaluations, record.stopped) for record in phases_of(again).records]
        assert counts == [(record.steps, record.evaluations, record.stopped) for record in phases_of(trainer).records]
        for own, other in zip(resumed.parameters(), whole.parameters(), strict=True):
            assert torch.equal(own, other), step
