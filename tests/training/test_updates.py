"""Steps of several updates are those updates, one after the other; one process or two: `tests/ddp`."""

import functools

import pytest
import torch
from training import ADAM, DECAY, QUASI_NEWTON, Recorder, quiet_trainer, small_data, small_module

from pinnlab.errors import ConfigurationError, NotFiniteError
from pinnlab.numerics.graph_replay import PLAIN_CALLS, Recordings, by_calling
from pinnlab.objective import global_loss
from pinnlab.problems import Burgers
from pinnlab.training import updates
from pinnlab.training.phases import Phase, planned_evaluations

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Lightning

OPTIMIZERS = {
    "Adam": ADAM,
    "AdamW": functools.partial(torch.optim.AdamW, lr=5e-3, amsgrad=True, weight_decay=0.1),
    "one tensor at a time": functools.partial(torch.optim.Adam, lr=5e-3, foreach=False),
    "gradient descent": functools.partial(torch.optim.SGD, lr=1e-3, momentum=0.9),
}


@pytest.fixture
def recorded(monkeypatch):
    """Has evaluations recorded anywhere, by calling again, and lists what is recorded."""
    made = []

    def record(compute):
        made.append(compute)
        return by_calling(compute)

    monkeypatch.setattr(global_loss, "recordings_for", lambda device: Recordings(device, record))
    return made


def run(*phases, problem=None, **trainer):
    """A run; its module and the parameters after each step."""
    recorder, module = Recorder(), small_module(problem, phases=[*phases])
    quiet_trainer(callbacks=[recorder], **trainer).fit(module, small_data(module.problem))
    return module, recorder.parameters


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


def test_updates_at_a_rate_that_changes_are_not_recorded_and_are_right(recorded, monkeypatch):
    phase = Phase(ADAM, steps=8, updates=3, scheduler=DECAY)
    _, parameters = run(phase)
    assert not recorded
    monkeypatch.undo()
    _, expected = run(phase)
    assert all(torch.equal(own, expected[step]) for step, own in parameters.items())


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
        expected = fit()
    assert len(recorded) == 2
    assert all(torch.equal(own, expected[step]) for step, own in found.items())


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
    "line search": ({"optimizer": QUASI_NEWTON}, {}, "model.phases.updates: LBFGS evaluates several times a step"),
    "accumulated": ({}, {"accumulate_grad_batches": 2}, "trainer.accumulate_grad_batches: must be 1"),
    "half": ({}, {"precision": "bf16-mixed"}, "trainer.precision: bf16-mixed cannot go with model.phases.updates"),
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
