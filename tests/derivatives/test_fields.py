"""Fields: values in arithmetic, derivatives by name, recording."""

import operator

import pytest
import torch

from pinnlab.derivatives import Field, RecordingField, Wanted, divergence, partials
from pinnlab.errors import UnknownDerivativeError

COORDINATES = ("x", "theta", "t")
X = torch.rand(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
WANTED = Wanted(
    frozenset({(0,), (1,), (2,), (0, 0), (0, 1), (1, 1), (0, 2), (1, 1, 2)}), frozenset({(0, 1), (0, 1, 2)})
)


def function(p):
    return torch.stack([p[:, 0] ** 2 * p[:, 1] ** 3 * p[:, 2], p[:, 0] * p[:, 1]], -1)


def field(column=0):
    return Field("u", COORDINATES, partials(function, X, WANTED), column)


def test_derivatives_by_name():
    u, (x, h, t) = field(), X.T
    assert torch.allclose(u.x, 2 * x * h**3 * t)
    assert torch.allclose(u.xx, 2 * h**3 * t)
    assert torch.allclose(u.theta, 3 * x**2 * h**2 * t)
    assert torch.allclose(u.xt, 2 * x * h**3)
    assert torch.equal(u.xt, u.tx)
    assert torch.allclose(u.d("theta", "theta", "t"), 6 * x**2 * h)
    assert torch.equal(u.d(), u.value)


def test_laplacian_leaves_time_out_unless_named():
    u, (x, h, t) = field(), X.T
    space = 2 * h**3 * t + 6 * x**2 * h * t
    assert torch.allclose(u.laplacian(), space)
    assert torch.allclose(u.laplacian("x", "theta"), space)
    assert torch.allclose(u.laplacian("x", "theta", "t"), space)  # u_tt = 0
    assert torch.allclose(u.laplacian("x"), u.xx)


def test_gradient_and_divergence():
    u, v = field(0), field(1)
    assert u.gradient().shape == (6, 3)
    assert torch.equal(u.gradient("x", "t"), torch.stack([u.x, u.t], -1))
    assert torch.allclose(divergence([u, v]), u.x + v.theta)
    assert torch.allclose(divergence([u, v], "theta", "x"), u.theta + v.x)
    with pytest.raises(UnknownDerivativeError, match="1 components but 2"):
        divergence([u])


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "pow", "lt", "le", "gt", "ge", "eq", "ne"])
@pytest.mark.parametrize("other", [2.0, X[:, 0] + 1, field(1)], ids=["number", "tensor", "field"])
def test_arithmetic_in_both_directions(name, other):
    operation, u = getattr(operator, name), field()
    value = other.value if isinstance(other, Field) else other
    assert torch.equal(operation(u, other), operation(u.value, value))
    assert torch.equal(operation(other, u), operation(value, u.value))


def test_torch_functions_and_signs():
    u = field()
    assert torch.equal(torch.sin(u), torch.sin(u.value))
    assert torch.equal(torch.stack([u, u]), torch.stack([u.value, u.value]))
    assert torch.equal(-u, -u.value)
    assert torch.equal(abs(u), u.value.abs())
    assert len(u) == 6


def test_unknown_coordinate_names_everything():
    with pytest.raises(UnknownDerivativeError, match=r"'u' with respect to 'y'.*x, theta, t"):
        _ = field().xy
    assert not hasattr(field(), "nonsense")


def test_only_time_has_no_laplacian():
    u = RecordingField("u", ("t",), torch.ones(2))
    with pytest.raises(UnknownDerivativeError, match="but the time 't'"):
        u.laplacian()


def test_a_derivative_that_was_not_recorded_is_named():
    with pytest.raises(UnknownDerivativeError, match="'u' by t, t: not asked for"):
        field().d("t", "t")


def test_recording_finds_exactly_what_is_used():
    u = RecordingField("u", ("x", "y", "t"), torch.ones(2, dtype=torch.float64))
    result = u.t + u * u.x - 0.1 * u.laplacian() + torch.sin(u) + u.yx + u.d("x", "x", "y")
    assert result.shape == (2,)
    assert u.wanted == Wanted(frozenset({(2,), (0,), (0, 1), (0, 0, 1)}), frozenset({(0, 1)}))
