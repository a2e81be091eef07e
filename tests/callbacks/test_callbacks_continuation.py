"""A number of the problem goes in stages to the one that was asked for."""

import functools
import math

import lightning as L
import pytest
import torch
from training import ADAM, PROBLEM_CALLBACKS, QUASI_NEWTON, full_run, quiet_trainer, small_data, small_module

from pinnlab import Phase
from pinnlab.callbacks import Continuation, RunSummary
from pinnlab.errors import ConfigurationError
from pinnlab.problems import Burgers, Poisson1D
from pinnlab.training.switching import phases_of

pytestmark = pytest.mark.filterwarnings("ignore")


class Watch(L.Callback):
    """What a step was made with."""

    def __init__(self):
        self.seen, self.losses = [], []

    def on_train_batch_end(self, trainer, pl_module, *unused):
        self.seen.append(pl_module.problem.viscosity)
        self.losses.append(pl_module.current_loss())


def fit(*continuations, steps=12, problem=None, phases=None, **options):
    problem = problem or Burgers(viscosity=0.1, exact_conditions=False)
    module = small_module(problem, phases or [Phase(ADAM, steps=steps)], **options)
    data, watch = small_data(problem), Watch()
    quiet_trainer(callbacks=[*continuations, watch]).fit(module, data)
    return watch, module, data


def test_stages_by_steps():
    watch, module, data = fit(Continuation("viscosity", 10.0, steps=8, stages=3))
    assert watch.seen == pytest.approx([10.0] * 4 + [1.0] * 4 + [0.1] * 4, rel=1e-15)
    assert watch.seen[-1] == module.problem.viscosity == 0.1
    assert module.objective_version() == 2
    points, reference = data.evaluation_set()
    assert torch.equal(reference, Burgers(viscosity=0.1).reference_values(points))


def test_linear_stages():
    watch, *_ = fit(Continuation("viscosity", 0.3, steps=4, stages=5, schedule="linear"), steps=6)
    assert watch.seen == pytest.approx([0.3, 0.25, 0.2, 0.15, 0.1, 0.1], rel=1e-12)


def test_stages_by_the_loss_come_after_it_is_small():
    bound = 1.0
    watch, *_ = fit(Continuation("viscosity", 0.4, below=bound, stages=3, schedule="linear"), steps=60)
    values = list(dict.fromkeys(watch.seen))
    assert values == pytest.approx([0.4, 0.25, 0.1][: len(values)], rel=1e-12)
    assert len(values) > 1
    for value in values[:-1]:
        losses = [loss for loss, seen in zip(watch.losses, watch.seen, strict=True) if seen == value]
        assert losses[-1] < bound
        assert all(loss >= bound for loss in losses[:-1])


def test_the_problem_is_what_was_posed_when_a_run_ends_early():
    _, module, _ = fit(Continuation("viscosity", 10.0, steps=800), steps=3)
    assert module.problem.viscosity == 0.1


def test_a_second_fit_begins_with_the_first_stage_again():
    continuation = Continuation("viscosity", 10.0, steps=4, stages=2)
    for _ in range(2):
        watch, *_ = fit(continuation, steps=5)
        assert watch.seen == [10.0] * 4 + [0.1]


def test_so_does_a_second_fit_of_the_same_trainer_which_goes_on_counting():
    problem = Burgers(viscosity=0.1, exact_conditions=False)
    module, data, watch = small_module(problem, [Phase(ADAM, steps=5)]), small_data(problem), Watch()
    summary = RunSummary()
    trainer = quiet_trainer(callbacks=[Continuation("viscosity", 10.0, steps=4, stages=2), watch, summary])
    for _ in range(2):
        watch.seen.clear()
        trainer.fit(module, data)
        assert watch.seen == [10.0] * 4 + [0.1]
        assert summary.result["steps"] == 5
        assert phases_of(trainer).history.phase_step(trainer.global_step) == 5
    assert trainer.global_step == 10


@pytest.mark.usefixtures("traced")
def test_compiled_functions_take_the_number_as_an_argument():
    phases = [Phase(ADAM, steps=6), Phase(functools.partial(QUASI_NEWTON), steps=2)]
    watch, module, _ = fit(Continuation("viscosity", 1.0, steps=6, stages=6), phases=phases, compile=True)
    plain, *_ = fit(Continuation("viscosity", 1.0, steps=6, stages=6), phases=phases)
    assert watch.seen == plain.seen
    assert watch.losses == pytest.approx(plain.losses, rel=1e-9)
    assert module.objective.compiled  # names what was
    assert module.objective._rebuilt == 0


@pytest.mark.parametrize("name", PROBLEM_CALLBACKS)
def test_resume_is_bitwise(tmp_path, name):
    whole, _, module, _ = full_run(tmp_path / "whole", every=1, callbacks=PROBLEM_CALLBACKS[name]())
    assert module.system.readings.version > 1
    for path in sorted((tmp_path / "whole").glob("*.ckpt"))[::3]:
        again, _, resumed, _ = full_run(
            tmp_path / "again", ckpt_path=path, every=100, callbacks=PROBLEM_CALLBACKS[name]()
        )
        assert resumed.evaluations == module.evaluations, path.name
        for step, parameters in again.parameters.items():
            assert torch.equal(parameters, whole.parameters[step]), f"{path.name}: step {step} differs"


BAD = {
    "give either steps or below": lambda: Continuation("viscosity", 1.0),
    "either steps or below": lambda: Continuation("viscosity", 1.0, steps=3, below=0.1),
    "steps": lambda: Continuation("viscosity", 1.0, steps=0),
    "stages": lambda: Continuation("viscosity", 1.0, steps=3, stages=1),
    "below": lambda: Continuation("viscosity", 1.0, below=-1.0),
    "schedule": lambda: Continuation("viscosity", 1.0, steps=3, schedule="cubic"),
    "start": lambda: Continuation("viscosity", math.inf, steps=3),
    "one sign": lambda: fit(Continuation("viscosity", -1.0, steps=3)),
    "viscosity": lambda: fit(Continuation("viscositi", 1.0, steps=3)),
    "must be a float": lambda: fit(Continuation("frequency", 1.0, steps=3), problem=Poisson1D(frequency=2)),
}


@pytest.mark.parametrize("key", BAD)
def test_bad_options_are_refused_in_one_line(key):
    with pytest.raises(ConfigurationError) as caught:
        BAD[key]()
    assert key in str(caught.value)
    assert "\n" not in str(caught.value)
