"""Whole runs whose evaluations are replayed, by a recorder that calls again: the tensors around it are all there is."""

import pytest
import test_device_fits as fits
import torch
from training import GROWTH_CALLBACKS, PHASES, POINT_CALLBACKS, PROBLEM_CALLBACKS, WEIGHT_CALLBACKS

from pinnlab.numerics import graph_replay
from pinnlab.numerics.graph_replay import Recordings, by_calling
from pinnlab.numerics.outlines import name_of
from pinnlab.objective import global_loss

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
    seen, replay = [], Recordings.replay

    def recorded(own, kind, function, *given):
        seen.append(name_of(function))
        return replay(own, kind, function, *given)

    monkeypatch.setattr(graph_replay, "PLAIN_CALLS", 1)
    monkeypatch.setattr(Recordings, "replay", recorded)
    monkeypatch.setattr(global_loss, "recordings_for", lambda d: None if d.type == "cpu" else Recordings(d, by_calling))
    return seen


@pytest.mark.parametrize("name", NAMES)
def test_a_replayed_run_is_the_run_on_the_cpu(name, replays):
    fits.test_a_run_on_a_device_is_the_run_on_the_cpu(name, "card", False)
    assert len(replays) > 3


def test_a_jacobian_and_the_losses_of_trials_are_replayed(replays):
    fits.test_a_run_on_a_device_is_the_run_on_the_cpu("gauss_newton", "card", False)
    assert {"LinearizedFunctions.jacobian_rows", "LinearizedFunctions.loss"} <= set(replays)


def test_replays_can_be_turned_off(replays, monkeypatch):
    monkeypatch.setattr(global_loss.GlobalLoss, "replay", property(lambda own: False, lambda own, value: None), False)
    fits.test_a_run_on_a_device_is_the_run_on_the_cpu("gauss_newton", "card", False)
    assert not replays


def test_a_run_whose_arguments_are_not_copied_is_another(replays, monkeypatch):
    """The comparison above can fail."""
    monkeypatch.setattr(torch, "_foreach_copy_", lambda static, given: None)
    with pytest.raises(AssertionError):
        fits.test_a_run_on_a_device_is_the_run_on_the_cpu("gauss_newton", "card", False)
