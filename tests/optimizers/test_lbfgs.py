from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from minimisation import Minimisation, rosenbrock
from scipy import optimize
from torch import nn

from pinnlab.errors import ConfigurationError, StopReason
from pinnlab.optimizers import LBFGS, SearchStatus


class Run(Minimisation):
    """A function of one vector, minimised by L-BFGS."""

    def __init__(self, function, start, **options):
        self.function = function
        self.x = nn.Parameter(torch.as_tensor(start, dtype=torch.float64).clone())
        self.optimizer = LBFGS([self.x], **options)
        self.calls = 0

    def until(self, loss, most=10_000):
        for _ in range(most):
            if self.loss() <= loss:
                return self.calls
            self.step()
        raise AssertionError(f"loss {self.loss():.2e} after {most} steps")


def quadratic(condition, n=50):
    scales = torch.logspace(0, math.log10(condition), n, dtype=torch.float64)
    return lambda x: (scales * (x - 1) ** 2).sum() / 2


def scipy_evaluations(function, start, loss):
    """How many evaluations scipy's L-BFGS-B needs to get as low."""
    losses = []

    def values(x):
        x = torch.tensor(x, requires_grad=True)
        value = function(x)
        value.backward()
        losses.append(value.item())
        return value.item(), x.grad.numpy()

    options = {"maxcor": 50, "ftol": 0, "gtol": 0, "maxiter": 20_000, "maxfun": 20_000}
    found = optimize.minimize(values, np.array(start), jac=True, method="L-BFGS-B", options=options)
    reached = next(k for k, value in enumerate(losses, 1) if value <= loss)
    return reached, found.x


CASES = {
    "rosenbrock-2": (rosenbrock, [-1.2, 1.0], 1e-18),
    "rosenbrock-20": (rosenbrock, [-1.2, 1.0] * 10, 1e-18),
    "quadratic-1e2": (quadratic(1e2), [0.0] * 50, 1e-16),
    "quadratic-1e4": (quadratic(1e4), [0.0] * 50, 1e-14),
    "quadratic-1e5": (quadratic(1e5), [0.0] * 50, 1e-12),
}


@pytest.mark.parametrize("iterations", [1, 10])
@pytest.mark.parametrize("case", CASES)
def test_same_minimum_as_scipy_for_as_many_evaluations(case, iterations):
    function, start, loss = CASES[case]
    run = Run(function, start, iterations=iterations)
    evaluations = run.until(loss)
    expected, minimiser = scipy_evaluations(function, start, loss)
    assert evaluations <= 1.3 * expected + 2 * iterations
    np.testing.assert_allclose(run.x.detach().numpy(), minimiser, atol=1e-4)


def test_iterations_per_step_do_not_change_the_trajectory():
    single, tens = (Run(rosenbrock, [-1.2, 1.0] * 3, iterations=k) for k in (1, 10))
    single.step(30)
    tens.step(3)
    assert torch.equal(single.x, tens.x)
    assert single.calls == tens.calls == tens.optimizer.evaluations


def test_first_step_has_length_at_most_one():
    run = Run(lambda x: 1e6 * (x**2).sum(), [1.0, -1.0], iterations=1, c2=0.9999999)
    seen = []
    run.optimizer.step(lambda: (seen.append(run.x.detach().clone()), run.closure())[1])
    torch.testing.assert_close((seen[1] - seen[0]).abs().sum(), torch.tensor(1.0, dtype=torch.float64))


def test_lr_scales_the_first_trial():
    run = Run(lambda x: 0.05 * (x**2).sum(), [1.0, 1.0], iterations=1, lr=0.25)
    seen = []
    run.optimizer.step(lambda: (seen.append(run.x.detach().clone()), run.closure())[1])
    torch.testing.assert_close(seen[1] - seen[0], torch.full((2,), -0.025, dtype=torch.float64))


def test_one_parameter_with_one_element():
    run = Run(lambda x: (x**2 - 2) ** 2, 3.0)
    run.step(3)
    assert run.x.item() == pytest.approx(math.sqrt(2), abs=1e-12)


def test_parameters_that_the_loss_does_not_reach_stay():
    run = Run(rosenbrock, [-1.2, 1.0])
    idle = nn.Parameter(torch.ones(3, dtype=torch.float64))
    run.optimizer = LBFGS([idle, run.x])
    run.until(1e-18)
    assert torch.equal(idle, torch.ones(3, dtype=torch.float64))


def test_a_step_after_another_one_does_not_evaluate_the_start_again():
    run = Run(quadratic(10.0), [0.0] * 50, iterations=1)
    run.step(2)
    before, point = run.calls, run.x.detach().clone()
    seen = []
    run.optimizer.step(lambda: (seen.append(run.x.detach().clone()), run.closure())[1])
    assert run.calls == before + 1
    assert not torch.equal(seen[0], point)


def test_parameters_moved_by_someone_else():
    run = Run(rosenbrock, [-1.2, 1.0])
    run.step(2)
    run.x.data.copy_(torch.tensor([2.0, -1.0]))
    expected = run.loss()
    assert run.step().item() == expected
    run.until(1e-18)


def test_stall_moves_nothing_says_so_and_goes_on_saying_so():
    run = Run(lambda x: (x**2).sum(), [0.0, 0.0])
    for _ in range(3):
        before = run.calls
        run.step()
        assert run.optimizer.status is StopReason.STALLED
        assert run.optimizer.search_status is SearchStatus.NOT_DESCENT
        assert run.calls == before + 1
        assert run.x.tolist() == [0.0, 0.0]
    assert run.optimizer.evaluations == run.calls


def test_loss_after_a_stall_is_that_of_the_point_not_of_the_last_trial():
    run = Run(rosenbrock, [-1.2, 1.0], lr=1e4, max_evaluations=2)
    run.step()
    assert run.optimizer.status is StopReason.STALLED
    assert run.optimizer.loss == float(run.loss())


def test_failed_direction_restarts_from_steepest_descent():
    run = Run(rosenbrock, [-1.2, 1.0], iterations=1)
    run.step(3)
    before, loss = run.calls, run.loss()
    run.optimizer.state[run.x]["products"].neg_()  # the directions now point uphill
    run.step()
    assert run.optimizer.status is StopReason.RUNNING
    assert run.loss() < loss
    assert run.optimizer.state[run.x]["written"] == 1
    assert run.calls >= before + 2
    run.until(1e-18)


def test_not_finite_start_stalls_and_recovers():
    run = Run(lambda x: torch.log(x).square().sum(), [-1.0, 2.0])
    run.step()
    assert run.optimizer.status is StopReason.STALLED
    assert run.optimizer.search_status is SearchStatus.NOT_FINITE
    run.x.data.copy_(torch.tensor([0.9, 1.2]))
    run.step()
    assert run.loss() < 1e-12


def test_regions_that_are_not_finite_are_avoided():
    run = Run(lambda x: (x - torch.log(x)).sum() - 3, [1e-3, 5.0, 40.0])
    run.step(10)
    np.testing.assert_allclose(run.x.detach().numpy(), 1.0, atol=1e-7)


def test_goes_down_to_round_off_and_stays():
    weights = torch.tensor([1.0, 1e3, 1e6], dtype=torch.float64)
    run = Run(lambda x: 1 + (weights * x**2).sum(), [3.0, 1.0, 1.0])
    run.step(30)
    # The loss cannot show errors below 1e-8 (first unknown); the gradients can.
    assert run.x.detach().abs().max() < 1e-10


@pytest.mark.parametrize("announced", [True, False])
def test_objective_change(announced):
    first, second = quadratic(1e3), quadratic(1e3)
    target = {"function": first}
    run = Run(lambda x: target["function"](x), [0.0] * 50)
    run.step(8)
    target["function"] = lambda x: second(x.flip(0) + 2) + 1
    if announced:
        run.optimizer.objective_changed()
        assert "pairs" not in run.optimizer.state[run.x]
        evaluations = run.optimizer.evaluations
        assert evaluations == run.calls
    expected = run.loss()
    start = run.step()
    assert (start.item() == expected) is announced  # kept values of the old objective would be wrong
    if announced:
        run.step(40)
        assert run.loss() - 1 < 1e-12


@pytest.mark.parametrize("announced", [True, False])
def test_curvature_of_the_old_objective_does_not_bend_the_first_direction(announced):
    target = {"function": quadratic(1e3)}
    run = Run(lambda x: target["function"](x), [0.0] * 50)
    run.step(3)
    target["function"] = lambda x: quadratic(1e3)(x.flip(0))
    if announced:
        run.optimizer.objective_changed()
    else:  # only the kept values: the pairs stay
        run.optimizer.state[run.x].pop("point")
    points, gradients = [], []

    def closure():
        loss = run.closure()
        points.append(run.x.detach().clone())
        gradients.append(run.x.grad.clone())
        return loss

    run.optimizer.step(closure)
    move, gradient = points[1] - points[0], gradients[0]
    cosine = (move @ -gradient / (move.norm() * gradient.norm())).item()
    assert (cosine == pytest.approx(1, abs=1e-9)) is announced


def test_unannounced_change_at_a_minimum_is_noticed():
    target = {"shift": 0.0}
    run = Run(lambda x: ((x - target["shift"]) ** 2).sum(), [1.0, -2.0])
    run.step(3)
    target["shift"] = 5.0
    run.step(3)
    np.testing.assert_allclose(run.x.detach().numpy(), 5.0, atol=1e-10)


def test_state_is_primitives_and_tensors_and_loading_copies_it():
    run = Run(rosenbrock, [-1.2, 1.0] * 4, history=4)
    run.step(2)
    state = copy.deepcopy(run.optimizer.state_dict())
    values = state["state"][0].values()
    assert {type(value) for value in values} <= {torch.Tensor, int, float}
    other = Run(rosenbrock, run.x.detach(), history=4)
    other.optimizer.load_state_dict(state)
    pairs = state["state"][0]["pairs"].clone()
    other.step(2)
    assert torch.equal(state["state"][0]["pairs"], pairs)


def test_survives_deepcopy():
    run = Run(rosenbrock, [-1.2, 1.0] * 4)
    run.step(2)
    twin = copy.deepcopy(run)
    run.step(2)
    twin.step(2)
    assert torch.equal(run.x, twin.x)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"lr": 0.0}, "lr"),
        ({"history": 0}, "history"),
        ({"iterations": 0}, "iterations"),
        ({"c1": 0.95}, "c1"),
        ({"max_evaluations": 0}, "max_evaluations"),
    ],
)
def test_constructor_checks(options, key):
    with pytest.raises(ConfigurationError, match=key):
        LBFGS([nn.Parameter(torch.zeros(2))], **options)


def test_one_group_of_one_dtype():
    x, y = (nn.Parameter(torch.zeros(2, dtype=dtype)) for dtype in (torch.float32, torch.float64))
    with pytest.raises(ConfigurationError, match="one parameter group"):
        LBFGS([{"params": [x]}, {"params": [y]}])
    with pytest.raises(ConfigurationError, match="dtype"):
        LBFGS([x, y])


def test_closure_is_required():
    run = Run(rosenbrock, [-1.2, 1.0])
    with pytest.raises(ConfigurationError, match="closure"):
        run.optimizer.step()
