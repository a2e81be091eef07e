"""Variational residuals: an equation tested against functions of small support, in place of its value at points.

As an `Integral`, a test function is one row that carries its whole quadrature. Batches, processes, Jacobians and
kernels see one residual for each test function.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.polynomial import Legendre
from torch import Tensor

from pinnlab.derivatives import AbstractField, MultiIndex
from pinnlab.domains import Domain
from pinnlab.domains.cut import cut
from pinnlab.errors import ConfigurationError, UnknownDerivativeError
from pinnlab.problems.conditions import Condition
from pinnlab.problems.evaluation import Evaluation, asks_for

Side = tuple[np.ndarray, np.ndarray, np.ndarray]
"""A test function of one coordinate: nodes, what they weigh in an integral of it, and of its derivative."""


class Weak(Condition):
    """An equation in weak form: the integral of the form is zero for every test function `v`.

    After integration by parts an equation of order two needs first derivatives only, and kinks of coefficients do no
    harm (variational PINNs, Kharazmi et al., arXiv 1912.00873; with Legendre polynomials on cells 2003.05385). Test
    functions are products of functions of one coordinate on a regular grid of cells over the domain's bounding box, and
    vanish on the boundary of their support. Those whose support is not in the domain are left out.

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
            products of `v` with polynomials of degree 5.

    Raises:
        ConfigurationError: a number is below 1 (below 2 for cells of hats), no test function fits into the domain; in a
            problem, when the form is not linear in `v`.
    """

    def __init__(
        self,
        domain: Domain,
        form: Callable[..., Any],
        cells: int | Sequence[int] = 8,
        degree: int | None = None,
        weight: float = 1.0,
        points: int | None = None,
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
        usual = 4 if degree is None else degree + 3
        sides = [
            _sides(a, b, n, degree, points or usual) for a, b, n in zip(domain.low, domain.high, numbers, strict=True)
        ]
        self._rules = _inside(domain, [_product(parts) for parts in itertools.product(*sides)])

    @property
    def where(self) -> str:
        """The domain."""
        return f"`{self.over!r}`"

    def cut(self, coordinate: str, low: float, high: float) -> Weak:
        """The same between two values of a coordinate: with as many cells, which are that much shorter."""
        part = cut(self.over, coordinate, low, high)
        assert isinstance(part, Domain)  # as the whole is
        cells, degree, points = self._tests
        return Weak(part, self.function, cells, degree, self.weight, points)

    def fixed_points(self) -> Tensor:
        """The middle of each test function's nodes, `(k, d)`: it stands for all of them."""
        return self._rules[:, :, : self.over.dim].mean(1)

    def rows(self, points: Tensor) -> Tensor:
        """The points, and behind each the nodes of its test function, with what it and its slopes weigh there."""
        return torch.cat([points, self._rules.to(points).flatten(1)], 1)

    def residual(self, at: Evaluation) -> Sequence[Tensor]:
        """The integral of the form for each row's test function."""
        if at.coordinates != self.over.coordinates:
            raise ConfigurationError(f"condition {self.name!r}: its domain needs the coordinates {at.coordinates}")
        d, rows = self.over.dim, len(at.points)
        rule = at.extras.reshape(-1, 2 * d + 1)
        there = at.elsewhere(rule[:, :d])
        test = _TestFunction(at.coordinates, rule[:, 0])
        # Linear in v: the integrand is that for v = 1 times v, and so on for each derivative that the form asks for.
        parts = [rule[:, d] * self._integrand(there, test)]
        parts += [rule[:, d + 1 + i] * self._integrand(there, test.slope(i)) for i in sorted(test.asked)]
        return [torch.stack(parts).sum(0).reshape(rows, self._rules.shape[1]).sum(1)]

    def examine(self, at: Evaluation) -> None:
        """Refuses a form that is not linear in `v`."""
        rule = at.extras.reshape(-1, 2 * self.over.dim + 1)
        there = at.elsewhere(rule[:, : self.over.dim])
        values = [self._integrand(there, _TestFunction(at.coordinates, rule[:, 0], *scales)) for scales in _TRIALS]
        zero, one, two, slope, both = values
        size = 1e-9 * (one.abs() + slope.abs()).max().clamp_min(1.0)
        if max(part.abs().max() for part in (zero, two - 2 * one, both - one - slope)) > size:
            raise ConfigurationError(
                f"condition {self.name!r}: its form must be linear in v, every term with one v in it"
            )

    def _integrand(self, there: Evaluation, test: AbstractField) -> Tensor:
        result = there.call(self.function, f"form {self.name!r}", v=test)
        if not isinstance(result, Tensor) or result.shape != (len(there.points),):
            raise ConfigurationError(f"condition {self.name!r}: its form must return one tensor of shape (n,)")
        return result


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

    def _laplacian(self, axes: MultiIndex) -> Tensor:
        return self._partial((axes[0], axes[0]))


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


def _inside(domain: Domain, found: list[Tensor]) -> Tensor:
    kept = [rule for rule in found if bool(domain.contains(rule[:, : domain.dim]).all())]
    if not kept:
        raise ConfigurationError(f"Weak: no test function fits into {domain!r}; raise cells")
    return torch.stack(kept)
