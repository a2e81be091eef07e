"""What studies record in the course of a run."""

import math

import pytest
import torch

from pinnlab.errors import ConfigurationError
from pinnlab.studies.engine.recording import (
    Recorder,
    StableRate,
    cell,
    error,
    kernel_of,
    numbers,
    recorded,
    recording,
    settled,
    stable_rate,
)
from pinnlab.studies.engine.runner import merged, train

pytestmark = pytest.mark.filterwarnings("ignore")

TINY = {
    "problem": {"class_path": "Poisson1D"},
    "data": {"points": {"pde": 16, "boundary": 2}, "evaluation_points": 50},
    "model": {
        "network": {"class_path": "MLP", "init_args": {"hidden": [4]}},
        "compile": False,
        "phases": [{"optimizer": {"class_path": "SGD", "init_args": {"lr": 1e-9}}, "steps": 5}],
    },
    "trainer": {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "limit_val_batches": 0},
}


def count(trainer, module) -> dict[str, float]:
    return {"evaluations": float(module.evaluations)}


def seen(trainer, module) -> dict[str, float]:
    return {"seen": float(module.points_seen)}


def test_measurements_at_the_first_step_that_reaches_a_number():
    lbfgs = [{"optimizer": {"class_path": "LBFGS", "init_args": {"iterations": 3}}, "steps": 4}]
    callbacks = [recording([0, 1, 2, 9], count), recording([1], error)]
    summary, trained = train(merged(TINY, {"model": {"phases": lbfgs}, "trainer": {"callbacks": callbacks}}))
    found = recorded(trained)
    counts = numbers(found["evaluations"])
    assert counts[0] == 0
    assert counts[1] == counts[2] >= 2  # one step passed both
    assert counts[3] >= 9 > counts[2]
    assert len(numbers(found["relative_l2"])) == 1
    assert summary["evaluations"] >= 9


def test_processor_time_can_end_a_run():
    callbacks = [recording([1e-6, 2e-6], error, "processor_seconds", ends=True)]
    summary, trained = train(merged(TINY, {"trainer": {"callbacks": callbacks}}))
    assert summary["steps"] == 1
    assert len(numbers(recorded(trained)["relative_l2"])) == 2
    assert trained.trainer.callbacks[[isinstance(c, Recorder) for c in trained.trainer.callbacks].index(True)].spent > 0


def test_measurements_by_points_seen():
    def batches(*sizes):
        data = {"batch_size": sizes[0]} if sizes else {}
        callbacks = [recording([1, 40, 80], seen, "points_seen")]
        return recorded(train(merged(TINY, {"data": data, "trainer": {"callbacks": callbacks}}))[1])["seen"]

    assert numbers(batches()) == [18, 54, 90]  # 16 points and 2 ends in each of 5 steps
    assert numbers(batches(8)) == [10, 40]  # 8 and 2


def test_a_run_that_ends_early_has_fewer_measurements():
    _, trained = train(merged(TINY, {"trainer": {"callbacks": [recording([2, 100], count)]}}))
    assert recorded(trained) == {"evaluations": "2"}


def test_the_stable_rate_is_stable_and_twice_of_it_is_not():
    losses = {}
    for fraction in (0.5, 0.9, 1.1):
        phases = [{"optimizer": {"class_path": "SGD", "init_args": {"lr": 1.0}}, "steps": 3}]
        changes = {"model": {"phases": phases}, "trainer": {"callbacks": [stable_rate(fraction)]}}
        _, trained = train(merged(TINY, changes))
        losses[fraction] = trained.model.current_loss()
        rate = next(c for c in trained.trainer.callbacks if isinstance(c, StableRate)).rate
        assert trained.model.current_optimizer().param_groups[0]["lr"] == rate
    kernel = kernel_of(trained.trainer, trained.model)
    assert 0.2 < rate * float(torch.linalg.eigvalsh(kernel)[-1]) / 1.1 < 5  # it has moved a little since
    assert losses[0.5] < losses[1.1]


def test_cells():
    assert numbers(cell([1.0, 1.23456e-7, math.nan])) == pytest.approx([1.0, 1.235e-7, math.nan], nan_ok=True)


def test_where_a_curve_settles():
    at = [0, 1, 10, 100]
    assert settled(at, [1.0, 0.4, 0.6, 0.3]) == 100
    assert settled(at, [0.4, 0.4, 0.4, 0.4]) == 0
    assert settled(at, [1.0, 0.4, 0.4, 0.5]) == math.inf
    assert settled(at, [1.0, 0.4]) == 1  # a shorter run
    assert settled(at, [1.0, math.nan, 0.1]) == 10


@pytest.mark.parametrize("at", [[], [1, 1], [2, 1]])
def test_bad_marks(at):
    with pytest.raises(ConfigurationError, match=r"Recorder\.at"):
        Recorder(at, count)


def test_a_bad_fraction():
    with pytest.raises(ConfigurationError, match=r"StableRate\.fraction"):
        StableRate(0.0)
