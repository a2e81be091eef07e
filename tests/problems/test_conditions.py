"""Conditions against formulas by hand, and what they refuse."""

import math

import numpy as np
import pytest
import torch
from formula import Formula
from refused import assert_refused_in_one_line

from pinnlab.derivatives import Wanted
from pinnlab.domains import Disk, Interval
from pinnlab.errors import ConfigurationError, UnknownDerivativeError
from pinnlab.numerics.tables import read_table
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import (
    Coefficient,
    Dirichlet,
    Neumann,
    Observations,
    OperatorData,
    Periodic,
    Problem,
    Residual,
    Robin,
)
from pinnlab.samplers import Sobol

DISK = Disk(("x", "y"), radius=2.0)
STRIP = Interval("x", -1, 2) * Interval("t", 0, 1)


def residual(domain, condition, function, count=50, **coefficients):
    problem = Problem(domain, ["u"], {"c": condition}, coefficients)
    own = condition.fixed_points()
    points = Sobol().sample(condition.region, count, 1) if own is None else own
    system = ResidualSystem(problem, Trial(problem, Formula(function)), "taylor")
    return points, system.residuals({"c": condition.rows(points)})["c"]


def test_neumann_on_a_disk():
    points, r = residual(DISK, Neumann(DISK.boundary(), u=lambda x: x), lambda x, y: x * y)
    x, y = points.T
    assert torch.allclose(r[:, 0], (y * x + x * y) / 2 - x)


def test_robin_on_a_disk_with_a_target_of_the_normal():
    condition = Robin(DISK.boundary(), alpha=2.0, beta=3.0, u=lambda normal: normal[:, 0])
    points, r = residual(DISK, condition, lambda x, y: x + y * y)
    x, y = points.T
    assert torch.allclose(r[:, 0], 2 * (x + y**2) + 3 * (x + 2 * y**2) / 2 - x / 2)


PLACES = torch.tensor([[0.0, 0.5], [1.0, 0.2], [0.5, 1.0]], dtype=torch.float64)


def test_observations_of_expressions_over_their_standard_deviations():
    """Values, a flux and one that is differentiated, each with a sigma of its own kind."""
    deviations = [0.1, 0.2, 0.5]
    condition = Observations(
        PLACES,
        u=[1.0, 2.0, 3.0],
        flux=(lambda u, x: (1 + x) * u.x, [0.5, 0.0, -1.0]),
        bend=(lambda u: (u * u).d("x"), [0.0, 0.0, 0.0]),
        sigma={"flux": deviations, "bend": 0.25},
    )
    _, r = residual(STRIP, condition, lambda x, t: x * x + t)
    x, t = PLACES.T
    value = x * x + t
    assert torch.allclose(r[:, 0], value - torch.tensor([1.0, 2.0, 3.0]))
    assert torch.allclose(r[:, 1], ((1 + x) * 2 * x - torch.tensor([0.5, 0.0, -1.0])) / torch.tensor(deviations))
    assert torch.allclose(r[:, 2], 2 * value * 2 * x / 0.25)


def test_measurements_in_lists_keep_their_digits():
    data = Observations([[0.1]], u=[0.2], sigma=0.3)
    assert (data.points.item(), data.targets["u"].item(), data.sigmas["u"].item()) == (0.1, 0.2, 0.3)


def test_measurements_are_the_numbers_of_an_array_of_any_kind_and_their_own():
    values = np.array([0.25, 0.5], dtype=">f8")  # the order of bytes of old NetCDF and FITS files
    data = Observations(np.array([[0.0], [1.0]]), u=values, v=np.ma.masked_invalid([1.0, 2.0]))
    values[0] = 7.0
    assert {name: value.tolist() for name, value in data.targets.items()} == {"u": [0.25, 0.5], "v": [1.0, 2.0]}


def test_measurements_of_another_network_are_numbers_of_their_own():
    """Without its graph, which a second step could not go through again."""
    places, network = torch.rand(4, 1, dtype=torch.float64), torch.nn.Linear(1, 1).double()
    values = network(places)[:, 0]
    data = Observations(places.requires_grad_(), u=values, sigma=values.abs() + 1)
    expected = torch.cat([places, values[:, None], values[:, None].abs() + 1], 1).detach()
    with torch.no_grad():
        places += 1
        values += 1
    rows = data.rows(data.fixed_points())
    assert not rows.requires_grad
    assert torch.equal(rows, expected)


@pytest.mark.parametrize("values", [np.ma.array([1.0, 2.0], mask=[False, True]), np.ma.array([1, 2], mask=[0, 1])])
def test_masked_measurements_are_no_numbers(values):
    with pytest.raises(ConfigurationError, match="u holds nan in row 1"):
        Observations([[0.0], [1.0]], u=values)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_observations_are_read_from_a_file(encoding, tmp_path):
    path = tmp_path / "probe.csv"
    path.write_text("t, T, x,flow,err\n0.5,1,0,0.5,0.1\n0.25,2,1,0,0.2\n\n", encoding=encoding)
    flux = lambda u: u.x  # noqa: E731
    data = Observations.read(path, ["x", "t"], u="T", flux=(flux, "flow"), weight=2.0, sigma={"u": "err", "flux": 0.25})
    assert data.points.tolist() == [[0.0, 0.5], [1.0, 0.25]]
    assert {name: values.tolist() for name, values in data.targets.items()} == {"u": [1.0, 2.0], "flux": [0.5, 0.0]}
    assert (data.functions, data.weight) == ({"flux": flux}, 2.0)
    assert {name: s.tolist() for name, s in data.sigmas.items()} == {"u": [0.1, 0.2], "flux": 0.25}
    one = Observations.read(path, "t", u="T", sigma="err")
    assert (one.points.shape, one.sigmas["u"].tolist()) == ((2, 1), [0.1, 0.2])
    assert not Observations.read(path, "t", u="T").sigmas


@pytest.mark.parametrize("head", ["# run 7\n#\nx,u,v,,\n", "# run 7\n# x,u,v,,\n", "x,u,v,,\n# run 7\n"])
def test_remarks_in_a_file_are_no_names(head, tmp_path):
    path = tmp_path / "probe.csv"
    path.write_text(f"{head}0.5,1,2,,\n# a bubble\n1,3,4,,\n")
    data = Observations.read(path, ["x"], u="u")
    assert (data.points.tolist(), data.targets["u"].tolist()) == ([[0.5], [1.0]], [1.0, 3.0])


def test_the_name_of_the_only_column_may_have_a_semicolon(tmp_path):
    path = tmp_path / "times.csv"
    path.write_text("t (s; from the start)\n0.5\n1\n")
    assert read_table(path)["t (s; from the start)"].tolist() == [0.5, 1.0]


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("x;u\n0;1\n", {"u": "u"}, "separates its columns by ';'; separate them by ','"),
        ("x;u\n0,1;0,2\n", {"u": "u"}, "separates its columns by ';'.* '.' as the decimal mark"),
        ("x\tu\n0\t1\n", {"u": "u"}, r"separates its columns by '\\t'"),
        ("0,1\n1,2\n", {"u": "u"}, "the first line of .* must name its columns, got 0, 1"),
        ("x,u,u\n0,1,2\n", {"u": "u"}, "has 2 columns 'u'; rename all but one"),
        ("x,u\n0,1\n", {"u": "T"}, "has no column 'T', but x, u"),
        ("x,u\n0,1\n0,a\n", {"u": "u"}, "line 3 has no number for u, but 'a'"),
        ('x,u\n"0,5",1\n', {"u": "u"}, "line 2 has no number for x, but '0,5'"),
        ("x,u\n0,1\n0\n", {"u": "u"}, "line 3 must have 2 fields, got 1"),
        ("x,u\n0,5,1,5\n", {"u": "u"}, "line 2 must have 2 fields, got 4"),
        ("x,u\n0,nan\n", {"u": "u"}, "Observations: u holds nan in row 0"),
        ("x,u\n", {"u": "u"}, "points must be"),
        ("", {"u": "u"}, "has no column 'x', but none"),
        ("x,u\n0,1\n", {"u": [1.0]}, "u must be the name of a column"),
        ("x,u\n0,1\n", {}, "name at least one unknown"),
        (None, {"u": "u"}, "path: /.*probe.csv cannot be read \\(No such file"),
        (b"\xff\xfe\x00", {"u": "u"}, "cannot be read"),
    ],
)
def test_files_of_other_observations_are_refused_in_one_line(text, columns, message, tmp_path):
    path = tmp_path / "probe.csv"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError, match=message) as caught:
        Observations.read(path, ["x"], **columns)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"u": np.ones((2, 1))}, r"u must have one value for each of the 2 points, \(2,\), got \(2, 1\)"),
        (
            {"sigma": np.ones((2, 1))},
            r"sigma of u must be a positive number, or 2 of them, \(2,\), got the shape \(2, 1\)",
        ),
        ({"sigma": [0.1, -0.5]}, r"sigma of u must be a positive number, or 2 of them, \(2,\), got -0.5"),
        ({"sigma": 0}, r"sigma of u must be a positive number, .*, got 0"),
    ],
)
def test_measurements_of_another_shape_are_told_which(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        Observations([[0.0], [1.0]], **{"u": [1.0, 2.0], **changes})


def test_a_number_for_sigma_is_a_weight_of_its_inverse_square():
    """Mean squares are those of residuals over sigma: about 1 where the data are met within their noise."""
    noise = 0.01 * torch.randn(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points = torch.rand(4000, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    values = points[:, 0] * points[:, 1] + noise
    _, r = residual(STRIP, Observations(points, u=values, sigma=0.01), lambda x, t: x * t)
    _, plain = residual(STRIP, Observations(points, u=values), lambda x, t: x * t)
    assert r.square().mean().item() == pytest.approx(1.0, rel=0.1)
    assert torch.allclose(r, 100 * plain)


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
def test_a_residual_on_a_boundary_gets_the_normal(engine):
    """Newton's law of cooling with a conductivity that depends on u, and the tangential derivative."""
    condition = Residual(
        DISK.boundary(),
        lambda u, x, normal: ((1 + u**2) * u.along(normal) + 3 * (u - x), u.x * normal[:, 1] - u.y * normal[:, 0]),
    )
    problem = Problem(DISK, ["u"], {"c": condition})
    points = Sobol().sample(condition.region, 50, 1)
    system = ResidualSystem(problem, Trial(problem, Formula(lambda x, y: x * y)), engine)
    cooling, turning = system.residuals({"c": condition.rows(points)})["c"].T
    x, y = points.T
    assert torch.allclose(cooling, (1 + (x * y) ** 2) * x * y + 3 * (x * y - x))
    assert torch.allclose(turning, (y**2 - x**2) / 2)


def test_only_what_asks_for_it_carries_the_normal():
    points = Sobol().sample(DISK.boundary(), 4, 1)
    assert Residual(DISK.boundary(), lambda u: u).rows(points) is points
    assert Residual(DISK.boundary(), lambda u, normal: u).rows(points).shape == (4, 4)
    everything = Residual(DISK.boundary(), lambda **known: known["u"].along(known["normal"]) - 1)
    assert everything.rows(points).shape == (4, 4)
    assert residual(DISK, everything, lambda x, y: x)[1].shape == (50, 1)
    with pytest.raises(ConfigurationError, match="'normal'"):
        Problem(DISK, ["u"], {"pde": Residual(DISK, lambda u, normal: u.x)})


def test_neumann_on_the_initial_face_is_minus_the_velocity():
    _, r = residual(STRIP, Neumann(STRIP.face(t=0.0), u=0.0), lambda x, t: x * t)
    points = Sobol().sample(STRIP.face(t=0.0), 50, 1)
    assert torch.allclose(r[:, 0], -points[:, 0])


def test_periodic_jumps_of_value_and_slope():
    points, r = residual(STRIP, Periodic(STRIP, "x", order=1), lambda x, t: x * x + t)
    assert r.shape == (50, 2)
    assert torch.allclose(r, torch.tensor([1.0 - 4.0, -2.0 - 4.0], dtype=torch.float64).expand(50, 2))
    assert torch.allclose(points[:, 0], torch.tensor(-1.0, dtype=torch.float64))


def test_periodic_function_has_no_jump():
    _, r = residual(STRIP, Periodic(STRIP, "x", order=2), lambda x, t: torch.sin(2 * math.pi * x / 3) * t)
    assert r.abs().max() < 1e-12


def test_periodic_for_chosen_unknowns_and_derivatives():
    """Of u(x, t) = x^2 t and v = x^3 + t: the jump of v, and that of both slopes."""
    conditions = {
        "value": Periodic(STRIP, "x", order=0, unknowns=["v"]),
        "slope": Periodic(STRIP, "x", orders=(1,)),
    }
    problem = Problem(STRIP, ["u", "v"], conditions)
    assert problem.wanted["value"] == Wanted()

    class Both(torch.nn.Module):
        def forward(self, p):
            return torch.stack([p[:, 0] ** 2 * p[:, 1], p[:, 0] ** 3 + p[:, 1]], -1)

    points = Sobol().sample(conditions["slope"].region, 20, 1)
    r = ResidualSystem(problem, Trial(problem, Both())).residuals({"value": points, "slope": points})
    t = points[:, 1]
    assert torch.allclose(r["value"], torch.full((20, 1), -1.0 - 8.0, dtype=torch.float64))
    assert torch.allclose(r["slope"], torch.stack([(-2 - 4) * t, 3 - 12 + 0 * t], -1))


def test_observations():
    points = torch.tensor([[0.0, 0.5], [1.0, 0.25]], dtype=torch.float64)
    _, r = residual(STRIP, Observations(points, u=[1.0, 2.0]), lambda x, t: x + t)
    assert r[:, 0].tolist() == [0.5 - 1.0, 1.25 - 2.0]


@pytest.mark.parametrize("kind", [Observations, OperatorData])
def test_arrays_may_be_read_only_and_are_copied(kind, recwarn):
    """As those of a table of pandas; what is written into an array later is no measurement."""
    places, values = np.zeros((2, 1)), np.ones((1, 2))
    places.setflags(write=False)
    given = values if kind is OperatorData else values[0]
    condition = Observations(places, u=given) if kind is Observations else OperatorData([[1.0]], given, places)
    values[:] = 7.0
    assert condition.targets["u"].tolist() == [1.0, 1.0]
    assert not recwarn.list


def test_residual_with_a_coefficient_and_two_equations():
    condition = Residual(STRIP, lambda u, nu, x: (u.t - nu * u.xx, u - x))
    points, r = residual(STRIP, condition, lambda x, t: x * x * t, nu=Coefficient(0.5, bounds=(0.0, 1.0)))
    x, t = points.T
    assert torch.allclose(r, torch.stack([x**2 - 0.5 * 2 * t, x**2 * t - x], -1))


@pytest.mark.parametrize("bounds", [None, (0.1, 3.0)])
def test_coefficient_round_trip(bounds):
    coefficient = Coefficient(0.7, bounds)
    raw = torch.tensor(coefficient.raw_initial(), dtype=torch.float64)
    assert coefficient.value(raw).item() == pytest.approx(0.7, rel=1e-14)
    if bounds:
        assert 0.1 <= coefficient.value(raw - 100).item() < coefficient.value(raw + 100).item() <= 3.0


def make(**changes):
    options = {"domain": STRIP, "unknowns": ["u"], "conditions": {"pde": Residual(STRIP, lambda u: u.t)}}
    return Problem(**{**options, **changes})


BAD = {
    "unknown of a target": (lambda: make(conditions={"w": Dirichlet(STRIP.boundary("x"), v=0.0)}), "'v'"),
    "argument": (lambda: make(conditions={"w": Residual(STRIP, lambda u, z: u)}), "'z'"),
    "shape": (lambda: make(conditions={"w": Residual(STRIP, lambda u: u.gradient())}), "'w'"),
    "no tensor": (lambda: make(conditions={"w": Residual(STRIP, lambda u: 1.0)}), "'w'"),
    "negative weight": (lambda: Residual(STRIP, lambda u: u.t, weight=-1.0), "weight"),
    "infinite weight": (lambda: Residual(STRIP, lambda u: u.t, weight=math.inf), "weight"),
    "weight of a function": (lambda: Dirichlet(STRIP.face(t=0.0), weight=lambda x: x, u=0.0), "weight"),
    "periodic order": (lambda: Periodic(STRIP, "x", order=-1), "order"),
    "periodic orders": (lambda: Periodic(STRIP, "x", orders=[-1]), "order"),
    "periodic without unknowns": (lambda: Periodic(STRIP, "x", unknowns=[]), "unknowns and orders must be lists"),
    "unknown of a periodic condition": (lambda: make(conditions={"w": Periodic(STRIP, "x", unknowns=["v"])}), "'v'"),
    "endless bounds": (lambda: Coefficient(2.0, bounds=(0.0, math.inf)), "bounds"),
    "no target": (lambda: Dirichlet(STRIP.boundary("x")), "Dirichlet"),
    "name clash": (lambda: make(unknowns=["x"]), "'x'"),
    "reserved": (lambda: make(unknowns=["normal"]), "'normal'"),
    "no unknowns": (lambda: make(unknowns=[]), "unknowns"),
    "no conditions": (lambda: make(conditions={}), "conditions"),
    "other domain": (lambda: make(conditions={"w": Residual(Interval("x", 0, 1), lambda u: u.x)}), "'w'"),
    "swapped coordinates": (
        lambda: make(conditions={"w": Residual(Interval("t", 0, 1) * Interval("x", -1, 2), lambda u: u.x)}),
        "'w'",
    ),
    "one object twice": (lambda: make(conditions=dict.fromkeys("ab", Residual(STRIP, lambda u: u.t))), "twice"),
    "missing values": (lambda: Observations(torch.zeros(2, 2), u=[1.0, math.nan]), "u holds"),
    "coefficient": (lambda: Coefficient(2.0, bounds=(0.0, 1.0)), "bounds"),
    "periodic coordinate": (lambda: Periodic(STRIP, "y"), "'y'"),
    "observations": (lambda: Observations(torch.zeros(3, 2), u=[1.0]), "u"),
    "built-in target": (lambda: make(conditions={"w": Dirichlet(STRIP.face(t=0.0), u=torch.sin)}), "'w'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_the_key(case):
    assert_refused_in_one_line(*BAD[case])


def test_unknown_derivative_names_unknown_and_coordinates():
    with pytest.raises(UnknownDerivativeError, match=r"'u' with respect to 'z'.*x, t"):
        make(conditions={"w": Residual(STRIP, lambda u: u.xz)})
