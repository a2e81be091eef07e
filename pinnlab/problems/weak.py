"""Variational residuals: an equation tested against functions of small support, in place of its value at points.

As an `Integral`, a test function is one row that carries its whole quadrature. Batches, processes, Jacobians and
kernels see one residual for each test function.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.polynomial import Legendre
from torch import Tensor

from pinnlab.derivatives import AbstractField, MultiIndex
from pinnlab.domains import Domain, Region, rules
from pinnlab.domains.cut import cut
from pinnlab.errors import ConfigurationError, UnknownDerivativeError
from pinnlab.problems.conditions import Condition
from pinnlab.problems.evaluation import Evaluation, asks_for
from pinnlab.problems.hats import hats
from pinnlab.samplers import Sobol

Side = tuple[np.ndarray, np.ndarray, np.ndarray]
"""A test function of one coordinate: nodes, what they weigh in an integral of it, and of its derivative."""


class Weak(Condition):
    """An equation in weak form: the integral of the form is zero for every test function `v`.

    After integration by parts an equation of order two needs first derivatives only, and kinks of coefficients do no
    harm (variational PINNs, Kharazmi et al., arXiv 1912.00873; with Legendre polynomials on cells 2003.05385). Test
    functions are products of functions of one coordinate on a regular grid of cells over the domain's bounding box, and
    vanish on the boundary of their support. Those whose support is not in the domain are left out.

    On the parts of the boundary that `boundary` names they need not vanish: there the integral of the part's term is
    added to that of the form. So a flux that is given is a part of the equation (a natural condition): -Delta u = f
    with du/dn = g on a side is the form `u.x * v.x + u.y * v.y - f * v` with the term `-g * v` on it.

    Each is scaled to a mean absolute value of 1 / (measure of its support), so that its residual is a weighted mean of
    that of the equation, whatever the grid.

    Args:
        domain: where.
        form: takes `v`, unknowns, coordinates and coefficients by name, and returns the integrand `(n,)`; linear in `v`
            and its first derivatives, as `lambda u, v: u.x * v.x - v`.
        cells: in each direction, one number or one for each coordinate.
        degree: None for hats around the corners of the cells; p for the differences P_(k+1) - P_(k-1), k = 1 ... p, of
            Legendre polynomials in every cell and direction. These vanish at the borders of the cells, so that they do
            not see what flows from one to the next: where the solution bends, add a condition with hats.
        weight: the factor in the loss.
        points: Gauss-Legendre points in each cell and direction. Default: 4 for hats, `degree` + 3 else: exact for
            products of `v` with polynomials of degree 5. Where arcs cut hats off, to 1e-5 or so; 8 are good for 1e-9.
        boundary: for parts of the boundary their terms, hats only: functions as the form, of `normal` too, and linear
            in `v` itself; None where there is nothing to add, as without a flux, or at both ends of the time. Curved
            parts have terms in the plane.

    Raises:
        ConfigurationError: a number is below 1 (below 2 for cells of hats), no test function fits into the domain, or
            none reaches a part of the boundary; in a problem, when the form or a term is not linear in `v`.
    """

    def __init__(
        self,
        domain: Domain,
        form: Callable[..., Any],
        cells: int | Sequence[int] = 8,
        degree: int | None = None,
        weight: float = 1.0,
        points: int | None = None,
        boundary: Mapping[Region, Callable[..., Any] | None] | None = None,
    ) -> None:
        super().__init__(None, weight)
        if not isinstance(domain, Domain):
            raise ConfigurationError(f"Weak: domain must be a domain, got {type(domain).__name__}")
        if not callable(form) or not asks_for(form, "v"):
            raise ConfigurationError("Weak: form must be a function of the test function v, such as lambda u, v: ...")
        numbers = list(cells) if isinstance(cells, Sequence) else [cells] * domain.dim
        least = 2 if degree is None else 1
        if len(numbers) != domain.dim or any(not isinstance(n, int) or n < least for n in numbers):
            raise ConfigurationError(
                f"Weak: cells must be a whole number >= {least}, or {domain.dim} of them, got {cells}"
            )
        for key, number in (("degree", degree), ("points", points)):
            if number is not None and (not isinstance(number, int) or number < 1):
                raise ConfigurationError(f"Weak: {key} must be a whole number >= 1, got {number!r}")
        self.over, self.function = domain, form
        self._tests = numbers, degree, points
        self.terms = _checked_terms(domain, boundary, degree)
        usual = points or (4 if degree is None else degree + 3)
        self._along: list[Tensor] = []
        if self.terms:
            found = hats(domain, numbers, usual, list(self.terms))
            self._places, self._rules, self._along = found.places, found.inside, found.along
        else:
            ends = list(zip(domain.low, domain.high, numbers, strict=True))
            sides = [_sides(a, b, n, degree, usual) for a, b, n in ends]
            gap = torch.tensor([(b - a) / n for a, b, n in ends], dtype=torch.float64) * rules.gauss_line(usual)[0][0]
            self._rules = _inside(domain, [_product(parts) for parts in itertools.product(*sides)], gap)
            self._places = self._rules[:, :, : domain.dim].mean(1)

    @property
    def where(self) -> str:
        """The domain."""
        return f"`{self.over!r}`"

    def cut(self, coordinate: str, low: float, high: float) -> Weak:
        """The same between two values of a coordinate: with as many cells, which are that much shorter.

        A part of the boundary at the first or last value is then at `low` or `high`.
        """
        part = cut(self.over, coordinate, low, high)
        assert isinstance(part, Domain)  # as the whole is
        terms = {cut(side, coordinate, low, high, ends=True): term for side, term in self.terms.items()}
        cells, degree, points = self._tests
        return Weak(part, self.function, cells, degree, self.weight, points, terms)

    def fixed_points(self) -> Tensor:
        """The middle of each test function's nodes, `(k, d)`: it stands for all of them."""
        return self._places

    def rows(self, points: Tensor) -> Tensor:
        """The points, and behind each the nodes of its test function, with what it and its slopes weigh there.

        Then for each part of the boundary nodes, weights and normals.
        """
        return torch.cat([points, *(block.to(points).flatten(1) for block in (self._rules, *self._along))], 1)

    def residual(self, at: Evaluation) -> Sequence[Tensor]:
        """The integral of the form for each row's test function, and of the boundary's terms."""
        d, rows = self.over.dim, len(at.points)
        rule, *sides = self._blocks(at)
        there = at.elsewhere(rule[:, :d])
        test = _TestFunction(at.coordinates, rule[:, 0])
        # Linear in v: the integrand is that for v = 1 times v, and so on for each derivative that the form asks for.
        parts = [rule[:, d] * self._integrand(there, test)]
        parts += [rule[:, d + 1 + i] * self._integrand(there, test.slope(i)) for i in sorted(test.asked)]
        integrals = [torch.stack(parts).sum(0).reshape(rows, self._rules.shape[1]).sum(1)]
        for term, side, block in zip(self.terms.values(), sides, self._along, strict=True):
            if term is not None:
                values = side[:, d] * self._term(at, term, side, 1.0)
                integrals.append(values.reshape(rows, block.shape[1]).sum(1))
        return [torch.stack(integrals).sum(0)]

    def examine(self, at: Evaluation) -> None:
        """Refuses a form, or a term of the boundary, that is not linear in `v`."""
        rule, *sides = self._blocks(at)
        there = at.elsewhere(rule[:, : self.over.dim])
        values = [self._integrand(there, _TestFunction(at.coordinates, rule[:, 0], *scales)) for scales in _TRIALS]
        self._check_linear("form", *values)
        for term, side in zip(self.terms.values(), sides, strict=True):
            if term is not None:
                zero, one, two = (self._term(at, term, side, scale) for scale in (0.0, 1.0, 2.0))
                self._check_linear("term on the boundary", zero, one, two, zero, one)

    def _check_linear(self, what: str, zero: Tensor, one: Tensor, two: Tensor, slope: Tensor, both: Tensor) -> None:
        size = 1e-9 * (one.abs() + slope.abs()).max().clamp_min(1.0)
        if max(part.abs().max() for part in (zero, two - 2 * one, both - one - slope)) > size:
            raise ConfigurationError(
                f"condition {self.name!r}: its {what} must be linear in v, every term with one v in it"
            )

    def _blocks(self, at: Evaluation) -> list[Tensor]:
        """The quadratures of some rows: inside, and along each part of the boundary, `(nodes, 2 d + 1)`."""
        if at.coordinates != self.over.coordinates:
            raise ConfigurationError(f"condition {self.name!r}: its domain needs the coordinates {at.coordinates}")
        columns = 2 * self.over.dim + 1
        widths = [block.shape[1] * columns for block in (self._rules, *self._along)]
        return [block.reshape(-1, columns) for block in at.extras.split(widths, 1)]

    def _integrand(self, there: Evaluation, test: AbstractField) -> Tensor:
        return self._called(there, self.function, "form", v=test)

    def _term(self, at: Evaluation, term: Callable[..., Any], side: Tensor, value: float) -> Tensor:
        """A term of the boundary for a test function that is one number there."""
        d = self.over.dim
        test = _TestFunction(at.coordinates, side[:, 0], value)
        found = self._called(at.elsewhere(side[:, :d]), term, "term on the boundary", v=test, normal=side[:, d + 1 :])
        if test.asked:
            raise ConfigurationError(f"condition {self.name!r}: a term on the boundary has v itself, not its slopes")
        return found

    def _called(self, there: Evaluation, function: Callable[..., Any], what: str, **more: Any) -> Tensor:
        result = there.call(function, f"{what} {self.name!r}", **more)
        if not isinstance(result, Tensor) or result.shape != (len(there.points),):
            raise ConfigurationError(f"condition {self.name!r}: its {what} must return one tensor of shape (n,)")
        return result


_LOOKED_AT = 2**12
"""Points of the boundary by which it is found which supports it cuts."""
_TRIALS = ((0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (0.0, 1.0), (1.0, 1.0))
"""Value and slopes of `v` with which a form is tried."""


class _TestFunction(AbstractField):
    """A test function whose value, and whose slopes, are the same number everywhere.

    Attributes:
        asked: the columns of the derivatives that were asked for.
    """

    def __init__(
        self, coordinates: tuple[str, ...], like: Tensor, value: float = 1.0, slopes: float | tuple[float, ...] = 0.0
    ) -> None:
        self._name, self._coordinates, self._like, self._number = "v", coordinates, like, value
        self._slopes = slopes if isinstance(slopes, tuple) else (slopes,) * len(coordinates)
        self.asked: set[int] = set()

    def slope(self, column: int) -> _TestFunction:
        """The one that is zero but for one slope."""
        slopes = tuple(float(i == column) for i in range(len(self._coordinates)))
        return _TestFunction(self._coordinates, self._like, 0.0, slopes)

    @property
    def value(self) -> Tensor:
        """The function itself, `(n,)`."""
        return torch.full_like(self._like, self._number)

    def _partial(self, index: MultiIndex) -> Tensor:
        if len(index) > 1:
            raise UnknownDerivativeError("v: a test function has first derivatives only; integrate by parts once more")
        if not index:
            return self.value
        self.asked.add(index[0])
        return torch.full_like(self._like, self._slopes[index[0]])


Terms = dict[Region, Callable[..., Any] | None]


def _checked_terms(domain: Domain, boundary: Any, degree: int | None) -> Terms:
    """The terms on the boundary, by its parts."""
    given = {} if boundary is None else boundary
    wanted = "Weak: boundary must be terms by parts of the boundary, as {domain.boundary(): lambda v: -v}, got "
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{wanted}{type(given).__name__}")
    terms: Terms = dict(given)
    for part, term in terms.items():
        if not isinstance(part, Region) or part.is_full_dimensional or part.coordinates != domain.coordinates:
            raise ConfigurationError(f"{wanted}{part!r}")
        if term is not None and (not callable(term) or not asks_for(term, "v")):
            raise ConfigurationError("Weak: a term of boundary must be a function of v, such as lambda v: ..., or None")
    if terms and degree is not None:
        raise ConfigurationError("Weak: terms of boundary need hats; leave degree out")
    return terms


def _sides(low: float, high: float, cells: int, degree: int | None, points: int) -> list[Side]:
    """All test functions of one coordinate, scaled."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    width = (high - low) / cells
    starts = low + width * np.arange(cells)
    own = width * (nodes + 1) / 2
    found = []
    if degree is None:
        for start in starts[:-1]:  # rises in one cell, falls in the next
            values, slopes = np.concatenate([own, width - own]) / width, np.repeat([1, -1], points) / width
            found.append((np.concatenate([start + own, start + width + own]), values, slopes))
    else:
        for start, k in itertools.product(starts, range(1, degree + 1)):
            bubble = Legendre.basis(k + 1) - Legendre.basis(k - 1)
            found.append((start + own, bubble(nodes), bubble.deriv()(nodes) * 2 / width))
    measured = [(x, np.resize(weights * width / 2, len(x)), v, slope) for x, v, slope in found]
    return [(x, w * v / (w @ abs(v)), w * slope / (w @ abs(v))) for x, w, v, slope in measured]


def _product(sides: Sequence[Side]) -> Tensor:
    """`(q, 2 d + 1)`: nodes, weights of the value, weights of each slope."""
    grids = [np.meshgrid(*parts, indexing="ij") for parts in zip(*sides, strict=True)]
    nodes, values, slopes = ([grid.reshape(-1) for grid in part] for part in grids)
    columns = [*nodes, math.prod(values)]
    columns += [math.prod([*values[:i], slopes[i], *values[i + 1 :]]) for i in range(len(sides))]
    return torch.as_tensor(np.stack(columns, -1), dtype=torch.float64)


def _inside(domain: Domain, found: list[Tensor], gap: Tensor) -> Tensor:
    """Those whose support is in the domain, and has none of its boundary within: a hole may lie between the nodes.

    Args:
        domain: where.
        found: all test functions.
        gap: from the outermost nodes to the ends of a support, `(d,)`.
    """
    edge, gap = Sobol().sample(domain.boundary(), _LOOKED_AT, seed=0), gap * (1 - 1e-9)
    kept = []
    for rule in found:
        nodes = rule[:, : domain.dim]
        within = ((edge > nodes.amin(0) - gap) & (edge < nodes.amax(0) + gap)).all(1)
        if not bool(within.any()) and bool(domain.contains(nodes).all()):
            kept.append(rule)
    if not kept:
        raise ConfigurationError(f"Weak: no test function fits into {domain!r}; raise cells")
    return torch.stack(kept)
