"""Gradients on the rows that two mini-batches share."""

import pytest
import torch

from pinnlab.networks import MLP
from pinnlab.objective.batch_overlap import BatchOverlap
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import Burgers
from pinnlab.samplers import Sobol
from pinnlab.training.point_store import PointStore

WEIGHTS = torch.tensor([0.5, 3.0, 20.0], dtype=torch.float64)


def system(problem):
    torch.manual_seed(0)
    trial = Trial(problem, MLP(2, 1, hidden=[5])).double()
    return ResidualSystem(problem, trial, "taylor")


@pytest.fixture
def parts():
    problem = Burgers(exact_conditions=False)
    counts = {"pde": 20, "wall": 9, "start": 4}
    store = PointStore(problem, counts, dict.fromkeys(counts, Sobol()), 0, batch_size=8)
    store.batches.overlapping = True
    batch = store.batch()
    return system(problem), store, batch


def expected(system, rows):
    """The gradient of the weighted mean squares, from unreduced residuals by `backward`."""
    parameters = list(system.trial.parameters())
    residuals = system.residuals(rows)
    loss = sum(w * r.square().sum() / len(r) for w, r in zip(WEIGHTS, residuals.values(), strict=True))
    return torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, parameters)])


def test_gradients_are_those_of_the_mean_over_the_shared_rows(parts):
    system, store, batch = parts
    before, after = store.shared(batch)
    overlap = BatchOverlap(system.weighted_loss, system.trial.tensors(), WEIGHTS, (before, after), store.batches.cursor)
    torch.testing.assert_close(overlap.first(), expected(system, before), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(overlap.last(), expected(system, after), rtol=1e-12, atol=1e-12)
    assert overlap.evaluations == 2
    assert overlap.number == 1


def test_two_neighbours_see_the_same_function(parts):
    system, store, batch = parts
    tensors = system.trial.tensors()
    one = BatchOverlap(system.weighted_loss, tensors, WEIGHTS, store.shared(batch), store.batches.cursor)
    two = BatchOverlap(system.weighted_loss, tensors, WEIGHTS, store.shared(store.batch()), store.batches.cursor)
    torch.testing.assert_close(one.last(), two.first(), rtol=0, atol=0)
    assert not torch.equal(one.last(), two.last())


def test_gradients_in_grad_are_left_alone_and_nothing_stays_attached(parts):
    system, store, batch = parts
    for parameter in system.trial.parameters():
        parameter.grad = torch.ones_like(parameter)
    overlap = BatchOverlap(system.weighted_loss, system.trial.tensors(), WEIGHTS, store.shared(batch), 1)
    with torch.no_grad():  # as inside an optimizer's step
        gradient = overlap.first()
    assert not gradient.requires_grad
    assert all((p.grad == 1).all() for p in system.trial.parameters())


def test_parameters_that_are_not_trained_have_no_entry(parts):
    system, store, batch = parts
    first = next(system.trial.parameters())
    full = BatchOverlap(system.weighted_loss, system.trial.tensors(), WEIGHTS, store.shared(batch), 1).first()
    first.requires_grad_(False)
    rest = BatchOverlap(system.weighted_loss, system.trial.tensors(), WEIGHTS, store.shared(batch), 1).first()
    torch.testing.assert_close(rest, full[first.numel() :])
