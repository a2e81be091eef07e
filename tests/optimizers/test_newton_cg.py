"""Nyström-Newton-CG: its step against dense solves, its bookkeeping, and what it does without a Newton step."""

from __future__ import annotations

import functools
import io
import math

import numpy as np
import pytest
import torch
from least_squares import DenseLinearization, LeastSquares, quadratic, rosenbrock, vector
from training import ADAM, QUASI_NEWTON, quiet_trainer, small_data, small_module

from pinnlab.errors import ConfigurationError, StopReason
from pinnlab.optimizers import (
    LevenbergMarquardt,
    NystromNewtonCG,
    evaluations_per_step,
    is_multi_eval,
    needs_linearization,
    objective_changed,
)
from pinnlab.training.phases import Phase
from pinnlab.training.switching import phases_of


class Recorded(DenseLinearization):
    """Keeps the widths of the blocks that the Hessian was multiplied with; a vector counts as 0."""

    def __init__(self, residual, point):
        super().__init__(residual, point)
        self.widths = []

    def hessian_times(self, v):
        self.widths.append(0 if v.ndim == 1 else v.shape[1])
        return super().hessian_times(v)


class Run(LeastSquares):
    """Trains one vector, and says what every step asked of the Hessian."""

    linearize = Recorded

    def __init__(self, residual, start, **options):
        super().__init__(residual, [vector(start)], lambda p: NystromNewtonCG(p, **options))

    def one_step(self):
        self.last = self.linearize(self.residual, self.flat().detach())
        returned = self.optimizer.step(self.closure, linearization=self.last)
        self.calls += self.last.evaluations
        return returned

    @property
    def memory(self):
        return self.optimizer.state[self.parameters[0]]


def rosenbrock_by_hand(x, y):
    """Gradient and Hessian of 100 (y - x^2)^2 + (1 - x)^2."""
    gradient = np.array([-400 * x * (y - x**2) - 2 * (1 - x), 200 * (y - x**2)])
    return gradient, np.array([[1200 * x**2 - 400 * y + 2, -400 * x], [-400 * x, 200]])


# --------------------------------------------------------------------------------- Newton steps


@pytest.mark.parametrize("rank", [1, 5, 20, 60])
def test_a_step_is_the_dense_solution(rank):
    residual, damping = quadratic(1e3), 0.3
    run = Run(residual, [0.0] * 20, damping=damping, rank=rank)
    matrix = torch.func.jacrev(residual)(torch.zeros(20, dtype=torch.float64)).numpy()
    hessian, gradient = 2 * matrix.T @ matrix, -2 * matrix.T @ (matrix @ np.ones(20))
    expected = -np.linalg.solve(hessian + damping * np.eye(20), gradient)
    np.testing.assert_allclose(run.step().numpy(), expected, rtol=1e-8)


def test_a_step_takes_the_whole_hessian():
    """Not only its Gauss-Newton part: at this point they differ by far."""
    start = [-0.5, 0.1]
    run = Run(rosenbrock, start, damping=1e-2)
    gradient, hessian = rosenbrock_by_hand(*start)
    hessian = hessian + 1e-2 * np.eye(2)
    assert np.linalg.eigvalsh(hessian)[0] > 0
    step = run.step().numpy() - start
    newton = -np.linalg.solve(hessian, gradient)
    assert step @ newton / np.linalg.norm(step) / np.linalg.norm(newton) == pytest.approx(1, abs=1e-8)
    assert math.log2(np.linalg.norm(newton) / np.linalg.norm(step)) % 1 == pytest.approx(0, abs=1e-6)


def test_a_quadratic_takes_one_step_without_damping_to_speak_of():
    run = Run(quadratic(1e6), [0.0] * 20, damping=1e-12)
    first = run.loss().item()
    run.step()
    assert run.loss().item() < 1e-16 * first
    assert run.optimizer.loss == pytest.approx(run.loss().item())


def test_damping_sets_the_rate_on_a_quadratic():
    """The error along an eigenvector shrinks by mu / (eigenvalue + mu) in each step."""
    run = Run(lambda x: x * torch.tensor([1.0, 2.0], dtype=torch.float64), [1.0, 1.0], damping=0.5)
    rates = 0.5 / (np.array([2.0, 8.0]) + 0.5)
    for k in range(1, 5):
        np.testing.assert_allclose(run.step().numpy(), rates**k, rtol=1e-7)


def test_the_approximation_saves_products():
    """Ten eigenvalues far above the others: with all of them in the sketch, hardly anything is left to do."""
    scales = torch.cat([torch.logspace(1, 3, 10), torch.linspace(1, 1.1, 50)]).double()
    products = {}
    for rank in (1, 12):
        run = Run(lambda x: scales * (x - 1), [0.0] * 60, rank=rank, damping=0.01)
        run.step()
        products[rank] = run.last.widths.count(0)
    assert products[12] <= 12
    assert products[1] > 2 * products[12]


def test_the_next_iteration_starts_from_the_last_solution():
    """Started at the solution: on a linear loss around the same gradient there is nothing left to do."""
    run = Run(quadratic(1e3), [0.0] * 20, rank=4, damping=1.0)
    run.step()
    np.testing.assert_allclose(-run.memory["solution"].numpy(), run.flat().detach().numpy(), rtol=1e-12)
    with torch.no_grad():
        run.parameters[0].zero_()  # the same system again
    again = run.step()
    assert run.last.widths == [0]  # the product that shows it
    np.testing.assert_allclose(again.numpy(), -run.memory["solution"].numpy(), rtol=1e-12)


@pytest.mark.parametrize("most", [1, 4])
def test_iterations_are_limited(most):
    run = Run(quadratic(1e4), [0.0] * 20, rank=2, cg_iterations=most)
    for first in (True, False):
        run.step()
        assert run.last.widths.count(0) == most + (not first)  # a warm start costs one product


def test_a_larger_tolerance_saves_products():
    products = []
    for tolerance in (1e-10, 1e-1):
        run = Run(quadratic(1e4), [0.0] * 20, rank=2, cg_tolerance=tolerance)
        run.step()
        products.append(run.last.widths.count(0))
    assert products[1] < products[0]


# ---------------------------------------------------------------------------------- line search


def test_armijo_shortens_a_step_that_overshoots():
    """The loss sqrt(1 + x^2): Newton's step from 3 goes far beyond the minimum."""
    x, damping, c1, shrink = 3.0, 1e-2, 0.1, 0.7
    run = Run(lambda p: (1 + p**2) ** 0.25, [x], damping=damping, c1=c1, shrink=shrink)
    gradient = x / math.sqrt(1 + x**2)
    direction = -gradient / ((1 + x**2) ** -1.5 + damping)
    length = 1.0
    while math.hypot(1, x + length * direction) >= math.hypot(1, x) + c1 * length * gradient * direction:
        length *= shrink
    assert length < 1
    assert run.step().item() == pytest.approx(x + length * direction, rel=1e-9)


def test_lr_is_the_first_length():
    run = Run(quadratic(10.0), [0.0] * 20, damping=1e-12, lr=0.25)
    np.testing.assert_allclose(run.step().numpy(), 0.25, rtol=1e-8)


def test_it_stalls_at_a_minimum_and_goes_on_with_a_new_approximation():
    run = Run(quadratic(10.0), [1.0] * 20, refresh=5)
    before = run.flat().detach().clone()
    assert torch.equal(run.step(), before)
    assert run.optimizer.status is StopReason.STALLED
    assert not {"basis", "solution"} & set(run.memory)
    run.residual = quadratic(100.0)
    with torch.no_grad():
        run.parameters[0].zero_()
    run.step()
    assert run.optimizer.status is StopReason.RUNNING
    assert 20 in run.last.widths


# --------------------------------------------------------------------------- negative curvature


def test_negative_curvature_at_once_means_the_gradient():
    """(x^2 - 1)^2 around x = 0.1, where its second derivative is -3.88."""
    run = Run(lambda x: x**2 - 1, [0.1])
    slope = 4 * 0.1 * (0.1**2 - 1)
    assert run.step().item() == pytest.approx(0.1 - slope, rel=1e-12)
    assert "solution" not in run.memory
    run.step(20)
    assert run.flat().item() == pytest.approx(1.0, abs=1e-8)


def test_negative_curvature_ends_the_iteration_with_what_is_there():
    """A bowl in one coordinate and a ridge in the other; the step is that of the iterations made, and descends."""
    run = Run(lambda p: torch.stack([3 * p[0], p[1] ** 2 - 1]), [1.0, 0.3], rank=1, damping=1e-2)
    first = run.loss().item()
    run.step()
    assert run.last.widths.count(0) <= 2
    assert run.loss().item() < first
    assert "solution" not in run.memory
    run.step(20)
    np.testing.assert_allclose(run.flat().detach().numpy(), [0.0, 1.0], atol=1e-6)


def test_a_warm_start_that_leads_uphill_is_not_followed():
    run = Run(quadratic(10.0), [0.0] * 20, damping=10.0)
    run.step()  # towards ones
    run.residual = lambda x: (x**2).sum().reshape(1) - 1000.0  # around zero: falls outwards and curves down
    with torch.no_grad():
        run.parameters[0].fill_(-0.1)  # so outwards is away from ones
    first = run.loss().item()
    gradient = run.memory["solution"].new_full((20,), 4 * -0.1 * (20 * 0.01 - 1000.0))
    assert float(run.memory["solution"] @ gradient) < 0
    before = run.flat().detach().clone()
    moved = run.step() - before
    assert run.loss().item() < first
    assert float(moved @ gradient) == pytest.approx(-float(moved.norm() * gradient.norm()), rel=1e-12)


class Overflowing(Recorded):
    def hessian_times(self, v):
        return super().hessian_times(v) * math.inf


def test_a_hessian_that_is_not_finite_leaves_the_gradient():
    run = Run(quadratic(10.0), [0.0] * 20)
    run.linearize = Overflowing
    first = run.loss().item()
    run.step(3)
    assert run.loss().item() < first
    assert run.optimizer.status is StopReason.RUNNING


def test_a_gradient_that_is_not_finite_stalls():
    run = Run(lambda x: x.abs() ** 0.75, [0.0, 1.0])  # the square root of the loss has a kink at zero
    assert math.isfinite(run.loss().item())
    assert run.step().tolist() == [0.0, 1.0]
    assert run.optimizer.status is StopReason.STALLED


# ------------------------------------------------------------------------------------- schedule


@pytest.mark.parametrize("refresh", [1, 3])
def test_an_approximation_lasts_so_many_steps(refresh):
    run = Run(quadratic(1e3), [0.0] * 20, rank=7, refresh=refresh, damping=10.0)
    made, bases = [], []
    for k in range(7):
        run.step()
        if 7 in run.last.widths:
            made.append(k)
            bases.append(run.memory["basis"].clone())
    assert made == list(range(0, 7, refresh))
    assert run.memory["sketches"] == len(made)
    assert not torch.allclose(bases[0], bases[1])  # of the same matrix, from another block


def test_a_change_of_the_objective_forgets_nothing():
    run = Run(quadratic(1e3), [0.0] * 20, damping=1.0)
    run.step()
    kept = dict(run.memory)
    objective_changed(run.optimizer)
    assert dict(run.memory) == kept
    run.step()
    assert set(run.last.widths) == {0}


def test_random_numbers_elsewhere_do_not_matter():
    ends = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        ends.append(Run(rosenbrock, [-1.2, 1.0, 0.5], rank=2, refresh=2).step(5))
    assert torch.equal(*ends)


@pytest.mark.parametrize("done", range(7))
def test_a_resume_between_two_approximations_is_bitwise(done):
    whole = Run(rosenbrock, [-1.2, 1.0, 0.5], rank=2, refresh=3)
    whole.step(9)
    stopped = Run(rosenbrock, [-1.2, 1.0, 0.5], rank=2, refresh=3)
    start, file = stopped.step(done), io.BytesIO()
    torch.save(stopped.optimizer.state_dict(), file)
    file.seek(0)
    resumed = Run(rosenbrock, start, rank=2, refresh=3)
    resumed.optimizer.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(resumed.step(9 - done), whole.flat())
    assert resumed.optimizer.evaluations == whole.optimizer.evaluations == whole.calls


# ------------------------------------------------------------------------------------ interface


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"damping": 0.0}, "damping: must be positive, got 0.0"),
        ({"damping": math.nan}, "damping: must be a number, got nan"),
        ({"lr": -1.0}, "lr: must be positive, got -1.0"),
        ({"rank": 0}, "rank: must be at least 1, got 0"),
        ({"refresh": 0}, "refresh: must be at least 1, got 0"),
        ({"cg_iterations": 0}, "cg_iterations: must be at least 1, got 0"),
        ({"cg_tolerance": 1.0}, "cg_tolerance: must be in"),
        ({"c1": 0.5}, "c1: must be in"),
        ({"shrink": 1.0}, "shrink: must be in"),
    ],
)
def test_values_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        NystromNewtonCG([vector([1.0])], **options)


def test_one_group_of_parameters_of_one_dtype():
    groups = [{"params": [vector([1.0])]}, {"params": [vector([2.0])]}]
    with pytest.raises(ConfigurationError, match="params: NystromNewtonCG takes one parameter group"):
        NystromNewtonCG(groups)
    with pytest.raises(ConfigurationError, match="params: need real parameters of one dtype"):
        NystromNewtonCG([vector([1.0]), vector([1.0], torch.float32)])


def test_a_step_needs_both_arguments():
    optimizer = NystromNewtonCG([vector([1.0])])
    with pytest.raises(ConfigurationError, match="closure: NystromNewtonCG"):
        optimizer.step()
    with pytest.raises(ConfigurationError, match="linearization: NystromNewtonCG"):
        optimizer.step(lambda: torch.tensor(1.0))


def test_what_it_tells_the_training_loop():
    optimizer = NystromNewtonCG([vector([1.0] * 50)], rank=60, refresh=20, cg_iterations=100)
    assert is_multi_eval(optimizer)
    assert needs_linearization(optimizer)
    assert evaluations_per_step(optimizer) == 106  # the sketch of 50 columns is shared by 20 steps
    assert optimizer.status is StopReason.RUNNING
    assert (optimizer.loss, optimizer.evaluations) == (None, 0)


# ----------------------------------------------------------------------------------------- PINN


@pytest.mark.filterwarnings("ignore")
def test_it_trains_a_pinn():
    """Soft Burgers after L-BFGS: the loss goes on falling, is what it says, and every product is counted."""
    newton = functools.partial(NystromNewtonCG, rank=20, refresh=4, cg_iterations=60)
    torch.manual_seed(0)
    module = small_module(phases=[Phase(ADAM, steps=20), Phase(QUASI_NEWTON, steps=40), Phase(newton, steps=8)])
    trainer = quiet_trainer()
    trainer.fit(module, small_data(module.problem))
    _, before, last = phases_of(trainer).records
    assert last.optimizer == "NystromNewtonCG"
    assert last.loss < 0.85 * before.loss
    batch = trainer.datamodule.store.rows
    assert last.loss == pytest.approx(module.linearization(batch).loss().item(), rel=1e-12)
    assert last.evaluations == module.current_optimizer().evaluations
    assert last.evaluations >= 2 * 20 + 8 * 3  # two approximations; and a gradient, a product and a loss in each step


@pytest.mark.parametrize("build", [NystromNewtonCG, LevenbergMarquardt])
def test_a_parameter_frozen_in_mid_phase_is_refused_in_one_line(build):
    start = vector([1.0, 2.0])
    optimizer = build([start])
    around = DenseLinearization(lambda x: x - 1, start.detach()[:1])
    with pytest.raises(ConfigurationError, match="requires_grad of a parameter has changed since"):
        optimizer.step(lambda: (start - 1).square().sum(), linearization=around)
