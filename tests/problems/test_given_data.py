"""Given data: splines against scipy, derivatives against formulas, files, recipes; what is refused."""

import itertools

import numpy as np
import pytest
import torch
import xarray
from formula import Formula
from refused import assert_refused_in_one_line
from scipy.interpolate import RBFInterpolator, RegularGridInterpolator, make_interp_spline
from scipy.stats.qmc import Halton

from pinnlab.cli.commands import run
from pinnlab.derivatives import Wanted, partials
from pinnlab.domains import Box, Interval
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import Dirichlet, Given, Observations, Problem, Residual
from pinnlab.problems.given import are_same, fingerprints, once_more
from pinnlab.problems.pointwise import check_pointwise
from pinnlab.problems.scattered import RadialInterpolant
from pinnlab.problems.splines import Spline
from pinnlab.samplers import Sobol

SQUARE = Box(["x", "y"], 0, 1)
STRIP = Interval("x", 0, 1) * Interval("t", 0, 2)
AXIS, OTHER = np.linspace(0, 1, 41) ** 1.2, np.linspace(0, 1, 37)


def places(axes, count=40):
    random = np.random.default_rng(1)
    inside = [axis[0] + (axis[-1] - axis[0]) * random.random(count) for axis in axes]
    ends = [np.array([axis[0], axis[-1]]) for axis in axes]
    return np.stack([np.concatenate(pair) for pair in zip(inside, ends, strict=True)], -1)


def uneven(lengths):
    random = np.random.default_rng(0)
    return [np.cumsum(0.1 + random.random(n)) for n in lengths], random.random(lengths)


@pytest.mark.parametrize("degree", [1, 3])
@pytest.mark.parametrize("lengths", [(9,), (6, 6), (6, 5, 7)])
def test_splines_are_those_of_scipy(lengths, degree):
    axes, values = uneven(lengths)
    points = places(axes)
    expected = values
    if len(lengths) == 1:
        expected = make_interp_spline(axes[0], values, k=degree)(points[:, 0])
    elif degree == 1:
        expected = RegularGridInterpolator(axes, values)(points)
    else:  # one coordinate after the other
        expected = np.stack([_tensor_product(axes, values, point) for point in points])
    found = Spline(axes, values, degree)(torch.as_tensor(points).unbind(-1))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-11, atol=1e-11)


def _tensor_product(axes, values, point):
    for axis, x in zip(axes, point, strict=True):
        values = make_interp_spline(axis, values, k=3)(x)
    return values


@pytest.mark.parametrize("lengths", [(9,), (6, 5)])
def test_derivatives_of_splines_are_those_of_reverse_mode(lengths):
    axes, values = uneven(lengths)
    points, spline = torch.as_tensor(places(axes)), Spline(axes, values, 3)
    wanted = Wanted(frozenset({(0,), (0, 0), (0, len(axes) - 1)}))

    def function(p):
        return spline(p.unbind(-1))[:, None]

    taylor, reverse = (partials(function, points, wanted, engine) for engine in ("taylor", "reverse"))
    for index in wanted.partials:
        torch.testing.assert_close(taylor.partials[index], reverse.partials[index], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("degree", "kernel"), [(1, "linear"), (3, "cubic"), (5, "quintic")])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_functions_through_scattered_places_are_those_of_scipy(d, degree, kernel):
    """Which gets the places in the cube, for it does not scale them."""
    random = np.random.default_rng(3)
    places, values, points = Halton(d, seed=3).random(25), random.random(25), random.random((40, d))
    low, high = places.min(0), places.max(0)
    found = RadialInterpolant(5 + 2 * places, values, degree)
    expected = RBFInterpolator((places - low) / (high - low), values, kernel=kernel, degree=(degree - 1) // 2)
    for where in (points, places):
        columns = torch.as_tensor(5 + 2 * where).unbind(-1)
        tolerance = 1e-4 if degree == 1 else 1e-6  # places are rounded off by 1e-7
        np.testing.assert_allclose(found(columns).numpy(), expected((where - low) / (high - low)), atol=tolerance)


@pytest.mark.parametrize("at_the_places", [False, True])
def test_derivatives_of_functions_through_scattered_places(at_the_places):
    """Of a quadratic polynomial, which powers of 5 meet exactly; at the places, too."""
    random = np.random.default_rng(3)
    places = random.random((40, 2))
    values = 1 + places[:, 0] - places[:, 1] ** 2 + 3 * places.prod(-1)
    interpolant = RadialInterpolant(places, values, 5)
    points = torch.as_tensor(places if at_the_places else random.random((20, 2)))
    wanted = Wanted(frozenset({(0,), (1,), (0, 1), (1, 1)}))
    x, y = points.T
    for engine in ("taylor", "reverse"):
        found = partials(lambda p: interpolant(p.unbind(-1))[:, None], points, wanted, engine).partials
        for index, expected in {(0,): 1 + 3 * y, (1,): 3 * x - 2 * y, (0, 1): 3 + 0 * x, (1, 1): -2 + 0 * x}.items():
            torch.testing.assert_close(found[index][:, 0], expected, rtol=1e-7, atol=1e-7)


def grid(function):
    x, y = np.meshgrid(AXIS, OTHER, indexing="ij")
    return {"x": AXIS, "y": OTHER, "a": function(x, y)}


def table(function):
    arrays = grid(function)
    x, y = np.meshgrid(AXIS, OTHER, indexing="ij")
    order = np.random.default_rng(2).permutation(x.size)
    return {"y": y.reshape(-1)[order], "x": x.reshape(-1)[order], "a": arrays["a"].reshape(-1)[order]}


def scattered(function):
    x, y = Sobol().sample(SQUARE, 600, 5).T.numpy()
    edge = np.linspace(0, 1, 25)
    x, y = (
        np.concatenate([a, b]) for a, b in ((x, [*edge, *edge, *0 * edge]), (y, [*0 * edge, *(1 + 0 * edge), *edge]))
    )
    x, y = np.unique(np.stack([x, y], -1), axis=0).T
    return {"x": x, "y": y, "a": function(x, y)}


def conductivity(x, y):
    return 2 + np.sin(3 * x) * y**2


SOURCES = {
    "function": (lambda x, y: 2 + torch.sin(3 * x) * y**2, 1e-12),
    "grid": (grid(conductivity), 1e-3),
    "table": (table(conductivity), 1e-3),
    "scattered": (scattered(conductivity), 1e-2),  # of the Laplacian, at the edge
    "tensors": ({key: torch.as_tensor(array) for key, array in grid(conductivity).items()}, 1e-3),
}


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
@pytest.mark.parametrize("source", SOURCES)
def test_given_data_in_residuals_by_name_with_derivatives(source, engine):
    """(a u_x)_x + (a u_y)_y, the slope of a itself, and a as a target, for u = x y."""
    data, accuracy = SOURCES[source]
    conditions = {
        "flux": Residual(SQUARE, lambda u, a: (a * u.x).d("x") + (a * u.y).d("y")),
        "plain": Residual(SQUARE, lambda u, a: (a * u.laplacian() + a.x * u.x, a.xy, a.laplacian())),
        "wall": Dirichlet(SQUARE.boundary(), u=lambda a: a),
        "data": Observations([[0.5, 0.25]], total=(lambda u, a: u * a, [0.0])),
    }
    problem = Problem(SQUARE, ["u"], conditions, given=[Given("a", data, 5 if source == "scattered" else 3)])
    check_pointwise(problem)
    points = Sobol().sample(SQUARE, 30, 1)
    x, y = points.T
    rows = {name: points for name in ("flux", "plain", "wall")}
    rows["data"] = conditions["data"].rows(conditions["data"].fixed_points())
    r = ResidualSystem(problem, Trial(problem, Formula(lambda x, y: x * y)), engine).residuals(rows)
    a, a_x, a_y = 2 + torch.sin(3 * x) * y**2, 3 * torch.cos(3 * x) * y**2, 2 * torch.sin(3 * x) * y
    options = {"rtol": 0.0, "atol": 20 * accuracy}
    torch.testing.assert_close(r["flux"][:, 0], a_x * y + a_y * x, **options)
    torch.testing.assert_close(r["plain"][:, 0], a_x * y, **options)
    torch.testing.assert_close(r["plain"][:, 1], 6 * torch.cos(3 * x) * y, **options)
    torch.testing.assert_close(r["plain"][:, 2], -9 * torch.sin(3 * x) * y**2 + 2 * torch.sin(3 * x), **options)
    torch.testing.assert_close(r["wall"][:, 0], x * y - a, **options)
    assert r["data"].item() == pytest.approx(0.125 * conductivity(0.5, 0.25), abs=accuracy)


def test_data_that_depend_on_one_coordinate_of_two():
    axis = np.linspace(-0.5, 2.5, 61)
    pulse = Given("q", {"t": axis, "q": np.exp(-axis)})
    problem = Problem(STRIP, ["u"], {"pde": Residual(STRIP, lambda u, q: (u.t - q.t, q.x))}, given=[pulse])
    points = Sobol().sample(STRIP, 20, 1)
    r = ResidualSystem(problem, Trial(problem, Formula(lambda x, t: torch.exp(-t)))).residuals({"pde": points})["pde"]
    assert r.abs().max() < 1e-4


@pytest.mark.parametrize("order", ["xy", "yx"])
def test_axes_of_an_xarray_are_known_by_their_names(order):
    """On a square grid the other order would be the transposed data, without an error."""
    sides = {"x": np.linspace(0, 1, 7), "y": np.linspace(0, 1, 7)}
    axes = [sides[name] for name in order]
    values = conductivity(**dict(zip(order, np.meshgrid(*axes, indexing="ij"), strict=True)))
    data = xarray.Dataset({"a": (tuple(order), values)}, coords=sides)
    found = Given("a", data).on(SQUARE)
    assert found(torch.tensor([[1.0, 0.5]], dtype=torch.float64)).item() == pytest.approx(conductivity(1.0, 0.5))


@pytest.mark.parametrize("kind", ["npz", "csv", "csv of Excel", "csv of NumPy"])
def test_data_of_a_file(kind, tmp_path):
    path = tmp_path / f"a.{kind.split()[0]}"
    encoding = "utf-8-sig" if kind.endswith("Excel") else "utf-8"  # with a mark before the first name
    if kind == "npz":
        np.savez(path, **grid(conductivity))
    else:
        columns, mark = table(conductivity), "# " if kind.endswith("NumPy") else ""
        rows = np.stack(list(columns.values()), -1)
        np.savetxt(path, rows, delimiter=",", header=", ".join(columns), comments=mark, fmt="%.17g", encoding=encoding)
    points = Sobol().sample(SQUARE, 20, 1)
    found = Given("a", path).on(SQUARE)(points)
    assert torch.equal(found, Given("a", grid(conductivity)).on(SQUARE)(points))


def test_numbers_are_told_from_others_also_in_a_view_of_the_problem():
    """As in windows of time, which are problems of their own."""
    scattered = dict(zip("xya", (*Halton(2, seed=0).random(60).T, np.arange(60.0)), strict=True))
    sources = [grid(conductivity), {"x": AXIS, "a": AXIS}, {"x": AXIS, "a": 2 * AXIS}, scattered]
    problems = [posed(source) for source in sources] + [posed({"x": AXIS, "a": AXIS}, degree=1)]
    found = [fingerprints(problem.given)["a"] for problem in problems]
    assert not any(are_same(*pair) for pair in itertools.combinations(found, 2))
    assert are_same(fingerprints(posed({"x": AXIS, "a": AXIS * (1 + 1e-15)}).given)["a"], found[1])  # another machine's
    again = [Problem(SQUARE, ["u"], p.conditions, given=once_more(p.given)) for p in problems]
    assert [fingerprints(problem.given)["a"] for problem in again] == found
    assert fingerprints(posed(lambda x: x).given) == {}


def test_blanks_in_the_name_of_a_column_are_underscores(tmp_path):
    path = tmp_path / "wall.csv"
    path.write_text("x,wall heat\n0,0\n0.25,0.25\n0.5,0.5\n1,1\n")
    found = Given("wall_heat", path, degree=1).on(Interval("x", 0, 1))(torch.tensor([[0.3]], dtype=torch.float64))
    assert found.item() == pytest.approx(0.3)


def test_two_columns_of_one_name_are_refused(tmp_path):
    (tmp_path / "wall.csv").write_text("x,a,a\n0,1,2\n1,2,3\n")
    assert_refused_in_one_line(lambda: Given("a", tmp_path / "wall.csv"), "has 2 columns 'a'; rename all but one")


RECIPE = """
problem:
  class_path: given_file.Plate
  init_args:
    source: {class_path: pinnlab.problems.Given, init_args: {name: f, source: f.npz, degree: 1}}
data: {points: {pde: 16, wall: 8}, evaluation_points: 100}
model:
  compile: false
  network: {class_path: MLP, init_args: {hidden: [4]}}
trainer: {logger: false, max_steps: 2, enable_progress_bar: false}
"""
PROBLEM = '''
from pinnlab.domains import Box
from pinnlab.problems import Dirichlet, Given, Problem, Residual

class Plate(Problem):
    """-Delta u = f with f from a file."""

    def __init__(self, source: Given):
        square = Box(["x", "y"], 0, 1)
        conditions = {
            "pde": Residual(square, lambda u, f: u.laplacian() + f), "wall": Dirichlet(square.boundary(), u=0.0)
        }
        super().__init__(square, ["u"], conditions, given=[source])
'''


@pytest.mark.filterwarnings("ignore")
def test_data_of_a_recipe(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])
    np.savez("f.npz", x=AXIS, y=OTHER, f=np.ones((41, 37)))
    (tmp_path / "given_file.py").write_text(PROBLEM)
    (tmp_path / "r.yaml").write_text(RECIPE)
    assert run(["fit", "-c", "r.yaml"]) == 0, capsys.readouterr().err


def posed(source, domain=SQUARE, **options):
    return Problem(domain, ["u"], {"pde": Residual(domain, lambda u, a: u * a)}, given=[Given("a", source, **options)])


BAD = {
    "name": (lambda: Given("a b", {}), "name must be a name"),
    "degree": (lambda: Given("a", {}, degree=2), "degree must be 1, 3 or 5"),
    "source": (lambda: Given("a", 3.0), "source must be a function, arrays by name"),
    "file": (lambda: Given("a", "a.txt"), "must be a file .npz"),
    "no file": (lambda: Given("a", "nowhere.npz"), "nowhere.npz cannot be read"),
    "no list": (lambda: Problem(SQUARE, ["u"], {"pde": Residual(SQUARE, lambda u: u)}, given={"a": 1}), "given must"),
    "name twice": (lambda: Problem(SQUARE, ["u"], {}, given=[Given("u", lambda x: x)]), "'u' is used twice"),
    "no coordinate": (lambda: posed({"z": AXIS, "a": AXIS}), "one to three of the coordinates x, y, not z, a"),
    "no values": (lambda: posed({"x": AXIS, "b": AXIS}), "have no a, but x, b"),
    "not numbers": (lambda: posed({"x": AXIS, "a": ["one"] * 41}), "a must be finite real numbers"),
    "nan": (lambda: posed({"x": AXIS, "a": AXIS * np.nan}), "a must be finite real numbers"),
    "masked": (lambda: posed({"x": AXIS, "a": np.ma.masked_less(AXIS, 0.5)}), "a must be finite real numbers"),
    "shape": (lambda: posed({"x": AXIS, "y": OTHER, "a": np.ones((37, 41))}), "must be (41, 37) as the axes say"),
    "few": (lambda: posed({"x": AXIS[[0, -1]], "a": AXIS[[0, -1]]}), "with more than 3 numbers for degree 3, got 2"),
    "too short": (lambda: posed({"x": 0.9 * AXIS, "a": AXIS}), "goes from 0 to 0.9, which leaves out a part"),
    "scattered in a corner": (
        lambda: posed(dict(zip("xya", 0.8 * np.random.default_rng(0).random((3, 90)), strict=True))),
        "which leaves out a part of the domain",
    ),
    "scattered twice": (
        lambda: posed({"x": AXIS[[0, 1, 1]], "y": AXIS[[0, 1, 1]], "a": AXIS[:3]}),
        "a place is twice among its 3 rows",
    ),
    "scattered on a line": (
        lambda: posed({"x": AXIS, "y": AXIS, "a": AXIS}),
        "41 places do not determine a polynomial",
    ),
    "scattered and many": (
        lambda: posed(dict(zip("xya", np.random.default_rng(0).random((3, 4001)), strict=True))),
        "4,001 rows are no grid, and more than 4,000",
    ),
    "function of others": (lambda: posed(lambda z: z), "argument of given 'a' 'z'"),
    "numpy": (lambda: posed(lambda x: np.sin(x.numpy())), "write torch.sin in place of np.sin"),
    "no tensor": (lambda: posed(lambda x: 1.0), "its function must return a tensor (n,)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_the_key(case):
    assert_refused_in_one_line(*BAD[case])
