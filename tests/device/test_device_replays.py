"""Whole runs whose evaluations are replayed, by a recorder that calls again: the tensors around it are all there is."""

import pytest
import test_device_fits as fits
import torch
from training import GROWTH_CALLBACKS, PHASES, POINT_CALLBACKS, PROBLEM_CALLBACKS, WEIGHT_CALLBACKS

from pinnlab.numerics import graph_replay
from pinnlab.numerics.graph_replay import Replayed, by_calling
from pinnlab.objective import global_loss, linearized_functions, residuals

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Lightning

NAMES = [
    "plain",
    *PHASES,
    *PROBLEM_CALLBACKS,
    *(next(iter(c)) for c in (POINT_CALLBACKS, WEIGHT_CALLBACKS, GROWTH_CALLBACKS)),
]
"""Points, weights, readings, widths, precision, batches: whatever may change between two evaluations."""


@pytest.fixture
def replays(monkeypatch):
    """Has evaluations on any device but the CPU replayed from the second on, and lists what is replayed."""
    seen = []

    def chosen(function, device, compiler, title="", replay=True, **how):
        def record(compute):
            run, results = by_calling(compute)
            return lambda: (seen.append(title), run())[1], results

        return Replayed(function, record) if replay and device.type != "cpu" else function

    monkeypatch.setattr(graph_replay, "PLAIN_CALLS", 1)
    for module in (global_loss, linearized_functions, residuals):
        monkeypatch.setattr(module, "evaluator", chosen)
    return seen


@pytest.mark.parametrize("name", NAMES)
def test_a_replayed_run_is_the_run_on_the_cpu(name, replays):
    fits.test_a_run_on_a_device_is_the_run_on_the_cpu(name, "card", False)
    assert len(replays) > 3


def test_a_jacobian_and_the_losses_of_trials_are_replayed(replays):
    fits.test_a_run_on_a_device_is_the_run_on_the_cpu("gauss_newton", "card", False)
    assert {"Jacobian", "loss"} <= set(replays)


def test_replays_can_be_turned_off(replays, monkeypatch):
    monkeypatch.setattr(global_loss.GlobalLoss, "replay", property(lambda own: False, lambda own, value: None), False)
    fits.test_a_run_on_a_device_is_the_run_on_the_cpu("gauss_newton", "card", False)
    assert not replays


def test_a_run_whose_arguments_are_not_copied_is_another(replays, monkeypatch):
    """The comparison above can fail."""
    monkeypatch.setattr(torch, "_foreach_copy_", lambda static, given: None)
    with pytest.raises(AssertionError):
        fits.test_a_run_on_a_device_is_the_run_on_the_cpu("gauss_newton", "card", False)
