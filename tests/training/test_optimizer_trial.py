"""Trials of the next optimizer: kept, they are a switch that came early; undone, they leave nothing behind."""

import functools
import math

import pytest
import torch
from torch.utils.data import DataLoader
from training import ADAM, DECAY, PRIMAL, QUASI_NEWTON, Recorder, quiet_trainer, small_data, small_module

from pinnlab.criteria import FixedSteps, TrialStep
from pinnlab.errors import ConfigurationError, StopReason
from pinnlab.optimizers import MultiBatchLBFGS, SSBroyden
from pinnlab.training.phases import Phase
from pinnlab.training.switching import phases_of

pytestmark = pytest.mark.filterwarnings("ignore")

NEVER = FixedSteps(10**6)


class Lethal(torch.optim.SGD):
    """An optimizer that loses everything in its first step."""

    def step(self, closure=None):
        loss = super().step(closure)
        for parameter in self.param_groups[0]["params"]:
            parameter.data.fill_(float("nan"))
        return loss


class Broken(torch.optim.SGD):
    def step(self, closure=None):
        raise RuntimeError("broken")


class Run:
    """Trains, and keeps what the run was like after every step."""

    def __init__(self, phases, batch_size=None, **options):
        self.module, self.recorder = small_module(phases=phases), Recorder()
        self.data = small_data(self.module.problem, batch_size=batch_size)
        self.trainer = quiet_trainer(callbacks=[self.recorder], **options)
        self.trainer.fit(self.module, self.data)
        self.phases = phases_of(self.trainer)
        self.parameters = self.recorder.parameters

    def events(self):
        return [decision.event for decision in self.phases.decisions]


@pytest.fixture
def refuse(monkeypatch):
    """Every trial comes out badly."""
    judge = TrialStep.judge
    monkeypatch.setattr(TrialStep, "judge", lambda self, before, after, spent: judge(self, before, math.inf, spent))


def proposing(**options):
    return TrialStep(**{"window": 4, "evaluations": 5, "backoff": 1.0, "margin": 1e-9, **options})


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


NEXT = {
    "quasi-Newton": Phase(QUASI_NEWTON, steps=3, scheduler=DECAY),
    "first order": Phase(ADAM, steps=3),
    "Gauss-Newton": Phase(PRIMAL, steps=3),
    "overlapping": Phase(functools.partial(MultiBatchLBFGS, history=4), steps=9),
    "points": Phase(QUASI_NEWTON, steps=3, points={"pde": 33}),
    "lower precision": Phase(ADAM, steps=3, dtype="float32"),
    "wider": Phase(QUASI_NEWTON, steps=3),
    "lethal": Phase(functools.partial(Lethal, lr=1e-3), steps=3),
}


MINI_BATCHES = [("first order", 5), ("overlapping", 5)]


@pytest.mark.parametrize(
    ("present", "tried", "batch_size"),
    [("first order", tried, None) for tried in NEXT]
    + [("first order", *pair) for pair in MINI_BATCHES]
    + [("quasi-Newton", "first order", None), ("quasi-Newton", "lower precision", 5)],
)
def test_a_trial_that_is_undone_leaves_no_trace(refuse, tried, present, batch_size):
    optimizer = {"first order": ADAM, "quasi-Newton": QUASI_NEWTON}[present]
    width = 3 if tried == "wider" else None
    options = {"scheduler": DECAY, "width": width}
    one, other = (
        Run([Phase(optimizer, until=until, **options), NEXT[tried]], batch_size, max_steps=9)
        for until in (proposing(), NEVER)
    )
    assert set(one.events()) == {"trial undone"}
    for step, expected in other.parameters.items():
        assert torch.equal(one.parameters[step], expected), f"step {step}"
    assert same(one.trainer.optimizers[0].state_dict(), other.trainer.optimizers[0].state_dict())
    schedulers = [run.trainer.lr_scheduler_configs[0].scheduler.state_dict() for run in (one, other)]
    assert same(*schedulers)
    assert same(one.data.store.state_dict(), other.data.store.state_dict())
    for mine, theirs in zip(one.module.parameters(), other.module.parameters(), strict=True):
        assert torch.equal(mine.grad, theirs.grad)
    assert one.module.dtype == other.module.dtype
    assert one.module.evaluations > other.module.evaluations
    assert one.phases.records[0].evaluations == one.module.evaluations


@pytest.mark.parametrize(("tried", "batch_size"), [(tried, None) for tried in NEXT if tried != "lethal"] + MINI_BATCHES)
def test_a_trial_that_is_kept_is_an_early_switch(monkeypatch, tried, batch_size):
    monkeypatch.setattr(TrialStep, "judge", lambda *unused: True)
    width = 3 if tried == "wider" else None
    one = Run([Phase(ADAM, until=proposing(), width=width), NEXT[tried]], batch_size)
    other = Run([Phase(ADAM, steps=4, width=width), NEXT[tried]], batch_size)
    assert one.events() == ["trial kept", "stop"]
    first, second = one.phases.records
    made = NEXT[tried].steps - (max(one.parameters) - 4)  # during the trial
    assert made >= 1
    for step in range(5, max(one.parameters) + 1):
        assert torch.equal(one.parameters[step], other.parameters[step + made]), f"step {step}"
    assert (first.steps, second.steps) == (4, NEXT[tried].steps)
    assert first.evaluations + second.evaluations == one.module.evaluations
    assert same(one.trainer.optimizers[0].state_dict(), other.trainer.optimizers[0].state_dict())


def test_the_outcome_is_that_of_the_optimizer(monkeypatch):
    seen = []
    monkeypatch.setattr(TrialStep, "judge", lambda self, *outcome: seen.append(outcome) or True)
    for optimizer in (ADAM, QUASI_NEWTON):
        run = Run([Phase(ADAM, until=proposing()), Phase(optimizer, steps=9)], max_steps=4)
        with torch.no_grad():
            after = run.module.training_step(run.data.store.batch(), 0).item()
        plain = Run([Phase(ADAM, steps=4)])
        with torch.no_grad():
            before = plain.module.training_step(plain.data.store.batch(), 0).item()
        assert seen[-1][:2] == pytest.approx((before, after), rel=1e-12)
        assert 5 <= seen[-1][2] == run.phases.records[1].evaluations


def test_a_trial_that_beats_the_present_optimizer_is_kept_and_one_that_loses_is_not():
    slow = functools.partial(torch.optim.Adam, lr=1e-6)
    better = Run([Phase(slow, until=proposing(margin=1.0)), Phase(QUASI_NEWTON, steps=3)])
    assert better.events() == ["trial kept", "stop"]
    worse = Run([Phase(ADAM, steps=9, until=proposing(margin=1.0)), Phase(slow, steps=3)])
    assert worse.events()[0] == "trial undone"
    decision = worse.phases.decisions[0]
    assert (decision.step, decision.phase) == (4, 1)
    assert decision.value < 1
    assert decision.reason.startswith("trial step")


def test_a_trial_makes_no_more_steps_than_the_phase_has():
    run = Run([Phase(ADAM, until=proposing()), Phase(QUASI_NEWTON, steps=1), Phase(SSBroyden, steps=2)])
    assert run.events() == ["trial kept", "switch", "stop"]
    assert [record.steps for record in run.phases.records] == [4, 1, 2]
    assert run.phases.records[1].stopped == StopReason.STEPS.value


def test_steps_end_a_phase_whose_trials_fail(refuse):
    run = Run([Phase(ADAM, steps=6, until=proposing()), Phase(QUASI_NEWTON, steps=2)])
    assert run.events()[-2:] == ["switch", "stop"]
    assert [record.steps for record in run.phases.records] == [6, 2]
    assert [record.stopped for record in run.phases.records] == [StopReason.STEPS.value] * 2


def test_an_error_in_a_trial_is_an_error():
    with pytest.raises(RuntimeError, match="broken"):
        Run([Phase(ADAM, until=proposing()), Phase(functools.partial(Broken, lr=1.0), steps=3)])


def test_there_must_be_a_phase_to_try():
    with pytest.raises(ConfigurationError, match=r"^model\.phases\.until: a TrialStep in the last phase.*$"):
        Run([Phase(ADAM, until=proposing())])


def test_the_next_phase_must_have_points():
    module = small_module(phases=[Phase(ADAM, until=proposing()), Phase(QUASI_NEWTON, steps=1)])
    data = small_data(module.problem)
    data.setup()
    loader = DataLoader([data.store.batch()], batch_size=None)
    with pytest.raises(ConfigurationError, match=r"^model\.phases\.until: a TrialStep needs points.*$"):
        quiet_trainer(check_val_every_n_epoch=1, val_check_interval=None).fit(module, loader)


def test_gradients_are_clipped_as_in_training(monkeypatch):
    monkeypatch.setattr(TrialStep, "judge", lambda *unused: True)
    descent = Phase(functools.partial(torch.optim.SGD, lr=1.0), steps=9)
    one = Run([Phase(ADAM, until=proposing()), descent], gradient_clip_val=1e-3)
    other = Run([Phase(ADAM, steps=4), descent], gradient_clip_val=1e-3)
    assert torch.equal(one.parameters[max(one.parameters)], other.parameters[13])
