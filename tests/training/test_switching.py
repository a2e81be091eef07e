"""Moving through phases: forward on a criterion, back when the next optimizer fails, and what is told of it."""

import functools
import json
import math

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from training import (
    ADAM,
    BOTH,
    DECAY,
    PHASES,
    QUASI_NEWTON,
    WARM_UP,
    Picky,
    Recorder,
    quiet_trainer,
    small_data,
    small_module,
)

from pinnlab.callbacks import FreshPoints, Rollback, RunSummary
from pinnlab.criteria import FixedSteps, LossPlateau, recommended
from pinnlab.errors import ConfigurationError, StopReason
from pinnlab.optimizers import SSBroyden
from pinnlab.training.phases import Phase
from pinnlab.training.switching import phases_of

pytestmark = pytest.mark.filterwarnings("ignore")

BROYDEN = functools.partial(SSBroyden, iterations=3)


class Stubborn(torch.optim.SGD):
    """An optimizer that does not move where the loss is not small yet, and says that it stalled."""

    multi_eval = True

    def __init__(self, parameters, bound, forward=False):
        super().__init__(parameters, lr=1e-3)
        self.bound, self.forward, self.status = bound, forward, StopReason.RUNNING

    def step(self, closure=None):
        self.status = StopReason.STALLED if closure() > self.bound else StopReason.RUNNING
        if self.forward or self.status is StopReason.RUNNING:
            super().step()


class Points(L.Callback):
    """Keeps the number of points and the dtype after every step."""

    def __init__(self):
        self.counts, self.dtypes = {}, {}

    def on_train_batch_end(self, trainer, pl_module, *unused):
        self.counts[trainer.global_step] = len(trainer.datamodule.store.rows["pde"])
        self.dtypes[trainer.global_step] = pl_module.dtype


class Run:
    """Trains, and keeps what the run was like after every step."""

    def __init__(self, phases, *callbacks, **options):
        self.module, recorder = small_module(phases=phases), Recorder()
        self.data = small_data(self.module.problem)
        self.trainer = quiet_trainer(callbacks=[*callbacks, recorder], **options)
        self.trainer.fit(self.module, self.data)
        self.parameters, self.optimizers = recorder.parameters, recorder.optimizers
        phases = phases_of(self.trainer)
        self.records, self.decisions = phases.records, phases.decisions

    def events(self):
        return [(d.step, d.phase, d.event) for d in self.decisions]

    def history(self):
        return [(record.phase, record.steps) for record in self.records]


def plateau(window):
    return LossPlateau(window=window, tolerance=1e6)


def test_three_phases_follow_one_another_on_a_criterion(capsys):
    phases = [Phase(ADAM, until=plateau(4)), Phase(QUASI_NEWTON, until=FixedSteps(3)), Phase(BROYDEN, steps=2)]
    run = Run(phases)
    first = run.records[0].steps
    assert run.events() == [(first, 1, "switch"), (first + 3, 2, "switch"), (first + 5, 3, "stop")]
    assert run.history() == [(1, first), (2, 3), (3, 2)]
    assert [run.optimizers[first], run.optimizers[first + 1], run.optimizers[first + 4]] == [
        "Adam",
        "LBFGS",
        "SSBroyden",
    ]
    reasons = [decision.reason for decision in run.decisions]
    assert reasons == [record.stopped for record in run.records]
    assert reasons[0].startswith("loss plateau")
    assert reasons[2] == StopReason.STEPS.value
    assert isinstance(run.decisions[0].value, float)
    assert run.decisions[2].value is None
    spent = [record.evaluations for record in run.records]
    assert [decision.evaluations for decision in run.decisions] == [sum(spent[:k]) for k in (1, 2, 3)]
    assert f"phase 1 (Adam), {first} steps, switch: {reasons[0]}\n" in capsys.readouterr().out


def test_callbacks_are_told_before_the_switch():
    class Told(L.Callback):
        phases = []  # noqa: RUF012

        def before_switch(self, trainer, pl_module):
            self.phases.append((pl_module.phase, type(pl_module.current_optimizer()).__name__))

    Run([Phase(ADAM, steps=2), Phase(QUASI_NEWTON, steps=2), Phase(ADAM, steps=1)], Told())
    assert Told.phases == [(0, "Adam"), (1, "LBFGS")]


class Freezer(L.Callback):
    """Freezes or unfreezes the first parameter in the middle of a phase, or before a switch; perhaps hands it over."""

    def __init__(self, frozen, hook, add=False):
        self.frozen, self.add = frozen, add
        setattr(self, hook, self.change)

    def setup(self, trainer, pl_module, stage):
        next(pl_module.trial.parameters()).requires_grad_(self.frozen)

    def change(self, trainer, pl_module, *unused):
        if pl_module.global_step >= 2 and not hasattr(self, "before"):
            parameter = next(pl_module.trial.parameters()).requires_grad_(not self.frozen)
            self.before = parameter.detach().clone()
            if self.add:
                trainer.optimizers[0].add_param_group({"params": [parameter]})

    def moved(self, run):
        return not torch.equal(self.before, next(run.module.trial.parameters()))


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("optimizer", [ADAM, functools.partial(torch.optim.LBFGS, lr=0.1), QUASI_NEWTON])
def test_what_is_trained_does_not_change_in_the_middle_of_a_phase(optimizer, frozen):
    freezer = Freezer(frozen, "on_train_batch_start")
    if frozen and optimizer is ADAM:
        assert not freezer.moved(Run([Phase(ADAM, steps=5)], freezer))  # a first-order method leaves it alone
        return
    with pytest.raises(ConfigurationError, match="requires_grad of a parameter has changed since"):
        Run([Phase(optimizer, steps=5)], freezer)


@pytest.mark.parametrize(("hook", "add"), [("before_switch", False), ("on_train_batch_start", True)])
def test_what_is_unfrozen_before_a_switch_or_handed_over_is_trained(hook, add):
    freezer = Freezer(False, hook, add)
    assert freezer.moved(Run([Phase(ADAM, steps=4), Phase(ADAM, steps=3)], freezer))


def test_decisions_are_in_the_summary_and_in_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoardLogger(tmp_path, default_hp_metric=False)
    phases = [Phase(ADAM, until=plateau(4)), Phase(QUASI_NEWTON, until=FixedSteps(3)), Phase(BROYDEN, steps=2)]
    run = Run(phases, RunSummary(), logger=logger, log_every_n_steps=1)
    (path,) = tmp_path.rglob("summary.json")
    summary = json.loads(path.read_text())
    assert [d["event"] for d in summary["decisions"]] == ["switch", "switch", "stop"]
    assert [d["reason"] for d in summary["decisions"]] == [d.reason for d in run.decisions]
    assert [record["phase"] for record in summary["phases"]] == [1, 2, 3]
    events = EventAccumulator(logger.log_dir).Reload()
    lines = events.Tensors("decisions/text_summary")
    assert [event.step for event in lines] == [d.step for d in run.decisions]
    for event, decision in zip(lines, run.decisions, strict=True):
        (line,) = event.tensor_proto.string_val
        number = "" if decision.value is None else f" ({decision.value:.4g})"
        assert line.decode().startswith(f"phase {decision.phase} (")
        assert line.decode().endswith(f"{decision.event}: {decision.reason}{number}")
    assert any(decision.value is not None for decision in run.decisions)
    assert len(events.Scalars("training/criterion")) >= 1


@pytest.mark.parametrize("logger", [None, CSVLogger])
def test_decisions_need_no_tensorboard(tmp_path, logger):
    run = Run([Phase(ADAM, steps=2), Phase(QUASI_NEWTON, steps=1)], logger=logger(tmp_path) if logger else False)
    assert run.events() == [(2, 1, "switch"), (3, 2, "stop")]


def test_what_decisions_depend_on_survives_a_round_trip():
    run = Run(PHASES["going_back"](), Rollback(every=4))
    callback = phases_of(run.trainer)
    state = json.loads(json.dumps(callback.state_dict()))
    again = type(callback)()
    again.load_state_dict(state)
    assert again.state_dict() == callback.state_dict()
    assert again.decisions == run.decisions


# ------------------------------------------------------------------------------------------- going back


def fragile(bound):
    return functools.partial(Picky, bound=bound)


@pytest.mark.parametrize("scheduler", [DECAY, WARM_UP, BOTH], ids=["decay", "warm-up", "both"])
def test_a_phase_that_blows_up_at_once_gives_way_to_the_one_before(scheduler):
    """Which goes on as if nothing had been, for as many steps as it had made, with its moments and its rate."""
    plain = Run([Phase(ADAM, steps=30, scheduler=scheduler)])
    rollback = Rollback(every=4)
    run = Run([Phase(ADAM, steps=6, scheduler=scheduler), Phase(fragile(2.0), steps=9)], rollback)
    assert run.history() == [(1, 6), (2, 2), (1, 6), (2, 9)]
    assert run.events() == [(6, 1, "switch"), (8, 2, "back"), (14, 1, "switch"), (23, 2, "stop")]
    assert rollback.returns == 1
    lost = run.records[1].steps
    for step in range(1, 7):
        assert torch.equal(run.parameters[6 + lost + step], plain.parameters[6 + step])
    back = run.decisions[1]
    assert back.value > 1e6
    assert back.reason.startswith("the loss was")
    failed = [record.stopped == StopReason.ROLLED_BACK.value for record in run.records]
    assert failed == [False, True, False, False]
    assert sum(record.evaluations for record in run.records) == run.module.evaluations
    assert math.isfinite(run.module.current_loss())


def test_a_switch_that_never_works_ends_the_run_with_the_good_weights():
    run = Run([Phase(ADAM, steps=3), Phase(fragile(0.0), steps=9)], Rollback(every=1, attempts=2))
    # Three steps, as many again, and as many as these together.
    assert [steps for phase, steps in run.history() if phase == 1] == [3, 3, 6]
    assert [event for _, _, event in run.events()] == ["switch", "back"] * 2 + ["switch", "stop"]
    assert run.records[-1].stopped == StopReason.DIVERGED.value
    plain = Run([Phase(ADAM, steps=12)])
    final = torch.cat([p.detach().reshape(-1) for p in run.module.trial.parameters()])
    assert torch.equal(final, plain.parameters[12])


def test_the_wait_is_at_least_the_interval_of_snapshots_and_holds_a_criterion_too():
    phases = [Phase(ADAM, until=plateau(4)), Phase(fragile(0.0), steps=9)]
    run = Run(phases, Rollback(every=20, attempts=1))
    first, second = (steps for phase, steps in run.history() if phase == 1)
    assert first < 20
    assert second == 20


def test_only_a_snapshot_of_the_new_phase_makes_up_for_failed_switches():
    """The phase before takes snapshots in between; they are none of the new phase's."""
    run = Run([Phase(ADAM, steps=4), Phase(fragile(0.0), steps=9)], Rollback(every=3, attempts=1))
    assert run.records[-1].stopped == StopReason.DIVERGED.value


def test_points_and_precision_of_the_phase_before_come_back():
    phases = [Phase(ADAM, steps=6, dtype="float32"), Phase(fragile(2.0), steps=4, points={"pde": 33}, dtype="float64")]
    points = Points()
    run = Run(phases, points, Rollback(every=4))
    assert run.history() == [(1, 6), (2, 2), (1, 6), (2, 4)]
    assert [points.counts[step] for step in (6, 7, 9, 14, 15)] == [21, 33, 21, 21, 33]
    assert [str(points.dtypes[step]) for step in (6, 7, 9, 15)] == [f"torch.float{n}" for n in (32, 64, 32, 64)]
    plain = Run([Phase(ADAM, steps=12, dtype="float32")])
    assert torch.equal(run.parameters[14], plain.parameters[12])


def test_a_criterion_gets_each_loss_with_the_version_of_its_own_points():
    class Look(FixedSteps):
        def update(self, progress):
            seen.append((progress.version, progress.loss))
            return super().update(progress)

    class Exact(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, *unused):
            system, weights = pl_module.system, pl_module.loss_weights
            terms = torch.stack([r.square().mean() for r in system.residuals(batch).values()])
            losses.append((pl_module.objective_version(), float(weights @ terms)))

    seen, losses = [], []
    Run([Phase(ADAM, until=Look(7)), Phase(ADAM, steps=1)], FreshPoints(every=3), Exact())
    assert [version for version, _ in seen] == [0, 0, 0, 1, 1, 1, 2]
    assert seen == [(version, pytest.approx(loss)) for version, loss in losses[:7]]


def test_a_run_that_goes_back_tells_the_optimizer_only_of_what_it_does_not_know():
    class Told(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, *unused):
            told[trainer.global_step] = pl_module.loss_version == pl_module.objective_version()

    for callbacks, knows in (([], True), ([FreshPoints(every=None, at_switch=True)], True), ([FreshPoints(6)], False)):
        told = {}
        phases = [Phase(ADAM, steps=6), Phase(fragile(2.0), steps=4, points={"pde": 33})]
        run = Run(phases, *callbacks, Told(), Rollback(every=4))
        assert run.history()[:3] == [(1, 6), (2, 2), (1, 6)]
        assert told[6] is False
        assert told[8] is knows


def test_an_optimizer_that_stalls_where_it_begins_gives_way_to_the_one_before():
    stubborn = functools.partial(Stubborn, bound=2.0)
    run = Run([Phase(ADAM, steps=6), Phase(stubborn, steps=3)], Rollback(every=4))
    assert run.history() == [(1, 6), (2, 1), (1, 6), (2, 3)]
    assert run.decisions[1].event == "back"
    assert run.decisions[1].reason.startswith(StopReason.STALLED.value)
    assert torch.equal(run.parameters[13], Run([Phase(ADAM, steps=12)]).parameters[12])


def test_an_optimizer_that_always_stalls_ends_its_phase_like_any_other():
    stubborn = functools.partial(Stubborn, bound=0.0)
    run = Run([Phase(ADAM, steps=2), Phase(stubborn, steps=3), Phase(BROYDEN, steps=2)], Rollback(every=1, attempts=1))
    assert [event for _, _, event in run.events()] == ["switch", "back", "switch", "switch", "stop"]
    assert run.records[3].stopped == StopReason.STALLED.value
    assert run.records[-1].stopped == StopReason.STEPS.value


def test_a_stall_is_no_failure_after_a_stall_nor_after_a_step():
    stubborn = functools.partial(Stubborn, bound=0.0)
    moved = Run([Phase(ADAM, steps=2), Phase(functools.partial(stubborn, forward=True), steps=3)], Rollback())
    assert moved.history() == [(1, 2), (2, 1)]
    twice = Run([Phase(functools.partial(stubborn, forward=True)), Phase(stubborn), Phase(ADAM, steps=1)], Rollback())
    assert twice.history() == [(1, 1), (2, 1), (3, 1)]


def test_a_failure_after_a_snapshot_of_its_own_stays_in_the_phase():
    class Poison(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, *unused):
            if trainer.global_step == 7:
                for parameter in pl_module.trial.parameters():
                    parameter.data.fill_(float("nan"))

    rollback = Rollback(every=2)
    run = Run([Phase(ADAM, steps=3), Phase(QUASI_NEWTON, steps=6)], Poison(), rollback)
    assert rollback.returns == 1
    assert run.history() == [(1, 3), (2, 6)]
    assert run.events()[1] == (8, 2, "rollback")
    assert math.isnan(run.decisions[1].value)


def test_a_phase_that_does_not_say_when_it_ends_gets_the_recommended_criterion():
    adam, lbfgs = Phase(ADAM), Phase(QUASI_NEWTON, steps=2)
    module = small_module(phases=[adam, Phase(ADAM, steps=3), Phase(ADAM, until=FixedSteps(4)), lbfgs])
    first, second, third, last = module.phases
    assert type(first.until) is type(recommended())
    assert (adam.until, second.until, last.until) == (None, None, None)
    assert isinstance(third.until, FixedSteps)
    assert small_module(phases=[Phase(ADAM)]).phases[0].until is None


def test_the_recommended_criterion_hands_over_when_the_first_descent_is_over():
    run = Run([Phase(ADAM), Phase(QUASI_NEWTON, steps=2)])
    adam, lbfgs = run.records
    assert 100 < adam.steps < 1000
    assert adam.stopped.startswith("loss plateau: relative improvement")
    assert lbfgs.loss < adam.loss
