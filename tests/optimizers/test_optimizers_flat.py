from __future__ import annotations

import pytest
import torch
from torch import nn

from pinnlab.errors import ConfigurationError
from pinnlab.optimizers import BFGS, LBFGS, MultiBatchLBFGS, MultiPreconditionedLBFGS, SchwarzLBFGS, SSBroyden
from pinnlab.optimizers.flat import FlatObjective, check_parameters


def two_parameters():
    matrix = nn.Parameter(torch.arange(6, dtype=torch.float64).reshape(2, 3).T)  # not contiguous
    scalar = nn.Parameter(torch.tensor(7.0, dtype=torch.float64))
    return matrix, scalar


def test_loss_and_gradient_at_another_point():
    matrix, scalar = two_parameters()

    def closure():
        loss = (matrix**2).sum() + 3 * scalar
        loss.backward()
        return loss

    objective = FlatObjective([matrix, scalar], closure)
    point = torch.linspace(1, 2, 7, dtype=torch.float64)
    closure()  # gradients that are there already must not add up
    with torch.no_grad():
        loss, gradient = objective(point)
    assert objective.evaluations == 1
    assert torch.equal(objective.point(), point)
    torch.testing.assert_close(loss, (point[:6] ** 2).sum() + 3 * point[6])
    torch.testing.assert_close(gradient, torch.cat([2 * point[:6], point.new_tensor([3.0])]))
    assert not loss.requires_grad


def test_missing_gradient_counts_as_zero():
    matrix, scalar = two_parameters()

    def closure():
        loss = scalar**2
        loss.backward()
        return loss

    objective = FlatObjective([matrix, scalar], closure)
    _, gradient = objective(objective.point())
    assert gradient.tolist() == [0.0] * 6 + [14.0]


def test_results_do_not_change_with_later_evaluations():
    matrix, _ = two_parameters()

    def closure():
        loss = (matrix**2).sum()
        loss.backward()
        return loss

    objective = FlatObjective([matrix], closure)
    point = objective.point()
    _, gradient = objective(point)
    before = gradient.clone()
    objective(2 * point)
    assert torch.equal(gradient, before)
    assert point.tolist() == [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]


def test_closure_without_loss_is_refused():
    matrix, _ = two_parameters()
    objective = FlatObjective([matrix], lambda: None)
    with pytest.raises(ConfigurationError, match="closure"):
        objective(objective.point())


@pytest.mark.parametrize("dtypes", [(torch.float32, torch.float64), (torch.complex128,), (torch.int64,), ()])
def test_parameters_that_do_not_fit_are_refused(dtypes):
    with pytest.raises(ConfigurationError, match="params"):
        check_parameters([torch.zeros(2, dtype=dtype) for dtype in dtypes])


@pytest.mark.parametrize(
    "build", [LBFGS, BFGS, SSBroyden, MultiBatchLBFGS, SchwarzLBFGS, MultiPreconditionedLBFGS], ids=lambda b: b.__name__
)
def test_frozen_parameters_stay_and_none_is_frozen_in_mid_phase(build):
    before, later, trained = (nn.Parameter(torch.full((2,), 0.5, dtype=torch.float64)) for _ in range(3))
    before.requires_grad_(False)
    optimizer = build([before, later, trained])

    def closure():
        optimizer.zero_grad()
        loss = (before * trained - later).square().sum() + (trained - 3).square().sum()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    assert before.tolist() == [0.5, 0.5]
    found = later.tolist()
    assert found != [0.5, 0.5]
    later.requires_grad_(False)
    with pytest.raises(ConfigurationError, match=f"requires_grad of a parameter has changed since {build.__name__}"):
        optimizer.step(closure)
    assert later.tolist() == found
