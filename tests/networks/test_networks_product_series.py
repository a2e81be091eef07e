"""All products of waves and polynomials: the functions by their formulas, and on grids what they are at points."""

import functools
import math

import numpy as np
import pytest
import torch

from pinnlab.derivatives import Wanted, partials
from pinnlab.errors import ConfigurationError
from pinnlab.networks import OnProducts, ProductSeries, ScaledInput, on_products
from pinnlab.networks.product_series import _BLOCK


def series(inputs=3, outputs=2, **options):
    torch.manual_seed(0)
    network = ProductSeries(inputs, outputs, **{"waves": [3, 2, 1][: inputs - 1], "degree": 4, **options}).double()
    torch.nn.init.normal_(network.last.weight)
    return network


def grid_of(*counts):
    """Points of [-1, 1]^d, the last coordinate slowest and then the first one, and so on."""
    *places, times = [torch.linspace(-0.9, 0.8, count, dtype=torch.float64) for count in counts]
    time, *place = torch.meshgrid(times, *places, indexing="ij")
    return torch.stack([*place, time], -1).flatten(0, -2)


def by_formula(network, x, y, t):
    """The sum by numpy, function by function."""
    legendre = np.polynomial.legendre.Legendre

    def waves(z, most):
        numbers = np.arange(1, most + 1)
        return np.concatenate(
            [[1.0], math.sqrt(2) * np.cos(math.pi * numbers * z), math.sqrt(2) * np.sin(math.pi * numbers * z)]
        )

    def polynomial(j):
        return 1.0 if j == 0 else math.sqrt(2 * j - 1) * legendre.basis(j - 1).integ(lbnd=-1)(t)

    amplitudes = network.last().detach().numpy()
    return np.einsum("mjkl,j,k,l->m", amplitudes, [polynomial(j) for j in range(5)], waves(x, 3), waves(y, 2))


def test_the_functions_are_waves_times_integrals_of_legendre_polynomials():
    network = series()
    points = torch.tensor([[0.3, -0.7, 0.4], [-1.0, 0.2, -1.0], [0.9, 0.1, 1.0]], dtype=torch.float64)
    expected = np.stack([by_formula(network, *point) for point in points.tolist()])
    np.testing.assert_allclose(network(points).detach().numpy(), expected, rtol=0, atol=1e-12)


def test_only_the_constants_remain_where_time_begins():
    network = series(2, 1)
    start = torch.tensor([[0.3, -1.0]], dtype=torch.float64)
    before = network(start)
    with torch.no_grad():
        network.last.weight.view(5, 7)[1:] = 0.0
    assert torch.equal(network(start), before)


def test_derivatives_by_time_have_mean_square_one_and_are_orthogonal():
    """By Gauss' rule; and waves on as many places as they need: then conjugate gradients are over soon."""
    network = series(2, 1)
    nodes, weights = np.polynomial.legendre.leggauss(5)
    times = torch.tensor(nodes, requires_grad=True)
    slopes = [
        torch.autograd.grad(column.sum(), times, retain_graph=True)[0] for column in network._polynomials(times).T[1:]
    ]
    table = torch.stack(slopes).numpy()
    np.testing.assert_allclose((table * weights / 2) @ table.T, np.eye(4), atol=1e-13)
    waves = network._waves((torch.arange(8, dtype=torch.float64) + 0.5) / 4 - 1, 0)
    torch.testing.assert_close(waves.T @ waves / 8, torch.eye(7, dtype=torch.float64), rtol=0, atol=1e-14)


WANTED = Wanted(frozenset({(0,), (2,), (0, 2), (1, 1, 1), (0, 0, 1, 1)}), frozenset({(0, 1)}))


@pytest.mark.parametrize("counts", [(5, 6, 4), (1, 6, 4), (5, 6, 1)])
def test_on_a_grid_it_is_what_it_is_at_points(counts):
    network, points = series(), grid_of(*counts)
    found, expected = (partials(f, points, WANTED) for f in (lambda x: network(x, places=counts[:2]), network))
    torch.testing.assert_close(found.value, expected.value, rtol=0, atol=1e-12)
    for part in ("partials", "laplacians"):
        for key, values in getattr(expected, part).items():
            torch.testing.assert_close(getattr(found, part)[key], values, rtol=1e-12, atol=1e-9)


def test_in_a_scaled_input_and_of_chosen_columns():
    """Of chosen columns the points are no longer all coordinates: then by products of jets."""
    scaled = ScaledInput(series(), [0.0, 0.0, 0.0], [1.0, 2.0, 3.0])
    points = grid_of(3, 4, 5)
    wanted = Wanted(frozenset({(0,), (2,)}), frozenset({(0, 1)}))
    network = series(2, 1)

    def chosen(x, **known):
        return network(torch.stack([x[:, 0], x[:, 2]], -1), **known)

    line = points.unflatten(0, (5, 3, 4))[:, :, 0].flatten(0, 1)
    for function, where, places in ((scaled, points, (3, 4)), (chosen, line, (3,))):
        found = partials(functools.partial(function, places=places), where, wanted)
        expected = partials(function, where, wanted)
        for key, values in expected.partials.items():
            torch.testing.assert_close(found.partials[key], values, rtol=1e-12, atol=1e-10)
        torch.testing.assert_close(found.laplacians[(0, 1)], expected.laplacians[(0, 1)], rtol=1e-12, atol=1e-9)


def test_gradients_by_its_numbers_are_the_same_on_a_grid():
    network, points = series(), grid_of(5, 6, 4)
    weights = torch.linspace(-1, 1, 240, dtype=torch.float64).reshape(120, 2)
    found = [
        torch.autograd.grad((weights * network(points, **known)).sum(), network.last.weight)[0]
        for known in ({}, {"places": (5, 6)})
    ]
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)


def test_many_points_are_taken_in_blocks():
    network = series(2, 1, waves=[1], degree=1).double()
    rows = _BLOCK // 2 + 3
    points = torch.rand(rows, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(points)[-5:], network(points[-5:]), rtol=0, atol=1e-14)


def test_it_is_on_products_and_says_that_it_needs_grids():
    network = series()
    assert isinstance(network, OnProducts)
    assert on_products(ScaledInput(network, [0.0] * 3, [1.0] * 3)) is network
    assert network.on_grids
    with pytest.raises(
        ConfigurationError, match=r"waves: must be one number for each coordinate but the last, 1, got \[3, 3\]"
    ):
        ProductSeries(2, 1, waves=[3, 3])
