"""The subspace minimisation against the linear system that a quadratic has."""

import pytest
import torch

from pinnlab.optimizers.flat import FlatObjective
from pinnlab.optimizers.merging import Corrections, Place, merge

SEARCH = {"line_search": "strong_wolfe", "c1": 1e-4, "c2": 0.9, "max_evaluations": 25}


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Quadratic:
    """(x - target)' A (x - target) / 2 in twelve numbers, at zero, with three blocks and a step before."""

    def __init__(self, before=True):
        root = draw(12, 12)
        self.matrix, self.target = root @ root.T, draw(12, seed=1)
        self.x = torch.zeros(12, dtype=torch.float64, requires_grad=True)
        self.objective = FlatObjective([self.x], self.closure)
        loss, gradient = self.objective(torch.zeros(12, dtype=torch.float64))
        self.start = Place(torch.zeros(12, dtype=torch.float64), float(loss), gradient)
        self.owner = torch.arange(12) % 3
        moves = -gradient * draw(12, seed=2).abs()
        same = self.owner[:, None] == self.owner
        last = draw(12, seed=3) if before else torch.zeros(12, dtype=torch.float64)
        self.corrections = Corrections(moves, (self.matrix * same) @ moves, self.owner, 3, (last, self.matrix @ last))
        columns = [torch.where(self.owner == k, moves, 0.0) for k in range(3)] + [last] * before
        self.span = torch.stack(columns, 1)

    def closure(self):
        self.x.grad = None
        away = self.x - self.target
        loss = away @ self.matrix @ away / 2
        loss.backward()
        return loss


@pytest.mark.parametrize("before", [True, False])
def test_enough_iterations_end_at_the_best_of_the_span(before):
    case = Quadratic(before)
    small = case.span.T @ case.matrix @ case.span
    best = case.span @ torch.linalg.solve(small, -case.span.T @ case.start.gradient)
    found = merge(case.objective, case.corrections, case.start, 40, SEARCH)
    torch.testing.assert_close(found.point, best, rtol=1e-6, atol=1e-8)
    loss, gradient = case.objective(found.point)
    assert found.loss == float(loss)
    assert torch.equal(found.gradient, gradient)


@pytest.mark.parametrize("iterations", [1, 2, 4])
def test_the_loss_falls_and_no_place_is_evaluated_twice(iterations):
    case, before = Quadratic(), 1
    found = merge(case.objective, case.corrections, case.start, iterations, SEARCH)
    assert found.loss < case.start.loss
    assert case.objective.evaluations - before <= iterations + 3  # one for each, and a first one or two too long


def test_nothing_to_merge():
    case = Quadratic()
    none = torch.zeros(12, dtype=torch.float64)
    assert merge(case.objective, Corrections(none, none, case.owner, 3, (none, none)), case.start, 5, SEARCH) is None
    moves = torch.where(case.start.gradient != 0, draw(12, seed=4), 0.0)
    moves = moves - case.start.gradient * (moves @ case.start.gradient) / case.start.gradient.square().sum()
    # One block across the gradient: no factor lowers the loss, and none is found.
    across = Corrections(moves, case.matrix @ moves, torch.zeros(12, dtype=torch.long), 1, (none, none))
    found = merge(case.objective, across, case.start, 5, SEARCH)
    assert found is None or found.loss >= case.start.loss * (1 - 1e-12)
