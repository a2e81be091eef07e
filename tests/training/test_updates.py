"""Steps of several updates are those updates, one after the other; one process or two: `tests/ddp`."""

import functools
import warnings
from dataclasses import replace

import lightning as L
import pytest
import torch
from compiling import needs_compiler
from training import ADAM, DECAY, QUASI_NEWTON, Recorder, quiet_trainer, small_data, small_module, two_levels

from pinnlab import PINN
from pinnlab.errors import ConfigurationError, NotFiniteError
from pinnlab.networks import MLP
from pinnlab.numerics.graph_replay import PLAIN_CALLS, Recordings, by_calling
from pinnlab.objective import global_loss
from pinnlab.problems import Burgers
from pinnlab.training import updates
from pinnlab.training.optimizer_trial import probe
from pinnlab.training.phases import Phase, planned_evaluations

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Lightning

OPTIMIZERS = {
    "Adam": ADAM,
    "AdamW": functools.partial(torch.optim.AdamW, lr=5e-3, amsgrad=True, weight_decay=0.1),
    "one tensor at a time": functools.partial(torch.optim.Adam, lr=5e-3, foreach=False),
    "gradient descent": functools.partial(torch.optim.SGD, lr=1e-3, momentum=0.9),
}


@pytest.fixture
def recorded(recorded, monkeypatch):
    """Has them recorded at any rate."""
    monkeypatch.setattr(updates, "STEADY_STEPS", 0)
    return recorded


def run(*phases, problem=None, callbacks=(), module=None, compile=False, **trainer):
    """A run; its module and the parameters after each step."""
    recorder, module = Recorder(), module or small_module(problem, phases=[*phases], compile=compile)
    quiet_trainer(callbacks=[*callbacks, recorder], **trainer).fit(module, small_data(module.problem))
    return module, recorder.parameters


def alike(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[step], other[step]) for step in one)


def unrecorded(*phases, **options):
    """The same run where nothing is recorded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(global_loss, "recordings_for", lambda device: None)
        return run(*phases, **options)


@pytest.mark.parametrize("trainer", [{}, {"gradient_clip_val": 1e-2}])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_three_updates_in_a_step_are_three_steps(name, trainer):
    one, singly = run(Phase(OPTIMIZERS[name], steps=12), **trainer)
    other, together = run(Phase(OPTIMIZERS[name], steps=4, updates=3), **trainer)
    assert len(together) == 4
    for step, parameters in together.items():
        assert torch.equal(parameters, singly[3 * step])
    assert one.evaluations == other.evaluations == 12
    assert one.points_seen == other.points_seen
    assert one.current_loss() == other.current_loss()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_that_are_recorded_are_the_same(name, recorded):
    steps = 2 + PLAIN_CALLS + 2
    module, parameters = run(Phase(OPTIMIZERS[name], steps=steps, updates=3))
    assert len(recorded) == (name in ("Adam", "AdamW"))
    _, singly = run(Phase(OPTIMIZERS[name], steps=3 * steps))
    assert all(torch.equal(own, singly[3 * step]) for step, own in parameters.items())
    assert module.evaluations == 3 * steps


def test_many_updates_are_recorded_in_parts(recorded, monkeypatch):
    monkeypatch.setattr(updates, "MOST_RECORDED", 3)
    steps = 2 + PLAIN_CALLS + 2
    _, parameters = run(Phase(ADAM, steps=steps, updates=9))  # 3 + 3 + 2, and Lightning's
    assert len(recorded) == 2
    _, singly = run(Phase(ADAM, steps=9 * steps))
    assert all(torch.equal(own, singly[9 * step]) for step, own in parameters.items())


def every(steps):
    return functools.partial(torch.optim.lr_scheduler.StepLR, step_size=steps, gamma=0.9)


@pytest.mark.parametrize(("scheduler", "made"), [(DECAY, 0), (every(9), 0), (every(14), 2)])
def test_updates_are_recorded_where_the_rate_stays(scheduler, made, recorded, monkeypatch):
    monkeypatch.setattr(updates, "STEADY_STEPS", 10)
    phase = Phase(ADAM, steps=30, updates=3, scheduler=scheduler)
    _, parameters = run(phase)
    assert len(recorded) == made
    assert alike(parameters, unrecorded(phase)[1])


def test_what_cannot_be_recorded_is_tried_once(monkeypatch):
    tried = []

    def refuse(compute):
        tried.append(compute)
        raise RuntimeError("it waits")

    monkeypatch.setattr(global_loss, "recordings_for", lambda device: Recordings(device, refuse))
    monkeypatch.setattr(updates, "STEADY_STEPS", 1)
    phase = Phase(ADAM, steps=30, updates=3, scheduler=every(8))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        _, parameters = run(phase)
    assert len(tried) == 1
    assert [str(w.message) for w in seen if "kernel by kernel" in str(w.message)] == [
        "updates of Adam: cannot be replayed, it runs kernel by kernel: it waits"
    ]
    assert alike(parameters, unrecorded(phase)[1])


class Kept:
    """Makes the recordings of runs, and keeps them."""

    def __init__(self):
        self.made = []

    def __call__(self, device):
        self.made.append(Recordings(device, by_calling))
        return self.made[-1]


class Count(L.Callback):
    """How many recordings there are at the end of the training."""

    def __init__(self, kept):
        self._kept = kept

    def on_train_end(self, *unused):
        self.found = len(self._kept.made[-1])


def test_recordings_of_other_rates_are_thrown_away_and_the_last_ones_go_with_the_run(recorded, monkeypatch):
    kept = Kept()
    monkeypatch.setattr(global_loss, "recordings_for", kept)
    count = Count(kept)
    run(Phase(ADAM, steps=30, updates=3, scheduler=every(6)), callbacks=[count])
    assert count.found == 1
    assert len(kept.made[-1]) == 0


def test_updates_of_a_part_of_the_network_are_recorded(recorded):
    narrow, wider, *rest = two_levels()
    phases = [*(replace(phase, updates=3, steps=6, scheduler=None) for phase in (narrow, wider)), *rest]
    _, parameters = run(*phases)
    assert len(recorded) == 2
    assert alike(parameters, unrecorded(*phases)[1])


@needs_compiler
@pytest.mark.slow
def test_the_loss_in_updates_is_the_one_that_is_compiled(recorded):
    module, _ = run(Phase(ADAM, steps=8, updates=3), compile=True)
    assert module.objective.compilation()["functions"] == ["loss and gradient"]
    assert len(module.objective.compiler.used) == 1


class Freezer(L.Callback):
    """Has a parameter trained no longer."""

    def on_train_batch_start(self, trainer, pl_module, *unused):
        next(iter(pl_module.trial.parameters())).requires_grad_(trainer.global_step < 6)


def test_a_parameter_that_is_frozen_stays(recorded):
    phase = Phase(ADAM, steps=12, updates=3)
    _, parameters = run(phase, callbacks=[Freezer()])
    assert recorded
    assert alike(parameters, unrecorded(phase, callbacks=[Freezer()])[1])


class WithPenalty(PINN):
    """Somebody's own loss and clipping."""

    clipped = 0

    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) + 0.1 * sum(p.square().sum() for p in self.trial.parameters())

    def configure_gradient_clipping(self, *unused, **options):
        self.clipped += 1


def with_penalty(number):
    torch.manual_seed(0)
    problem = Burgers(viscosity=0.1, exact_conditions=False)
    adam = Phase(ADAM, steps=12 // number, updates=number)
    return WithPenalty(problem, functools.partial(MLP, hidden=[6]), [adam], compile=False, seed=0)


def test_what_a_subclass_says_holds_for_all_updates(recorded):
    one, singly = run(module=with_penalty(1))
    other, together = run(module=with_penalty(3))
    assert not recorded
    assert all(torch.equal(own, singly[3 * step]) for step, own in together.items())
    assert one.clipped == other.clipped == 12


class OfDefault(Burgers):
    """Burgers' equation with a number that has the precision torch is set to."""

    def momentum(self, u, x, t):
        return super().momentum(u, x, t) + torch.full((1,), 1 / 3) * u


@pytest.mark.parametrize("how", ["one by one", "recorded"])
def test_all_updates_are_made_in_the_precision_of_the_trainer(how, request):
    made = request.getfixturevalue("recorded") if how == "recorded" else [None]
    results = []
    for number in (1, 3):
        problem, adam = OfDefault(exact_conditions=False), Phase(ADAM, steps=24 // number, updates=number)
        results.append(run(adam, problem=problem, precision="64-true")[1])
    assert made
    assert all(torch.equal(own, results[0][3 * step]) for step, own in results[1].items())


def test_a_trial_step_is_judged_by_the_loss_at_its_start():
    outcomes = []
    for number in (1, 3):
        outcome = []

        class Probe(L.Callback):
            def on_train_batch_end(self, trainer, pl_module, *unused, outcome=outcome):
                if trainer.global_step == 2:
                    outcome.append(probe(trainer, pl_module, 6))

        run(Phase(ADAM, steps=12 // number, updates=number), callbacks=[Probe()])
        outcomes += outcome
    # The one that makes three updates a step begins two steps, which are six updates, behind the other.
    assert outcomes[0].after < outcomes[0].before
    assert outcomes[1].after < outcomes[1].before
    _, losses = outcomes, []
    for steps in (2, 6, 12):
        module, _ = run(Phase(ADAM, steps=steps))
        losses.append(float(module.objective(module.batch, module.loss_weights)))
    assert outcomes[0].before == pytest.approx(losses[0], rel=1e-12)
    assert outcomes[1].before == pytest.approx(losses[1], rel=1e-12)
    assert outcomes[1].after == pytest.approx(losses[2], rel=1e-12)


def test_a_problem_that_changes_is_followed(recorded):
    class Thinner(Recorder):
        def on_train_batch_start(self, trainer, pl_module, *unused):
            pl_module.problem.viscosity = 0.1 if trainer.global_step < 6 else 0.01

    def fit():
        recorder, module = Thinner(), small_module(Burgers(viscosity=0.1), phases=[Phase(ADAM, steps=12, updates=3)])
        quiet_trainer(callbacks=[recorder]).fit(module, small_data(module.problem))
        return recorder.parameters

    found = fit()
    assert len(recorded) == 2  # once for each viscosity
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(global_loss, "recordings_for", lambda device: None)
        assert alike(found, fit())


class Cracked(Burgers):
    """Burgers' equation with a root that is no number once the solution has grown."""

    def momentum(self, u, x, t):
        return super().momentum(u, x, t) + torch.sqrt(3.0 - u * u)


def until_it_cracks(updates):
    """Runs into a residual that is not finite; the module and the line that says so."""
    steep = functools.partial(torch.optim.Adam, lr=0.05)
    module = small_module(Cracked(exact_conditions=False), phases=[Phase(steep, steps=999, updates=updates)])
    with pytest.raises(NotFiniteError) as error:
        quiet_trainer().fit(module, small_data(module.problem))
    return module, str(error.value).split(" in step")[0]


@pytest.mark.parametrize("how", ["one by one", "recorded"])
def test_a_gradient_that_is_not_finite_is_met_where_it_is(how, request):
    if how == "recorded":
        request.getfixturevalue("recorded")
    single, line = until_it_cracks(1)
    found, same = until_it_cracks(3)
    assert single.evaluations > 20
    assert single.evaluations % 3, "the last update of a step, which is Lightning's, meets it: choose another rate"
    assert same == line
    assert line.startswith("residual of condition 'pde'")
    for mine, its in zip(found.trial.parameters(), single.trial.parameters(), strict=True):
        assert torch.equal(mine, its)


def test_updates_are_planned_for():
    phases = [Phase(ADAM, steps=100, updates=10), Phase(QUASI_NEWTON, steps=2)]
    parameters = [torch.nn.Parameter(torch.zeros(3))]
    assert planned_evaluations(phases, parameters, -1) == 1000 + planned_evaluations(phases[1:], parameters, -1)


REFUSED = {
    "line search": ({"optimizer": QUASI_NEWTON}, {}, "model.phases.0.updates: LBFGS evaluates several times a step"),
    "accumulated": ({}, {"accumulate_grad_batches": 2}, "trainer.accumulate_grad_batches: must be 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_is_refused_in_one_line(name):
    options, trainer, words = REFUSED[name]
    with pytest.raises(ConfigurationError) as error:
        run(Phase(**{"optimizer": ADAM, "steps": 3, "updates": 2, **options}), **trainer)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("number", [0, -1, 1.5, True])
def test_a_number_of_updates_is_a_whole_one(number):
    with pytest.raises(ConfigurationError, match=r"model\.phases\.updates: must be"):
        Phase(ADAM, steps=3, updates=number)


def test_a_phase_in_words_tells_its_updates():
    assert "updates=3" in repr(Phase(ADAM, steps=2, updates=3))
    assert "updates" not in repr(Phase(ADAM, steps=2))
