"""Whole runs on a device give what they give on the CPU: every optimizer, callback and criterion."""

import functools

import pytest
import torch
from board import read_board
from devices import PLACES, at, fetched, some_compiled
from training import (
    ADAM,
    BATCH_SIZES,
    BOARD_CALLBACKS,
    CONDITION_PROBLEMS,
    GROWTH_CALLBACKS,
    PHASES,
    POINT_CALLBACKS,
    PRIMAL,
    PROBLEM_CALLBACKS,
    QUASI_NEWTON,
    THREE_PHASES,
    TOLERANCES,
    WATCHING_CALLBACKS,
    WEIGHT_CALLBACKS,
    Recorder,
    assert_alike,
    condition_options,
    full_run,
    quiet_trainer,
    small_data,
    small_module,
)
from watching import CRITERIA

from pinnlab.callbacks import Rollback
from pinnlab.criteria import Any
from pinnlab.numerics import graph_replay
from pinnlab.numerics.graph_replay import Recordings, by_calling
from pinnlab.numerics.outlines import name_of
from pinnlab.objective import global_loss
from pinnlab.reporting.loggers import LogScaleTensorBoardLogger
from pinnlab.training.phases import Phase

CALLBACKS = {
    **POINT_CALLBACKS,
    **PROBLEM_CALLBACKS,
    **WEIGHT_CALLBACKS,
    **GROWTH_CALLBACKS,
    **WATCHING_CALLBACKS,
}


CHOSEN = ("damping", "trial", "proposed trial")
TOGETHER = {
    **{name: CRITERIA[name] for name in CHOSEN},
    "all criteria": lambda: Any([build() for name, build in CRITERIA.items() if name not in CHOSEN]),
}
"""Criteria that ask for what others do not, and all that go by losses and gradients in one run."""


def fit(name, compiled=False, **trainer):
    """A run of 14 steps or so, all of whose parameters are kept; it is validated at its end."""
    options = {"phases": PHASES[name]() if name in PHASES else THREE_PHASES}
    callbacks = CALLBACKS[name]() if name in CALLBACKS else []
    if name in CONDITION_PROBLEMS:
        options = condition_options(name)
        callbacks = options.pop("callbacks")
    if name in TOGETHER:
        first = PRIMAL if name == "damping" else ADAM
        options = {"phases": [Phase(first, steps=9, until=TOGETHER[name]()), Phase(QUASI_NEWTON, steps=2)]}
    module, recorder = small_module(**options, compile=compiled), Recorder()
    data = small_data(module.problem, batch_size=BATCH_SIZES.get(name))
    runner = quiet_trainer(callbacks=[*callbacks, Rollback(every=4), recorder], val_check_interval=100, **trainer)
    runner.fit(module, data)
    runner.validate(module, data, verbose=False)
    parameters = {step: fetched(flat) for step, flat in recorder.parameters.items()}
    return parameters, {name: float(value) for name, value in runner.callback_metrics.items()}


pytestmark = pytest.mark.filterwarnings("ignore")  # those of Lightning

COMPILED = {
    "plain", "dense", "gauss_newton", "last_layer", "two_levels", "multi_batch", "updates", "precision", "rar_d",
    "gradient_norm", "growth_by_plan", "continuation", "integral", "sampled",
}  # fmt: skip
"""Graphs of all kinds, and what changes under them: points, weights, widths, precision, the problem."""

NAMES = ["plain", *PHASES, *CALLBACKS, *CONDITION_PROBLEMS, *TOGETHER]
AGAIN = {"warm_up", "fresh_by_ratio", "rar_d", "r3", "r3_causal", "one_test_function"}
"""Runs that ask nothing of a device that others do not: on the card that is not there they are made on demand."""
ALWAYS = [pytest.param(name, marks=[pytest.mark.slow] * (name in AGAIN)) for name in NAMES]


@functools.cache
def fit_on_cpu(name):
    """What a run on a device is held against, compiled or not: to compile it here would take longer than all else."""
    return fit(name)


@pytest.fixture
def replays(monkeypatch):
    """Has evaluations on any device but the CPU replayed from the second on, and lists what is replayed.

    By a recorder that calls again: the tensors around it are all there is of it.
    """
    seen, replay = [], Recordings.replay

    def recorded(own, kind, function, *given):
        seen.append(name_of(function))
        return replay(own, kind, function, *given)

    monkeypatch.setattr(graph_replay, "PLAIN_CALLS", 1)
    monkeypatch.setattr(Recordings, "replay", recorded)
    monkeypatch.setattr(global_loss, "recordings_for", lambda d: None if d.type == "cpu" else Recordings(d, by_calling))
    return seen


def agrees(name, place, compiled=False):
    """Asserts that a run on a device is that on the CPU."""
    expected, metrics = fit_on_cpu(name)
    with at(place) as there:
        found, seen = fit(name, compiled, **there.trainer)
    assert found.keys() == expected.keys()
    bound = TOLERANCES.get(name, 1e-9)  # float32 shows the order of sums
    for step, flat in expected.items():
        assert float((found[step] - flat).abs().max()) <= bound * max(1.0, float(flat.abs().max())), step
    assert seen == pytest.approx(metrics, rel=max(bound, 1e-6))


@pytest.mark.parametrize("name", ALWAYS)
def test_a_replayed_run_on_a_device_is_the_run_on_the_cpu(name, replays):
    agrees(name, "card")
    assert len(replays) > 3


@pytest.mark.cuda
@pytest.mark.parametrize("name", NAMES)
def test_a_run_on_a_gpu_is_the_run_on_the_cpu(name):
    agrees(name, "cuda")


@pytest.mark.cuda
@pytest.mark.parametrize("name", some_compiled(NAMES, COMPILED))
def test_a_compiled_run_on_a_gpu_is_the_run_on_the_cpu(name):
    agrees(name, "cuda", compiled=True)


def test_a_jacobian_and_the_losses_of_trials_are_replayed(replays):
    agrees("gauss_newton", "card")
    assert {"LinearizedFunctions.jacobian_rows", "LinearizedFunctions.loss"} <= set(replays)


@pytest.mark.parametrize("name", ["plain", "gauss_newton"])
def test_replays_can_be_turned_off(name, replays, monkeypatch):
    monkeypatch.setattr(global_loss.GlobalLoss, "replay", property(lambda own: False, lambda own, value: None), False)
    agrees(name, "card")
    assert not replays


def test_a_run_whose_arguments_are_not_copied_is_another(replays, monkeypatch):
    """The comparison above can fail."""
    monkeypatch.setattr(torch, "_foreach_copy_", lambda static, given: None)
    with pytest.raises(AssertionError):
        agrees("gauss_newton", "card")


def board_of(folder, **trainer):
    """Tags and steps of what a run writes to TensorBoard, but for those over the clock, and what its callback keeps."""
    board = LogScaleTensorBoardLogger(folder, name="", version="", default_hp_metric=False)
    callbacks = BOARD_CALLBACKS["board"]()
    full_run(folder / "saved", callbacks=callbacks, logger=board, trainer=trainer)
    steps = {tag: at for tag, at in read_board(folder).steps.items() if "milliseconds" not in tag}
    return steps, callbacks[-1].state_dict()


@pytest.mark.parametrize("place", PLACES)
def test_what_a_run_on_a_device_writes_is_what_one_on_the_cpu_does(tmp_path, place):
    """Errors, figures, the dashboard and frequencies: they ask for numbers that are on the device."""
    expected, history = board_of(tmp_path / "cpu")
    with at(place) as there:
        steps, found = board_of(tmp_path / "there", **there.trainer)
    assert expected.items() <= steps.items()  # beside those, a GPU's memory
    assert_alike(found, history, rtol=1e-6)


@pytest.mark.parametrize("place", PLACES)
def test_predictions_and_pictures_come_back_from_the_device(place):
    module = small_module(phases=[Phase(ADAM, steps=2)])
    data = small_data(module.problem)
    with at(place) as there:
        trainer = quiet_trainer(**there.trainer)
        trainer.fit(module, data)
        errors = module.measure_errors(data)
        (batch,) = trainer.predict(module, data)
    prediction = fetched(batch["prediction"])
    assert prediction.shape == (len(fetched(batch["points"])), 1)
    points, reference = data.evaluation_set()
    assert torch.allclose(fetched(batch["points"]), points)
    error = float((prediction[:, 0] - reference[:, 0]).norm() / reference[:, 0].norm())
    assert errors == pytest.approx({"u": error}, rel=1e-9)
