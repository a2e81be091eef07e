"""Operators: references against independent computations, held-out functions, paired data."""

import sys
from functools import partial

import h5py
import numpy as np
import pytest
import scipy.sparse.linalg
import torch
import xarray
from scipy.integrate import solve_ivp

from pinnlab import PINN, problems
from pinnlab.derivatives import Field, Partials
from pinnlab.domains import Chebyshev, Fourier, FunctionSpace, Interval
from pinnlab.errors import ConfigurationError
from pinnlab.networks import FNO, DeepONet
from pinnlab.problems import OperatorData, Problem, Residual
from pinnlab.problems.evaluation import Evaluation
from pinnlab.problems.evaluation_points import evaluation_points
from pinnlab.problems.operators import values_of
from pinnlab.problems.references.darcy import DarcyFlow
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


def five_points(problem, function, n):
    """The balance of fluxes between the cells of a grid, with the conductivity between them; second order."""
    between, places = (np.arange(n) + 0.5) / n, np.arange(1, n) / n

    def conductivity(x, y):
        grid = torch.from_numpy(np.stack(np.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2))
        return np.exp(problem.space.values(torch.from_numpy(function[None]), grid).numpy()).reshape(len(x), len(y))

    slope = np.eye(n, n - 1) - np.eye(n, n - 1, -1)
    along_x = np.kron(slope, np.eye(n - 1))
    along_y = np.kron(np.eye(n - 1), slope)
    weights = conductivity(between, places).ravel(), conductivity(places, between).ravel()
    parts = [scipy.sparse.csr_array(part) for part in (along_x, along_y)]
    matrix = n**2 * sum(d.T @ scipy.sparse.diags_array(w) @ d for d, w in zip(parts, weights, strict=True))
    return places, scipy.sparse.linalg.spsolve(matrix.tocsc(), np.ones((n - 1) ** 2)).reshape(n - 1, n - 1)


def test_darcy_flow_is_that_of_finite_volumes():
    problem = problems.DarcyOperator(deviation=1.0)
    (chosen,) = functions(problem, 1)
    (places, coarse), (_, fine) = (five_points(problem, chosen, n) for n in (32, 64))
    expected = fine[1::2, 1::2] + (fine[1::2, 1::2] - coarse) / 3  # without the error of second order
    found = problem.reference().function(at([chosen], places, places)).reshape(31, 31)
    assert relative(fine[1::2, 1::2], expected) > 1e-4
    assert relative(found, expected) < 1e-5


@pytest.mark.slow
def test_darcy_flow_is_converged():
    problem = problems.DarcyOperator()
    points = problem.evaluation_points(2500)
    fine = DarcyFlow(values_of(problem.space), degree=32)(points.numpy())
    assert relative(problem.reference().function(points.numpy()), fine) < 0.1 * problem.reference().accuracy
    edge = np.array([[0.0, 0.3, *[0.5] * 8], [0.7, 1.0, *[0.5] * 8]])
    np.testing.assert_allclose(problem.reference().function(edge), 0.0, atol=1e-14)


def test_darcy_flow_in_an_even_medium_is_a_series():
    problem = problems.DarcyOperator(modes=2)
    odd = np.arange(1, 40, 2)
    found = problem.reference().function(np.array([[0.5, 0.5, 0.0, 0.0]]))
    signs = (-1.0) ** ((odd - 1) // 2)
    centre = 0.125 - 4 / np.pi**3 * (signs / odd**3 / np.cosh(np.pi * odd / 2)).sum()
    np.testing.assert_allclose(found, centre, rtol=1e-6)


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
    first, last = (evaluation_points(d, 4000, ()) for d in (space * x * t, x * t * space))
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


def test_paired_lists_and_labelled_arrays_keep_their_digits():
    inputs, outputs, points = pairs()
    expected = OperatorData(inputs / 3, outputs / 3, points)
    for kind in (np.ndarray.tolist, xarray.DataArray):
        found = OperatorData(kind(inputs / 3), kind(outputs / 3), kind(points))
        assert torch.equal(found.points, expected.points)
        assert torch.equal(found.targets["u"], expected.targets["u"])


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


@pytest.mark.parametrize("suffix", ["h5", "hdf5", "H5"])
def test_hdf5_files_are_read_as_npz_files_are(tmp_path, suffix):
    inputs, outputs, points = pairs()
    with h5py.File(tmp_path / f"pairs.{suffix}", "w") as file:
        file["inputs"], file["outputs"], file["points"] = inputs, outputs, points
        file.create_group("settings")["points"] = 3
    found = OperatorData.read(tmp_path / f"pairs.{suffix}", weight=2.0)
    torch.testing.assert_close(found.points, OperatorData(inputs, outputs, points).points)
    torch.testing.assert_close(found.targets["u"], torch.from_numpy(outputs).reshape(-1))
    assert found.weight == 2.0


def test_without_h5py_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ConfigurationError, match="read: needs the package h5py; install it: pip install"):
        OperatorData.read("pairs.h5")


def test_a_file_that_is_no_hdf5_is_refused(tmp_path):
    (tmp_path / "pairs.h5").write_text("no")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        OperatorData.read(tmp_path / "pairs.h5")


def bad(**changes):
    inputs, outputs, points = pairs()
    return lambda: OperatorData(**{"inputs": inputs, "outputs": outputs, "points": points, **changes})


BAD = {
    "inputs must be an array": bad(inputs="abc"),
    "outputs u is complex": bad(outputs=np.ones((3, 4)) * 1j),
    "outputs u holds nan in row 1": bad(outputs=np.ma.array(np.ones((3, 4)), mask=np.arange(12).reshape(3, 4) == 5)),
    "inputs has shape": bad(inputs=[1.0, 2.0]),
    "outputs must be": bad(outputs=np.ones((4, 3))),
    "points has shape": bad(points=np.ones((2, 2, 2))),
    "finite": bad(outputs=np.full((3, 4), np.nan)),
    "give the space, too": bad(sensors=[0.0, 1.0]),
    "sigma": bad(sigma=-1.0),
    "/nowhere.npz cannot be read": lambda: OperatorData.read("nowhere.npz"),
    "must be a file .npz, or of HDF5": lambda: OperatorData.read("pairs.csv"),
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


def test_coefficients_are_read_beside_a_space(tmp_path):
    """A file without sensors: what docs/operators.md reads."""
    space = FunctionSpace("a", Chebyshev(Interval("x", 0, 1), modes=3))
    arrays = {"inputs": np.eye(3), "outputs": np.ones((3, 4)), "points": np.linspace(0, 1, 4)}
    np.savez(tmp_path / "pairs.npz", **arrays)
    data = OperatorData.read(tmp_path / "pairs.npz", space=space)
    assert data.points[::4, 1:].tolist() == np.eye(3).tolist()
    np.savez(tmp_path / "values.npz", **{**arrays, "inputs": np.ones((3, 7))})
    with pytest.raises(ConfigurationError, match=r"must be the 3 coefficients of each function, got 7.*give sensors"):
        OperatorData.read(tmp_path / "values.npz", space=space)


X, T = Interval("x", 0, 1), Interval("t", 0, 1)
WAVES = FunctionSpace("a", Fourier(X, modes=4))
MISTAKEN = {  # a network, a domain, and what the message says
    "not the last": (
        partial(DeepONet, modes=4),
        X * WAVES * T,
        "DeepONet takes the last .* a1, a2, a3, t, and it is a0",
    ),
    "too few modes": (partial(DeepONet, modes=3), X * T * WAVES, "make the FunctionSpace the last .* modes=4"),
    "another basis": (
        partial(FNO, modes=4),
        X * T * FunctionSpace("a", Chebyshev(X, 4)),
        "FNO needs .* basis Fourier of",
    ),
    "time first": (partial(FNO, modes=4), T * X * WAVES, "basis Fourier of the first coordinate, t, got"),
}


@pytest.mark.parametrize("name", MISTAKEN)
def test_networks_that_take_a_place_for_the_function_are_refused(name):
    network, domain, message = MISTAKEN[name]
    problem = Problem(domain, ["u"], {"pde": Residual(domain, lambda u, a: u.t - u.xx - a)})
    with pytest.raises(ConfigurationError, match=message):
        PINN(problem, network)
