"""Operators: references against independent computations, held-out functions, paired data."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from pinnlab import problems
from pinnlab.derivatives import Field, Partials
from pinnlab.domains import Chebyshev, FunctionSpace, Interval
from pinnlab.errors import ConfigurationError
from pinnlab.problems import OperatorData, Problem, Residual
from pinnlab.problems.evaluation import Evaluation
from pinnlab.problems.evaluation_points import evaluation_points
from pinnlab.problems.references.families import DiffusionReaction, PeriodicBurgers
from pinnlab.samplers import UniformRandom


def functions(problem, count, seed=5):
    return UniformRandom().sample(problem.space, count, seed).numpy()


def at(coefficients, x, t):
    """Rows for all functions, places and times, in this order."""
    return np.array([[a, b, *f] for f in coefficients for a in x for b in t])


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def cole_hopf(problem, function, x, t):
    """u = -2 nu phi_x / phi, where phi solves the heat equation from exp(-int a / (2 nu)): by Fourier series."""
    nodes = np.arange(4096) / 4096
    waves = 2j * np.pi * np.fft.fftfreq(4096, 1 / 4096)
    a = problem.space.values(torch.from_numpy(function[None]), torch.from_numpy(nodes)).numpy()[0]
    integral = np.fft.ifft(np.divide(np.fft.fft(a), waves, out=np.zeros(4096, complex), where=waves != 0)).real
    phi = np.fft.fft(np.exp(-integral / (2 * problem.viscosity))) / 4096
    decayed = phi * np.exp(problem.viscosity * waves**2 * t[:, None])
    harmonics = np.exp(np.outer(x, waves))
    return (-2 * problem.viscosity * (harmonics @ (waves * decayed).T) / (harmonics @ decayed.T)).real


@pytest.mark.parametrize(("viscosity", "accuracy"), [(0.1, 1e-6), (0.02, 1e-4)])
def test_burgers_is_that_of_cole_and_hopf(viscosity, accuracy):
    problem = problems.BurgersOperator(viscosity=viscosity)
    chosen, x, t = functions(problem, 4), np.linspace(0, 1, 23), np.array([0.0, 0.0317, 0.21, 0.555, 1.0])
    found = problem.reference().function(at(chosen, x, t)).reshape(4, 23, 5)
    expected = np.stack([cole_hopf(problem, f, x, t) for f in chosen])
    assert relative(found, expected) < accuracy == problem.reference().accuracy


def test_diffusion_with_reaction_is_that_of_finite_differences():
    problem = problems.DiffusionReactionOperator(diffusion=0.02, reaction=0.5)
    (chosen,), n, t = functions(problem, 1), 400, np.array([0.1, 0.43, 1.0])
    x = np.linspace(0, 1, n + 1)
    a = problem.space.values(torch.from_numpy(chosen[None]), torch.from_numpy(x)).numpy()[0, 1:-1]

    def slope(_, u):
        padded = np.concatenate([[0.0], u, [0.0]])
        return 0.02 * n**2 * np.diff(padded, 2) + 0.5 * u**2 + a

    solved = solve_ivp(
        slope, (0, 1), np.zeros(n - 1), method="LSODA", lband=1, uband=1, rtol=1e-8, atol=1e-10, t_eval=t
    )
    found = problem.reference().function(at([chosen], x[1:-1], t)).reshape(n - 1, 3)
    assert relative(found, solved.y) < 1e-4


def test_diffusion_without_reaction_is_a_sine_series():
    problem = problems.DiffusionReactionOperator(reaction=0.0)
    chosen, x, t = functions(problem, 3), np.linspace(0, 1, 31), np.array([0.013, 0.2, 0.777])
    nodes, numbers = np.linspace(0, 1, 10_001), np.pi * np.arange(1, 600)
    weights = np.full(10_001, 1 / 10_000)
    weights[[0, -1]] /= 2
    a = problem.space.values(torch.from_numpy(chosen), torch.from_numpy(nodes)).numpy()
    series = 2 * (a * weights) @ np.sin(np.outer(nodes, numbers))
    grown = (1 - np.exp(-0.01 * numbers**2 * t[:, None])) / (0.01 * numbers**2)
    expected = np.einsum("fk,tk,xk->fxt", series, grown, np.sin(np.outer(x, numbers)))
    found = problem.reference().function(at(chosen, x, t)).reshape(3, 31, 3)
    assert relative(found, expected) < problem.reference().accuracy


@pytest.mark.parametrize("solver", [PeriodicBurgers, DiffusionReaction])
def test_functions_do_not_see_each_other(solver):
    problem = problems.BurgersOperator() if solver is PeriodicBurgers else problems.DiffusionReactionOperator()
    rows = at(functions(problem, 5), np.linspace(0, 1, 4), np.array([0.3, 0.9]))
    solution = problem.reference().function
    order = np.random.default_rng(0).permutation(len(rows))
    np.testing.assert_allclose(solution(rows[order]), solution(rows)[order], atol=1e-13)
    np.testing.assert_allclose(solution(rows[:8]), solution(rows)[:8], atol=1e-13)


@pytest.mark.parametrize(("rows", "message"), [([[0.1, 1.5, 0.0]], "horizon"), ([[0.1, 0.2]], "columns")])
def test_bad_points_are_refused(rows, message):
    with pytest.raises(ConfigurationError, match=message):
        problems.BurgersOperator(modes=1).reference().function(np.array(rows))


def test_errors_are_measured_on_a_hundred_functions_one_after_the_other():
    problem = problems.BurgersOperator(data=20)
    points = problem.evaluation_points(5000)
    assert problem.held_out_functions == 100
    assert problems.Burgers().held_out_functions is None
    by_function = points.reshape(100, -1, 8)
    assert torch.equal(by_function[:, :, :2], by_function[:1, :, :2].expand(100, -1, -1))
    held_out = by_function[:, 0, 2:]
    assert torch.equal(by_function[:, :, 2:], held_out[:, None].expand(-1, by_function.shape[1], -1))
    assert len(held_out.unique(dim=0)) == 100
    trained = problem.conditions["data"].points[:, 2:].unique(dim=0)
    assert len(trained) == 20
    assert torch.cdist(trained, held_out).min() > 1e-3


def test_the_space_may_stand_anywhere_among_the_factors():
    x, t = Interval("x", 0, 1), Interval("t", 0, 2)
    space = FunctionSpace("a", Chebyshev(x, 2))
    first, last = evaluation_points(space * x * t, 4000), evaluation_points(x * t * space, 4000)
    assert torch.equal(first, last[:, [2, 3, 0, 1]])


def pairs(n=3, p=4):
    return np.linspace(-1, 1, 2 * n).reshape(n, 2), np.arange(1.0, n * p + 1).reshape(n, p), np.linspace(0, 1, p)


def test_paired_arrays_are_rows_of_all_functions_at_all_places():
    inputs, outputs, points = pairs()
    data = OperatorData(inputs, outputs, points, sigma=1.0)
    assert data.points.shape == (12, 3)
    assert data.points[:, 0].tolist() == pytest.approx([*points] * 3)
    assert data.points[4:8, 1:].tolist() == [pytest.approx(list(inputs[1]))] * 4
    assert data.targets["u"].tolist() == list(range(1, 13))


def test_the_loss_of_paired_arrays_is_relative_by_default():
    inputs, outputs, points = pairs()
    x = Interval("x", 0, 1)
    domain = x * FunctionSpace("a", Chebyshev(x, 2))
    problem = Problem(domain, ["u"], {"data": OperatorData(inputs, outputs, points)})
    (residual,) = problem.conditions["data"].residual(_zero(problem))
    assert residual.square().mean().item() == pytest.approx(1.0)


def _zero(problem):
    rows = problem.conditions["data"].rows(problem.conditions["data"].points)
    value = Partials(torch.zeros(len(rows), 1, dtype=torch.float64), {}, {})
    d = len(problem.coordinates)
    return Evaluation(
        {"u": Field("u", problem.coordinates, value, 0)}, problem.coordinates, rows[:, :d], rows[:, d:], {}, None
    )


def test_functions_given_by_values_at_sensors_and_files(tmp_path):
    x = Interval("x", 0, 1)
    space = FunctionSpace("a", Chebyshev(x, 2))
    inputs, outputs, points = pairs()
    sensors = np.linspace(0, 1, 9)
    values = space.values(torch.from_numpy(inputs), torch.from_numpy(sensors)).numpy()
    np.savez(tmp_path / "pairs.npz", inputs=values, outputs=outputs, points=points, sensors=sensors)
    found = OperatorData.read(tmp_path / "pairs.npz", space=space)
    torch.testing.assert_close(found.points, OperatorData(inputs, outputs, points).points)
    two = OperatorData(inputs, {"u": outputs, "v": -outputs}, points)
    assert set(two.names()) == {"u", "v"}


def bad(**changes):
    inputs, outputs, points = pairs()
    return lambda: OperatorData(**{"inputs": inputs, "outputs": outputs, "points": points, **changes})


BAD = {
    "inputs must be an array": bad(inputs="abc"),
    "inputs has shape": bad(inputs=[1.0, 2.0]),
    "outputs must be": bad(outputs=np.ones((4, 3))),
    "points has shape": bad(points=np.ones((2, 2, 2))),
    "finite": bad(outputs=np.full((3, 4), np.nan)),
    "together": bad(sensors=[0.0, 1.0]),
    "sigma": bad(sigma=-1.0),
    "cannot be read": lambda: OperatorData.read("nowhere.npz"),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_pairs_are_one_line(message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        BAD[message]()
    assert "\n" not in str(caught.value)


def test_a_file_without_outputs_is_refused(tmp_path):
    np.savez(tmp_path / "pairs.npz", inputs=np.ones((2, 2)))
    with pytest.raises(ConfigurationError, match="has no outputs"):
        OperatorData.read(tmp_path / "pairs.npz")


def test_an_unknown_with_the_name_of_the_function_is_refused():
    x = Interval("x", 0, 1)
    domain = x * FunctionSpace("a", Chebyshev(x, 2))
    with pytest.raises(ConfigurationError, match="used twice"):
        Problem(domain, ["a"], {"pde": Residual(domain, lambda a: a)})
