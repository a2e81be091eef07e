"""Chebyshev collocation: exact for polynomials up to its degree, at the nodes and between them."""

import numpy as np
import pytest
from numpy.polynomial import Polynomial

from pinnlab.problems.references.chebyshev import differentiation, interpolation


@pytest.mark.parametrize("degree", [3, 8, 20])
def test_polynomials_are_exact(degree):
    polynomial = Polynomial(np.random.default_rng(0).standard_normal(degree + 1), domain=[0, 1], window=[-1, 1])
    nodes, slope = differentiation(degree)
    assert (nodes[0], nodes[-1]) == (0.0, 1.0)
    np.testing.assert_allclose(slope @ polynomial(nodes), polynomial.deriv()(nodes), rtol=1e-9, atol=1e-9)
    places = np.concatenate([np.linspace(0, 1, 50), nodes])
    np.testing.assert_allclose(interpolation(nodes, places) @ polynomial(nodes), polynomial(places), atol=1e-12)


def test_a_node_has_its_own_value():
    nodes, _ = differentiation(9)
    assert np.array_equal(interpolation(nodes, nodes), np.eye(10))
