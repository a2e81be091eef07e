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
    """Has evaluations on any device but the CPU replayed from the second on, and counts replays."""
    count = []

    def record(compute):
        run, results = by_calling(compute)
        return lambda: (count.append(1), run())[1], results

    def chosen(function, device, compiler, title=""):
        return function if device.type == "cpu" else Replayed(function, record)

    monkeypatch.setattr(graph_replay, "PLAIN_CALLS", 1)
    for module in (global_loss, linearized_functions, residuals):
        monkeypatch.setattr(module, "evaluator", chosen)
    return count


@pytest.mark.parametrize("name", NAMES)
def test_a_replayed_run_is_the_run_on_the_cpu(name, replays):
    fits.test_a_run_on_a_device_is_the_run_on_the_cpu(name, "card", False)
    assert len(replays) > 3


def test_a_run_whose_arguments_are_not_copied_is_another(replays, monkeypatch):
    """The comparison above can fail."""
    monkeypatch.setattr(torch, "_foreach_copy_", lambda static, given: None)
    with pytest.raises(AssertionError):
        fits.test_a_run_on_a_device_is_the_run_on_the_cpu("gauss_newton", "card", False)
