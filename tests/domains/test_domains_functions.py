"""Spaces of functions: their distribution, their values, and what they are in a domain."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from pinnlab.derivatives import Known
from pinnlab.domains import Box, Chebyshev, Cosines, Fourier, FunctionSpace, Interval, KarhunenLoeve, function_spaces
from pinnlab.errors import ConfigurationError
from pinnlab.problems import Problem, Residual
from pinnlab.samplers import Grid, LatinHypercube, Sobol, UniformRandom

X = Interval("x", -1, 2)
BASES = [Chebyshev(X, 4, amplitude=2.0), Fourier(X, 5), KarhunenLoeve(X, 6, length=0.7, deviation=1.5)]


@pytest.mark.parametrize("basis", BASES, ids=lambda b: type(b).__name__)
@pytest.mark.parametrize(
    "sampler", [Sobol(), UniformRandom(), LatinHypercube(), Grid()], ids=lambda s: type(s).__name__
)
def test_every_design_draws_coefficients_of_the_prior(basis, sampler):
    space = FunctionSpace("a", basis)
    found = sampler.sample(space, 4096, seed=0)
    assert found.shape[1] == basis.modes
    assert space.contains(found).all()
    # Cut off at three deviations, a normal number has the variance 0.9733.
    assert found.mean(0).abs().max() < 0.1
    variance = found.var(0)
    rtol = 0.4 if isinstance(sampler, Grid) else 0.05  # a grid has four numbers only in each of six coordinates
    assert torch.allclose(variance, torch.full_like(variance, 0.9733 if basis.is_normal else 1 / 3), rtol=rtol)


def test_normal_coefficients_are_those_of_the_inverse_distribution():
    space = FunctionSpace("a", Fourier(X, 1), bound=8.0)
    unit = torch.tensor([[0.5], [0.975], [0.0], [1 - 1e-17]], dtype=torch.float64)
    assert space.from_unit(unit)[:2, 0].tolist() == pytest.approx([0.0, 1.959963984540054], abs=1e-12)
    assert space.from_unit(unit)[2:].abs().max() <= 8.0


def test_karhunen_loeve_gives_the_covariance_back():
    length, deviation = 0.6, 1.5
    basis = KarhunenLoeve(X, 12, length, deviation)
    x = torch.linspace(-1, 2, 31, dtype=torch.float64)
    functions = basis.functions(x)
    exact = deviation**2 * torch.exp(-0.5 * ((x[:, None] - x) / length) ** 2)
    torch.testing.assert_close(functions @ functions.T, exact, atol=1e-5, rtol=0)
    assert 0 < 1 - basis.variance < 1e-7


def test_karhunen_loeve_modes_are_orthogonal():
    basis = KarhunenLoeve(X, 6, 0.5)
    nodes, weights = X.quadrature(200)
    functions = basis.functions(nodes[:, 0])
    gram = functions.T @ (weights[:, None] * functions)
    torch.testing.assert_close(gram, torch.diag(gram.diagonal()), atol=1e-10, rtol=0)
    assert (gram.diagonal().diff() < 0).all()


def test_fourier_has_the_deviations_that_it_says_and_is_periodic():
    basis = Fourier(X, 5, scale=2.0, tau=3.0, smoothness=2.0)
    nodes, weights = X.quadrature(200)
    squares = (weights[:, None] * basis.functions(nodes[:, 0]).square()).sum(0)
    waves = 2 * math.pi / 3 * torch.tensor([1, 1, 2, 2, 3], dtype=torch.float64)
    torch.testing.assert_close(squares.sqrt(), 2.0 / (waves**2 + 9))
    ends = basis.functions(torch.tensor([-1.0, 2.0], dtype=torch.float64))
    torch.testing.assert_close(ends[0], ends[1], atol=1e-14, rtol=0)


def test_chebyshev_is_numpys():
    x = np.linspace(-1, 2, 17)
    expected = 2 * np.polynomial.chebyshev.chebvander((x - 0.5) / 1.5, 3)
    np.testing.assert_allclose(BASES[0].functions(torch.from_numpy(x)).numpy(), expected, atol=1e-14)


@pytest.mark.parametrize("basis", BASES, ids=lambda b: type(b).__name__)
def test_a_residual_gets_the_function_and_its_derivatives_by_name(basis):
    t = Interval("t", 0, 1)
    space = FunctionSpace("a", basis)
    domain = t * X * space
    seen = {}

    def residual(u, a, x):
        seen["a"], seen["slope"], seen["curvature"] = a.value, a.x, a.d("x", "x")
        return u.t - a

    problem = Problem(domain, ["u"], {"pde": Residual(domain, residual)})
    assert list(problem.given) == ["a"]
    problem = pickle.loads(pickle.dumps(copy.deepcopy(problem.given)))
    points = Sobol().sample(domain, 20, seed=0)
    x, coefficients = points[:, 1], points[:, 2:]
    expected = space.values(coefficients, x).diagonal()
    torch.testing.assert_close(problem["a"](points), expected)
    h = 1e-5
    moved = [space.values(coefficients, x + s).diagonal() for s in (-h, h)]
    known = Known("a", domain.coordinates, points, problem["a"])
    torch.testing.assert_close(known.d("x"), (moved[1] - moved[0]) / (2 * h), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(known.d("t"), torch.zeros(20, dtype=torch.float64))
    assert known.d("x", "x").shape == (20,)


@pytest.mark.parametrize("basis", BASES, ids=lambda b: type(b).__name__)
def test_coefficients_are_found_again_from_values_at_sensors(basis):
    space = FunctionSpace("a", basis)
    x = torch.linspace(-1, 2, 40, dtype=torch.float64)
    coefficients = Sobol().sample(space, 7, seed=0)
    torch.testing.assert_close(space.coefficients(space.values(coefficients, x), x), coefficients, atol=1e-8, rtol=0)


def test_a_function_that_is_far_from_all_of_the_space_is_told():
    x = torch.linspace(0, 1, 201, dtype=torch.float64)[:-1]
    wave, constant = torch.sin(2 * math.pi * x), torch.ones(200, dtype=torch.float64)
    space = FunctionSpace("a", Fourier(Interval("x", 0, 1), 4))  # of mean zero
    several = torch.stack([wave, 0 * wave, wave + 0.05 * constant, wave + constant])
    with pytest.warns(UserWarning, match=r"a: what is given differs by 82% of its size.*Fourier.*function 3 of 4"):
        found = space.coefficients(several, x)
    torch.testing.assert_close(found[3], found[0], atol=1e-10, rtol=0)
    with pytest.warns(UserWarning, match="differs by 100% of its size from the nearest function"):
        space.coefficients(constant[None], x)
    space.coefficients(several[:3], x)  # within a tenth: no warning


def test_cosines_are_orthogonal_and_have_the_deviation_that_they_say():
    plane = Box(["x", "y"], [-1, 0], [2, 1])
    basis = Cosines(plane, 9, deviation=1.5, tau=2.0, smoothness=3.0)
    nodes, weights = plane.quadrature(60**2)
    functions = basis.functions(nodes)
    gram = functions.T @ (weights[:, None] * functions) / 3
    torch.testing.assert_close(gram, torch.diag(gram.diagonal()), atol=1e-10, rtol=0)
    assert gram.trace().item() == pytest.approx(1.5**2, rel=1e-13)
    waves = math.pi**2 * torch.tensor([1 / 9, 4 / 9], dtype=torch.float64)
    ratio = ((waves[0] + 4) / (waves[1] + 4)) ** 3
    assert (gram[1, 1] / gram[0, 0]).item() == pytest.approx(ratio.item())
    assert (weights[:, None] * functions).sum(0).abs().max() < 1e-10


def test_a_function_of_two_coordinates_has_derivatives_by_both():
    plane, t = Box(["x", "y"], 0, 1), Interval("t", 0, 1)
    space = FunctionSpace("g", Cosines(plane, 4))
    domain = t * plane * space
    points = Sobol().sample(domain, 20, seed=0)
    field, h = space.on(domain), 1e-5
    known = Known("g", domain.coordinates, points, field)
    for name, column in (("t", 0), ("x", 1), ("y", 2)):
        step = h * torch.eye(7, dtype=torch.float64)[column]
        expected = (field(points + step) - field(points - step)) / (2 * h)
        torch.testing.assert_close(known.d(name), expected, rtol=1e-6, atol=1e-8)
    sensors = Sobol().sample(plane, 30, seed=0)
    torch.testing.assert_close(space.coefficients(space.values(points[:, 3:], sensors), sensors), points[:, 3:])
    with pytest.raises(ConfigurationError, match="must follow each other"):
        space.on(Interval("x", 0, 1) * t * Interval("y", 0, 1) * space)


def test_a_factor_of_a_domain_is_left_out_by_boundaries_and_counts_one():
    space = FunctionSpace("a", Chebyshev(X, 2))
    domain = X * Interval("t", 0, 4) * space
    assert domain.coordinates == ("x", "t", "a0", "a1")
    assert domain.parameters == ("a0", "a1")
    assert function_spaces(domain) == [space]
    assert function_spaces(X) == []
    assert domain.measure == 12.0
    assert domain.boundary().measure == pytest.approx(2 * (3 + 4))
    assert domain.boundary("x").measure == pytest.approx(8)
    inside = torch.tensor([[0.0, 0.0, 0.9, 1.0], [0.0, 0.0, 1.1, 0.0]], dtype=torch.float64)
    assert domain.contains(inside).tolist() == [True, False]


def test_the_mean_over_the_measure_is_that_of_the_prior():
    nodes, weights = FunctionSpace("a", Fourier(X, 2)).quadrature(2000)
    assert weights.sum().item() == pytest.approx(1.0)
    assert (weights[:, None] * nodes**2).sum(0).tolist() == pytest.approx([0.9733, 0.9733], abs=0.01)


def test_a_periodic_function_goes_on_beyond_its_period():
    space = FunctionSpace("a", Fourier(X, 4))
    domain, drawn = Interval("x", -4, 8) * space, Sobol().sample(space, 3, seed=0)
    x = torch.tensor([-1.0, 0.3, 2.0], dtype=torch.float64)
    torch.testing.assert_close(space.values(drawn, x + 3), space.values(drawn, x))
    rows = torch.cat([x[:, None] + 3, drawn], 1)
    torch.testing.assert_close(space.on(domain)(rows), space.values(drawn, x).diagonal())


@pytest.mark.parametrize("ends", [(1990.1, 2020.3), (1000.1, 1000.9)])
def test_places_in_single_precision_are_not_beyond_an_interval_far_from_zero(ends):
    space, places = FunctionSpace("a", Chebyshev(Interval("t", *ends), 3)), torch.linspace(*ends, 50)
    assert space.coefficients(torch.ones(1, 50), places)[0].tolist() == pytest.approx([1.0, 0.0, 0.0], abs=1e-6)
    assert space.coefficients(torch.ones(1, 50), places.double())[0, 0].item() == pytest.approx(1.0, abs=1e-6)


def test_values_can_be_traced():
    space, places = FunctionSpace("a", Chebyshev(X, 3)), torch.linspace(-1, 2, 50, dtype=torch.float64)
    drawn = Sobol().sample(space, 4, seed=0)
    traced = make_fx(lambda rows, x: space.values(rows, x), tracing_mode="symbolic")(drawn, places)
    torch.testing.assert_close(traced(drawn, places), space.values(drawn, places))


@pytest.mark.filterwarnings("error")
def test_a_function_that_is_zero_but_for_roundings_is_near():
    places = torch.linspace(-1, 2, 50, dtype=torch.float64)
    noise = 1e-17 * torch.randn(1, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert FunctionSpace("a", Fourier(X, 3)).coefficients(noise, places).abs().max() < 1e-15


BAD = {
    "modes": lambda: Chebyshev(X, 0),
    "interval": lambda: Fourier(Box(["x", "y"], 0, 1)),
    "Box of 2 coordinates": lambda: Cosines(X),
    "deviation": lambda: Cosines(Box(["x", "y"], 0, 1), deviation=0),
    "amplitude": lambda: Chebyshev(X, 2, amplitude=0.0),
    "scale": lambda: Fourier(X, 2, scale=-1),
    "length": lambda: KarhunenLoeve(X, 2, length=math.nan),
    "only .* above round-off": lambda: KarhunenLoeve(X, 50, length=1.0),
    "basis": lambda: FunctionSpace("a", X),
    "bound": lambda: FunctionSpace("a", Fourier(X, 2), bound=0),
    "coordinates: 'a b0'|'a b'": lambda: FunctionSpace("a b", Fourier(X, 2)),
    "factor of a domain": lambda: Problem(
        Interval("t", 0, 1) * FunctionSpace("a", Fourier(X, 2)), ["u"], {"pde": Residual(X, lambda u: u)}
    ),
    "functions have none": lambda: FunctionSpace("a", Fourier(X, 2)).boundary(),
    "so not a0": lambda: (X * FunctionSpace("a", Fourier(X, 2))).face(a0=3.0),
    r"a: x goes from -1 to 4, and its Chebyshev from -1 to 2; give that an interval that covers": lambda: Problem(
        Interval("x", -1, 4) * FunctionSpace("a", Chebyshev(X, 2)), ["u"], {"pde": Residual(X, lambda u: u)}
    ),
    r"g: y goes from 0 to 2, and its Cosines from 0 to 1": lambda: FunctionSpace(
        "g", Cosines(Box(["x", "y"], 0, 1), 2)
    ).values(torch.ones(1, 2), torch.tensor([[0.5, 0.0], [0.5, 2.0]])),
    r"a: x goes from -9 to 2, and its KarhunenLoeve": lambda: FunctionSpace("a", KarhunenLoeve(X, 2)).coefficients(
        torch.ones(2, 3), torch.tensor([-9.0, 0.0, 2.0])
    ),
    "needs functions": lambda: FunctionSpace("a", Fourier(X, 4)).coefficients(torch.ones(2, 3), torch.ones(3)),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_arguments_are_one_line(message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        BAD[message]()
    assert "\n" not in str(caught.value)
