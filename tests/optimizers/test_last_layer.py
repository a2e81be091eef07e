"""The last layer by one solve: against a dense solve by numpy, and where a problem is not linear."""

import functools
import itertools
import math

import numpy as np
import pytest
import torch
from least_squares import LeastSquares as Functions
from least_squares import quadratic, vector
from training import ADAM, quiet_trainer

from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError, StopReason
from pinnlab.networks import MLP, PirateNet, ProductSeries, RandomFeatures, SpectralFeatures
from pinnlab.numerics import memory
from pinnlab.objective import parameter_derivatives
from pinnlab.optimizers import LeastSquares, SSBroyden, TargetRatio, TargetRatioGaussNewton, needs_last_layer
from pinnlab.problems import Burgers, Coefficient, Dirichlet, Heat1D, Integral, Poisson1D, Problem, Residual
from pinnlab.samplers import Grid, Sobol, SpaceTimeGrid

pytestmark = pytest.mark.filterwarnings("ignore")


def fit(problem, network, phases, points=60, **options):
    module = PINN(problem, network, phases, compile=False, **options)
    counts = {name: points for name, c in problem.conditions.items() if c.fixed_points() is None}
    data = CollocationDataModule(problem, points=counts, evaluation_points=300)
    trainer = quiet_trainer()
    trainer.fit(module, data)
    return module, data


ONCE = [Phase(LeastSquares, steps=1)]


def test_one_step_is_the_dense_solution():
    """Features, their derivatives and the weighted system by hand."""
    problem, count = Poisson1D(frequency=3), 12
    module, data = fit(problem, functools.partial(RandomFeatures, count=count, scale=3.0), ONCE, points=41)
    network = module.trial.network.network
    w, b = (network.scale * network.directions).numpy()[:, 0], network.phases.numpy()
    x = data.store.points("pde").numpy()
    ends = data.store.points("boundary").numpy()
    columns = np.sin((2 * x - 1) * w + b) / count**0.5
    second = np.hstack([-((2 * w) ** 2) * columns, np.zeros_like(x)]) / np.pi**2
    values = np.hstack([np.sin((2 * ends - 1) * w + b) / count**0.5, np.ones_like(ends)])
    source = np.sin(np.pi * x) + 0.1 * 9 * np.sin(3 * np.pi * x)
    rows = np.vstack([second / len(x) ** 0.5, values * (100 / len(ends)) ** 0.5])
    right = np.concatenate([-source[:, 0] / len(x) ** 0.5, np.zeros(len(ends))])
    expected, left_over, *_ = np.linalg.lstsq(rows, right, rcond=None)
    found = torch.cat([network.last.weight[0], network.last.bias]).detach().numpy()
    np.testing.assert_allclose(rows @ found, rows @ expected, rtol=0, atol=1e-9)
    assert module.current_loss() == pytest.approx(float(left_over[0]), rel=1e-8)
    assert module.current_optimizer().linear is True
    assert module.current_optimizer().rank == 13


def test_smooth_linear_problems_to_machine_precision():
    module, data = fit(Heat1D(), functools.partial(RandomFeatures, count=250, scale=3.0), ONCE, points=500)
    assert module.measure_errors(data)["u"] < 1e-10
    assert module.current_optimizer().linear


def test_newton_on_the_last_layer_of_a_nonlinear_problem():
    losses, network = [], functools.partial(RandomFeatures, count=250, scale=5.0)
    for steps in (1, 8):
        module, data = fit(Burgers(viscosity=0.3), network, [Phase(LeastSquares, steps=steps)], points=600)
        losses.append(module.current_loss())
        assert module.current_optimizer().linear is False
    assert losses[0] > 1e5 * losses[1]
    assert module.current_optimizer().status is StopReason.STALLED
    assert module.measure_errors(data)["u"] < 1e-3


def test_normal_equations_find_what_qr_finds_where_columns_can_be_told_apart():
    functions = functools.partial(SpectralFeatures, columns=[], degree=12)
    found = []
    for normal in (False, True):
        solve = functools.partial(LeastSquares, normal=normal)
        module, data = fit(Poisson1D(frequency=1), functions, [Phase(solve, steps=2)], points=41)
        found.append(module.trial.network.network.last.weight.detach())
        assert module.measure_errors(data)["u"] < 1e-9
        assert module.current_optimizer().linear
    torch.testing.assert_close(*found, rtol=0, atol=1e-9)


def test_normal_equations_that_are_not_definite_are_damped():
    """Random sines that cannot be told apart: the loss falls all the same."""
    solve = functools.partial(LeastSquares, normal=True)
    network = functools.partial(RandomFeatures, count=100, scale=0.5)
    module, data = fit(Poisson1D(frequency=1), network, [Phase(solve, steps=3)], points=41)
    assert module.measure_errors(data)["u"] < 1e-3


@pytest.mark.parametrize("pair", [*itertools.combinations(("sparse", "normal", "matrix_free"), 2)])
def test_there_is_one_way_to_solve(pair):
    with pytest.raises(ConfigurationError, match=f"{pair[1]}: is a way to solve in place of {pair[0]}"):
        LeastSquares([torch.zeros(2, requires_grad=True)], **dict.fromkeys(pair, True))


SERIES = functools.partial(ProductSeries, waves=[4], degree=5)


def burgers_on_a_grid(solve, steps, sampler=SpaceTimeGrid([18], 6)):  # noqa: B008 - never changed
    """Burgers' equation in a short time, from a sine."""
    x, t = Interval("x", -1, 1), Interval("t", 0, 0.1)
    domain = x * t
    problem = Problem(
        domain, ("u",),
        {"pde": Residual(domain, lambda u: u.t + u * u.x - 0.1 * u.xx),
         "start": Dirichlet(domain.face(t=0.0), weight=400.0, u=lambda x: -torch.sin(math.pi * x))},
    )  # fmt: skip
    problem.periodic_coordinates = ("x",)
    module = PINN(problem, SERIES, [Phase(solve, steps=steps)], compile=False)
    data = CollocationDataModule(problem, points={"pde": 108, "start": 18}, sampler=sampler)
    quiet_trainer().fit(module, data)
    return module


def test_conjugate_gradients_find_what_qr_finds():
    qr, free = (burgers_on_a_grid(functools.partial(LeastSquares, matrix_free=m), 6) for m in (False, True))
    weights = [module.trial.network.network.last.weight.detach() for module in (qr, free)]
    torch.testing.assert_close(*weights, rtol=0, atol=1e-8)
    assert free.current_loss() == pytest.approx(qr.current_loss(), rel=1e-6)
    assert free.current_optimizer().linear is False
    assert weights[1].shape == (1, 6 * 9)


def test_they_compute_no_rows_of_the_jacobian(monkeypatch):
    def rows(*given):
        raise AssertionError("rows were computed")

    monkeypatch.setattr(parameter_derivatives, "jacobian_rows", rows)
    module = burgers_on_a_grid(functools.partial(LeastSquares, matrix_free=True, tolerance=1e-4), 4)
    assert module.current_loss() < 1e-3  # from 200
    with pytest.raises(AssertionError, match="rows were computed"):
        burgers_on_a_grid(LeastSquares, 1)


def test_they_need_few_iterations_on_a_grid():
    """Because derivatives of the polynomials are orthogonal there, as waves are: against points of a Sobol sequence."""
    solve = functools.partial(LeastSquares, matrix_free=True, tolerance=1e-8)
    grid, other = (burgers_on_a_grid(solve, 4, sampler).evaluations for sampler in (SpaceTimeGrid([18], 6), Sobol()))
    assert grid < 0.6 * other


def sought():
    """The heat equation with an unknown coefficient."""
    return Problem(
        Heat1D().domain, ("u",),
        {"pde": Residual(Heat1D().domain, lambda u, k: u.t - k * u.xx),
         "start": Dirichlet(Heat1D().domain.face(t=0.0), u=lambda x: torch.sin(3 * x))},
        {"k": Coefficient(0.3)},
    )  # fmt: skip


def test_a_coefficient_that_no_phase_would_find_is_refused_before_the_first_step():
    with pytest.raises(ConfigurationError, match="last layer only, so that nothing finds coefficient 'k'; take Target"):
        fit(sought(), functools.partial(MLP, hidden=[5, 4]), ONCE)


def test_a_target_ratio_finds_the_eigenvalue_of_the_shape_on_the_same_network():
    """From below 4 pi^2, and with a shape of two half waves, not the first eigenvalue, which is nearer."""
    x = Interval("x", 0, 1)
    conditions = {
        "ode": Residual(x, lambda u, k: u.xx + k * u),
        "ends": Dirichlet(x.boundary(), u=0.0),
        "size": Integral(x, lambda u, x: u * torch.sin(2 * math.pi * x), value=1.0, points=16),
    }
    problem = Problem(x, ["u"], conditions, {"k": Coefficient(12.0)})
    polynomials = functools.partial(SpectralFeatures, columns=[], degree=12)
    few = functools.partial(TargetRatioGaussNewton, damping=TargetRatio(probes=4))
    module = PINN(problem, polynomials, [Phase(few, steps=20)], compile=False)
    quiet_trainer().fit(module, CollocationDataModule(problem, points=40, evaluation_points=20, sampler=Grid()))
    assert float(module.system.coefficient_values()["k"]) == pytest.approx(4 * math.pi**2, rel=1e-6)


def test_only_the_last_layer_moves():
    problem, network = sought(), functools.partial(MLP, hidden=[5, 4])
    phases = [*ONCE, Phase(functools.partial(torch.optim.SGD, lr=0.0), steps=1)]
    before = dict(PINN(problem, network, phases, compile=False).trial.named_parameters())
    module, _ = fit(problem, network, phases)
    moved = {name for name, p in module.trial.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"network.network.last.weight", "network.network.last.bias"}


@pytest.mark.parametrize("network", [functools.partial(MLP, hidden=[8, 8]), functools.partial(PirateNet, width=6)])
def test_as_a_start_of_another_method(network):
    first, _ = fit(Heat1D(), network, [Phase(functools.partial(LeastSquares, tolerance=1e-6), steps=1)])
    phases = [Phase(functools.partial(LeastSquares, tolerance=1e-6), steps=1), Phase(SSBroyden, steps=3)]
    module, _ = fit(Heat1D(), network, phases)
    assert module.phase == 1
    assert module.current_loss() < first.current_loss()


def test_stalls_when_there_is_nothing_to_gain():
    run = Functions(quadratic(10.0), [vector([0.0] * 20)], LeastSquares)
    run.step(6)
    assert run.optimizer.status is StopReason.STALLED
    torch.testing.assert_close(run.flat(), torch.ones(20, dtype=torch.float64), rtol=1e-12, atol=0)


def test_a_long_step_is_halved():
    run = Functions(lambda x: torch.atan(x), [vector([3.0])], LeastSquares)
    before = float(run.loss())
    run.step()  # Newton's full step goes to -9.5, where the loss is larger
    assert float(run.loss()) < before
    assert abs(float(run.flat())) < 3


def test_a_network_without_a_last_layer_is_refused_before_the_first_step():
    own = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    with pytest.raises(ConfigurationError, match=r"model\.network: Sequential has no trained last layer"):
        fit(Heat1D(), own, [Phase(ADAM, steps=1), *ONCE])


def test_who_needs_a_last_layer():
    assert needs_last_layer(LeastSquares([vector([1.0])]))
    assert not needs_last_layer(SSBroyden([vector([1.0])]))


def test_a_matrix_that_does_not_fit_is_refused(monkeypatch):
    run = Functions(quadratic(10.0), [vector([0.0] * 20)], LeastSquares)
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 10.0)
    with pytest.raises(ConfigurationError, match="LeastSquares: a QR for the 20 parameters of the last layer takes"):
        run.step()
