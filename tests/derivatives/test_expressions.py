"""Derivatives of expressions against nested reverse mode of the same formulas as functions of the point."""

import pytest
import torch
from torch.func import grad, vmap

from pinnlab.derivatives import Expression, Field, RecordingField, Wanted, d, divergence, partials
from pinnlab.derivatives.expressions import Recorded, expressions, needs_expressions, plain
from pinnlab.errors import UnknownDerivativeError, UnsupportedOperationError

COORDINATES = ("x", "y", "t")
POINTS = 0.2 + torch.rand(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
NAMES = ("u", "v")


def u(p):
    return torch.sin(p[0] + 2 * p[1]) * torch.exp(0.3 * p[2]) + p[0] * p[2] ** 3


def v(p):
    return 1.5 + torch.cos(p[0] * p[1]) * p[2]


def unknowns(points):
    return torch.stack([vmap(u)(points), vmap(v)(points)], -1)


def by(function, *columns):
    """The partial derivative of a function of one point, by reverse mode."""
    for column in columns:
        function = (lambda f, c: lambda p: grad(f)(p)[c])(function, column)
    return function


def k(a):
    return 1 + a**2 + torch.exp(-a)


def evaluated(function, points=POINTS, engine="taylor"):
    """What residual functions go through: a trial run, then the real one."""
    recorded = {}

    def run(wrapped):
        value = torch.ones(2, dtype=torch.float64).as_subclass(Recorded)
        recorded.update({name: RecordingField(name, COORDINATES, value) for name in NAMES})
        called(function, recorded, points[:2].as_subclass(Recorded), wrapped)

    wrapped = needs_expressions(run)
    wanted = Wanted()
    for field in recorded.values():
        wanted |= field.wanted

    def outputs(p):  # in operations that both engines follow
        x, y, t = p[:, 0], p[:, 1], p[:, 2]
        one = torch.sin(x + 2 * y) * torch.exp(0.3 * t) + x * t**3
        return torch.stack([one, 1.5 + torch.cos(x * y) * t], -1)

    computed = partials(outputs, points, wanted, engine)
    fields = {name: Field(name, COORDINATES, computed, i) for i, name in enumerate(NAMES)}
    return called(function, fields, points, wrapped), wanted, wrapped


def called(function, fields, points, wrapped):
    columns = {name: points[:, i] for i, name in enumerate(COORDINATES)}
    given = expressions(fields, COORDINATES, points) if wrapped else {**columns, **fields, "points": points}
    return plain(function(*(given[name] for name in ("u", "v", "x", "y", "t", "points"))))


X, Y, T = 0, 1, 2
CASES = {
    "flux": (lambda u, v, x, *_: (k(u) * u.x).d("x"), by(lambda p: k(u(p)) * by(u, X)(p), X)),
    "function_d": (lambda u, v, x, *_: d(v * u, "x", "t"), by(lambda p: u(p) * v(p), X, T)),
    "second": (lambda u, *_: (u.y**3).d("x", "y"), by(lambda p: by(u, Y)(p) ** 3, X, Y)),
    "nested": (
        lambda u, v, x, y, t, p: d(x * d(v * d(k(u) * t, "t") / y, "x"), "y"),
        by(lambda p: p[X] * by(lambda q: v(q) * by(lambda r: k(u(r)) * r[T], T)(q) / q[Y], X)(p), Y),
    ),
    "coordinates_only": (lambda u, v, x, y, t, p: d(torch.sin(x * y), "x"), by(lambda p: torch.sin(p[X] * p[Y]), X)),
    "points": (
        lambda u, v, x, y, t, p: d(p.square().sum(-1).sqrt() * v, "y"),
        by(lambda p: p.square().sum().sqrt() * v(p), Y),
    ),
    "laplacian_of_laplacian": (
        lambda u, v, x, y, t, p: (v * u.laplacian()).laplacian("x", "t"),
        lambda p: sum(by(lambda q: v(q) * (by(u, X, X)(q) + by(u, Y, Y)(q)), i, i)(p) for i in (X, T)),
    ),
    "divergence": (
        lambda u, v, x, y, t, p: divergence([v * u.x, k(v) * u.y], "x", "y"),
        lambda p: by(lambda q: v(q) * by(u, X)(q), X)(p) + by(lambda q: k(v(q)) * by(u, Y)(q), Y)(p),
    ),
    "gradient": (
        lambda u, v, x, y, t, p: ((u.gradient("x", "y") ** 2).sum(-1) * v).gradient("t", "x")[:, 1],
        by(lambda p: (by(u, X)(p) ** 2 + by(u, Y)(p) ** 2) * v(p), X),
    ),
    "matrix": (
        lambda u, v, x, y, t, p: d(torch.stack([u * v, x], -1) @ p.new_tensor([[2.0], [3.0]]), "x")[:, 0],
        by(lambda p: 2 * u(p) * v(p) + 3 * p[X], X),
    ),
    "branches": (
        lambda u, v, x, y, t, p: d(torch.where(x > 0.6, u, v * x), "x"),
        by(lambda p: torch.where(p[X] > 0.6, u(p), v(p) * p[X]), X),
    ),
    "methods_and_operators": (
        lambda u, v, x, y, t, p: d(2.0 ** (-v) / (1 - u.value.square()) + abs(x - 1) + (+t) % 0.4, "x"),
        by(lambda p: 2.0 ** (-v(p)) / (1 - u(p) ** 2) + (p[X] - 1).abs(), X),
    ),
    "pieces": (
        lambda u, v, x, y, t, p: d(torch.stack([u * v, x * x], -1).unbind(-1)[0], "t"),
        by(lambda p: u(p) * v(p), T),
    ),
    "complex": (
        lambda u, v, x, y, t, p: d(torch.complex(u * v, x).square() * torch.exp(1j * y), "x", "y").imag,
        by(lambda p: ((u(p) * v(p)) ** 2 - p[X] ** 2) * p[Y].sin() + 2 * u(p) * v(p) * p[X] * p[Y].cos(), X, Y),
    ),
    "part_of_a_real_one": (lambda u, v, x, y, t, p: d((u * x).real * x, "x"), by(lambda p: u(p) * p[X] ** 2, X)),
    "named_pieces": (
        lambda u, v, x, y, t, p: d(torch.stack([u * v, x * x], -1).max(-1).values, "x"),
        by(lambda p: torch.maximum(u(p) * v(p), p[X] ** 2), X),
    ),
    "does_not_depend": (
        lambda u, v, x, y, t, p: d(x * y, "t") + d(u.value.detach() * x, "x"),
        lambda p: u(p) + 0 * p[X],
    ),
}


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
@pytest.mark.parametrize("name", CASES)
def test_derivatives_of_expressions(name, engine):
    function, reference = CASES[name]
    found, _, wrapped = evaluated(function, engine=engine)
    assert wrapped
    torch.testing.assert_close(found, vmap(reference)(POINTS), rtol=1e-11, atol=1e-11)


def test_only_the_derivatives_that_are_needed_are_asked_for():
    wanted = evaluated(lambda u, v, x, y, t, p: u.t - (k(u) * u.x).d("x") + v.yy)[1]
    assert wanted == Wanted(frozenset({(2,), (0,), (0, 0), (1, 1)}))


def test_without_derivatives_of_expressions_tensors_stay_plain():
    seen = []
    found, _, wrapped = evaluated(lambda u, *_: seen.append(type(u * u.x)) or u * u.x)
    assert not wrapped
    assert seen == [Recorded, torch.Tensor]
    assert type(found) is torch.Tensor


def test_derivatives_by_attributes_and_of_derivatives():
    def both(u, v, x, y, t, p):
        return (u * v).xy - d(d(u * v, "y"), "x"), u.x.d("y") - u.xy, isinstance(u * v, Expression) + 0 * x

    first, second, kind = evaluated(both)[0]
    assert torch.equal(kind, torch.ones_like(kind))
    assert torch.equal(first, 0 * first)
    assert torch.equal(second, 0 * second)


def test_what_has_no_derivative_is_refused():
    for function, error, message in (
        (lambda u, *_: d(torch.ones(2), "x"), UnknownDerivativeError, "not a Tensor without any"),
        (lambda u, *_: d(u * u, "z"), UnknownDerivativeError, "'z': the coordinates are x, y, t"),
        (lambda u, *_: (u * u).d("x").add_(1), UnknownDerivativeError, "cannot be written to"),
        (lambda u, *_: d(torch.polygamma(1, u), "x"), UnsupportedOperationError, "'polygamma'"),
        (lambda u, *_: divergence([u * u.x]), UnknownDerivativeError, "1 components but 2"),
        (lambda u, *_: divergence(u.gradient()), UnknownDerivativeError, "write its components as a list"),
        (lambda u, *_: (u * u).d("x", 2), UnknownDerivativeError, "names of coordinates in quotes, one for each order"),
        (lambda u, x, *_: (u * u).d(x), UnknownDerivativeError, "names of coordinates in quotes"),
    ):
        with pytest.raises(error, match=message):
            evaluated(function)
