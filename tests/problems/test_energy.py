"""Energies: values by hand, the loss and its gradient, solutions, and what refuses them."""

import math
from functools import partial

import pytest
import torch
from training import ADAM, quiet_trainer, small_data, small_module

from pinnlab.callbacks import FreshPoints, LossBalancing, NTKSpectrum, Rollback, SelfAdaptive
from pinnlab.criteria.series import logarithms
from pinnlab.domains import Box, Disk, GradedInterval, Interval, RadialBall
from pinnlab.errors import ConfigurationError
from pinnlab.objective.balancing import GradientNorm
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.optimizers import (
    LBFGS,
    EnergyNaturalGradient,
    LeastSquares,
    LevenbergMarquardt,
    NystromNewtonCG,
    SSBroyden,
)
from pinnlab.problems import Dirichlet, Energy, Exact, Problem
from pinnlab.samplers import Focused, Sobol
from pinnlab.training.phases import Phase
from pinnlab.training.point_store import PointStore

DISK = Disk(radius=2.0)


class Formula(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, points):
        return self.function(*points.unbind(-1))[..., None]


class Ritz(Problem):
    """-u'' = pi^2 sin(pi x), u = 0 at both ends: the minimum of the energy is -pi^2 / 4."""

    def __init__(self):
        x = Interval("x", 0, 1)
        super().__init__(x, ["u"], {"energy": Energy(x, self.density)})

    def density(self, u, x):
        return 0.5 * u.x**2 - math.pi**2 * torch.sin(math.pi * x) * u

    def ansatz(self, u, x):
        return x * (1 - x) * u

    def reference(self):
        return Exact(lambda x: torch.sin(math.pi * x))


def rows_of(condition, count=4096):
    return condition.rows(Sobol().sample(condition.region, count, seed=1))


def test_the_term_is_the_integral():
    """Of x^2 over a disk of radius 2, and of the flux of x^2 out of it, which is that of its Laplacian."""
    conditions = {
        "inside": Energy(DISK, lambda u: u),
        "around": Energy(DISK.boundary(), lambda u, normal: u.along(normal), weight=3.0),
    }
    problem = Problem(DISK, ["u"], conditions)
    system = ResidualSystem(problem, Trial(problem, Formula(lambda x, y: x * x)))
    rows = {name: rows_of(condition) for name, condition in conditions.items()}
    means = system.squared_sums({}, rows) / 4096
    assert means.tolist() == pytest.approx([4 * math.pi, 8 * math.pi], rel=1e-3)
    factors = torch.tensor([1.0, 3.0], dtype=torch.float64) / 4096
    assert system.weighted_loss({}, rows, factors)[0].item() == pytest.approx(28 * math.pi, rel=1e-3)
    assert problem.energies() == ["inside", "around"]


def test_weights_of_points_are_those_of_a_mean():
    problem = Problem(DISK, ["u"], {"c": Energy(DISK, lambda u: u)})
    system = ResidualSystem(problem, Trial(problem, Formula(lambda x, y: x)))
    points, weights = rows_of(problem.conditions["c"], 5), torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    sums = system.squared_sums({}, {"c": torch.cat([points, weights[:, None]], 1)})
    assert sums.item() == pytest.approx(4 * math.pi * float(points[:, 0] @ weights))


OPTIMIZERS = {
    "lbfgs": LBFGS,
    "ssbroyden": SSBroyden,
    "torch": partial(torch.optim.LBFGS, line_search_fn="strong_wolfe"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_minimum_is_the_solution(optimizer):
    module = small_module(Ritz(), [Phase(ADAM, steps=100), Phase(OPTIMIZERS[optimizer], steps=10)])
    data = small_data(module.problem, points={"energy": 2000})
    quiet_trainer(callbacks=[Rollback()]).fit(module, data)
    assert module.current_loss() == pytest.approx(-(math.pi**2) / 4, abs=5e-3)
    assert module.measure_errors(data)["u"] < 1e-2
    held_out = module.mean_squares({"energy": data.store.rows["energy"]})["energy"].item()
    assert held_out == pytest.approx(module.current_loss(), abs=1e-2)


@pytest.mark.filterwarnings("ignore")
def test_first_order_methods_on_fresh_points_and_a_boundary_in_the_loss():
    x = Interval("x", 0, 1)
    conditions = {"energy": Energy(x, Ritz().density), "ends": Dirichlet(x.boundary(), u=0.0, weight=500.0)}
    module = small_module(Problem(x, ["u"], conditions), [Phase(ADAM, steps=800)])
    data = small_data(module.problem, points={"energy": 200, "ends": 2})
    quiet_trainer(callbacks=[FreshPoints(every=1), Rollback()], val_check_interval=1000).fit(module, data)
    points = torch.linspace(0, 1, 21, dtype=torch.float64)[:, None]
    assert (module(points).detach() - torch.sin(math.pi * points)).abs().max() < 0.05


REFUSED = {
    "LevenbergMarquardt": (LevenbergMarquardt, []),
    "EnergyNaturalGradient": (EnergyNaturalGradient, []),
    "NystromNewtonCG": (NystromNewtonCG, []),
    "LeastSquares": (LeastSquares, []),
    "LossBalancing": (LBFGS, [LossBalancing(GradientNorm())]),
    "SelfAdaptive": (LBFGS, [SelfAdaptive(conditions=["energy"])]),
    "NTKSpectrum": (LBFGS, [NTKSpectrum()]),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_a_sum_of_squares_refuses_in_one_line(name):
    optimizer, callbacks = REFUSED[name]
    module = small_module(Ritz(), [Phase(optimizer, steps=2)])
    with pytest.raises(ConfigurationError, match=f"{name}.*'energy' is an Energy") as caught:
        quiet_trainer(callbacks=callbacks).fit(module, small_data(module.problem))
    assert "\n" not in str(caught.value)


def test_bad_input_is_one_line():
    for build, message in (
        (lambda: Energy(DISK, 3.0), "Energy: density must be a function"),
        (lambda: Problem(DISK, ["u"], {"e": Energy(DISK, lambda u: (u.x, u.y))}), "'e': its density must return one"),
        (lambda: Problem(DISK, ["u"], {"e": Energy(DISK, lambda u: u.gradient())}), "'e' must return tensors of shape"),
        (lambda: Energy(Box(["x", "y"], 0, 1), lambda u: u, weight=-1.0), "weight"),
        (lambda: Energy(DISK * GradedInterval("t", 0, 1), lambda u: u), "Energy: .* gathers its points; use Ball for"),
        (lambda: Energy(RadialBall(["x", "y"]), lambda u: u), "Energy: .* gathers its points; use Ball for RadialBall"),
        (
            lambda: PointStore(Ritz(), {"energy": 9}, {"energy": Focused(Sobol())}, 0),
            "samplers.energy: an energy is the",
        ),
    ):
        with pytest.raises(ConfigurationError, match=message):
            build()


def test_changes_of_a_loss_below_zero_are_relative():
    series = [-2.0, -2.02, -2.01]
    found = logarithms(series)
    assert [found[1] - found[0], found[2] - found[1]] == pytest.approx([-0.01, 0.005], rel=0.02)
    assert logarithms([1.0, math.e]) == pytest.approx([0.0, 1.0])
