"""Spaces of functions as factors of a domain: what an operator is learned on."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pinnlab.domains.base import Region, checked_names
from pinnlab.domains.bases import Basis
from pinnlab.domains.domain import Domain
from pinnlab.errors import ConfigurationError
from pinnlab.numerics.least_squares import least_squares
from pinnlab.numerics.torch_version import has_values, is_traced

FAR = 0.1
"""The share of a function by which the nearest of a space may differ from it: measured ones have some noise."""

NOTHING = 1e-10
"""Below it a function is zero, but for roundings."""


class FunctionSpace(Domain):
    """Functions that a problem is to be solved for all of: a source, a start or a coefficient, drawn at random.

    A function is its coefficients in a basis, which are coordinates `a0`, `a1`, ... as a `Parameter` is one: boundaries
    and the operators `u.laplacian()` and `divergence` leave them out. The functions of a problem on `x * space` get the
    function's value at their points by its name, differentiable, as data that are `Given`: `lambda u, a: u.x - a`.

    The measure is the distribution that functions are drawn from, of total 1. Normal coefficients come out of the unit
    cube by the inverse of their distribution, so that every design works, and are cut off at `bound`.

    Args:
        name: of the function.
        basis: `KarhunenLoeve`, `Fourier`, `Chebyshev` or `Cosines`; its interval is a factor of the domain too.
        bound: the largest normal coefficient. Three standard deviations leave out 0.3 % of what each could be.

    Raises:
        ConfigurationError: the name is unusable, or `basis` or `bound` is something else.

    >>> from pinnlab.domains import Chebyshev, Interval
    >>> x = Interval("x", 0, 1)
    >>> (x * FunctionSpace("a", Chebyshev(x, modes=3))).coordinates
    ('x', 'a0', 'a1', 'a2')
    """

    def __init__(self, name: str, basis: Basis, bound: float = 3.0) -> None:
        if not isinstance(basis, Basis):
            raise ConfigurationError(f"FunctionSpace: basis must be one such as Chebyshev(x), got {basis!r}")
        if isinstance(bound, bool) or not isinstance(bound, (int, float)) or not 0 < bound < math.inf:
            raise ConfigurationError(f"FunctionSpace: bound must be a positive number, got {bound!r}")
        (self.name,) = checked_names([name])
        self.basis, self.bound = basis, float(bound) if basis.is_normal else 1.0
        self.coordinates = checked_names([f"{name}{k}" for k in range(basis.modes)])
        self.parameters = self.coordinates
        self.low, self.high = (-self.bound,) * basis.modes, (self.bound,) * basis.modes
        self.unit_dim, self.measure = basis.modes, 1.0

    def on(self, domain: Domain) -> Field:
        """The function's value as one of points in a domain that has this space as a factor.

        Raises:
            ConfigurationError: the domain has not the coordinate that the functions depend on, or goes beyond their
                interval.
        """
        return Field(self, domain)

    def values(self, coefficients: Tensor, x: Tensor) -> Tensor:
        """Functions at places: `(n, modes)` coefficients and `(s,)` places, or `(s, 2)`, give `(n, s)`.

        Raises:
            ConfigurationError: a place lies beyond their interval; not looked at in compiled code and on a GPU.
        """
        if x.device.type == "cpu":  # a GPU would have to be waited for
            self._check_places(x)
        return coefficients @ self.basis.functions(x.to(coefficients)).T

    def coefficients(self, values: Tensor, x: Tensor) -> Tensor:
        """The functions nearest to values at places, by least squares: `(n, s)` and `(s,)` or `(s, 2)`: `(n, modes)`.

        A warning tells of one from which the nearest differs by more than a tenth, in the root mean square.

        Raises:
            ConfigurationError: there are fewer places than modes, or as many values as there are not places, or one of
                them is not finite, or a place lies beyond the interval.
        """
        dim = self.basis.interval.dim
        if (
            x.shape[1:] != ((dim,) if dim > 1 else ())
            or len(x) < self.basis.modes
            or values.ndim != 2
            or values.shape[1] != len(x)
        ):
            raise ConfigurationError(
                f"{self!r}: needs functions (n, s) at s >= {self.basis.modes} places (s,), got {tuple(values.shape)} "
                f"at {tuple(x.shape)}"
            )
        if not bool(values.isfinite().all() and x.isfinite().all()):
            raise ConfigurationError(f"{self.name}: its values and their places must be finite numbers")
        self._check_places(x)
        # Weighed by the basis's own sizes, so modes that the places cannot tell apart stay small.
        functions = self.basis.functions(x.double())
        found = least_squares(functions, values.double().T).T
        if has_values(values):
            self._warn_of_others(values.detach().double(), found.detach() @ functions.T)
        return found

    def _warn_of_others(self, values: Tensor, nearest: Tensor) -> None:
        """Warns where a function is not one of the space: a solution for the nearest is one of another problem."""
        lengths = torch.linalg.vector_norm(values, dim=1)
        shares = torch.linalg.vector_norm(values - nearest, dim=1) / lengths.clamp_min(NOTHING)
        if len(shares) and (worst := float(shares.max())) > FAR:
            which = f" (function {int(shares.argmax())} of {len(shares)})" if len(shares) > 1 else ""
            warnings.warn(
                f"{self.name}: what is given differs by {worst:.0%} of its size from the nearest function of "
                f"{self.basis!r}{which}, which is taken for it; more modes or another basis come nearer",
                stacklevel=3,
            )

    def _check_places(self, x: Tensor) -> None:
        if x.numel() and has_values(x) and not is_traced():
            rows = x.detach().reshape(len(x), -1)
            self.basis.check_cover(self.name, rows.amin(0).tolist(), rows.amax(0).tolist())

    def _from_unit(self, unit: Tensor) -> Tensor:
        if not self.basis.is_normal:
            return 2 * unit - 1
        tail = 0.5 * math.erfc(self.bound / math.sqrt(2))
        normal = torch.special.ndtri(tail + (1 - 2 * tail) * unit)
        return normal.clamp(-self.bound, self.bound)

    def _distance(self, points: Tensor) -> Tensor:
        return torch.linalg.vector_norm((points.abs() - self.bound).clamp_min(0.0), dim=1)

    def _boundary(self, names: frozenset[str]) -> Region:
        raise ConfigurationError(f"boundary: functions have none; name coordinates other than {', '.join(names)}")

    def _face(self, name: str, value: float) -> Region:
        raise ConfigurationError(f"face: functions have none, so not {name} = {value:g}")

    def __repr__(self) -> str:
        return f"FunctionSpace({self.name!r}, {self.basis!r})"


def function_spaces(domain: Domain) -> list[FunctionSpace]:
    """The spaces of functions among the factors of a domain."""
    return [factor for factor in getattr(domain, "factors", (domain,)) if isinstance(factor, FunctionSpace)]


def function_columns(domain: Domain) -> list[int]:
    """The columns of points that say which function a point has; none without a space of functions."""
    return [domain.coordinates.index(name) for space in function_spaces(domain) for name in space.coordinates]


def function_numbers(domain: Domain, points: Tensor) -> Tensor | None:
    """The number `(n,)` of the function that each of `(n, d)` points has, from 0 on; None without a space of functions.

    Points may lack, as where a reference is not known, and stand in any order.
    """
    columns = function_columns(domain)
    return points[:, columns].unique(dim=0, return_inverse=True)[1] if columns else None


class Field:
    """The functions of a space as one function of points `(n, d)`: places and coefficients, a tensor or a jet."""

    def __init__(self, space: FunctionSpace, domain: Domain) -> None:
        own = space.basis.interval.coordinates
        columns = [k for k, name in enumerate(domain.coordinates) if name in own]
        if not set((*own, *space.coordinates)) <= set(domain.coordinates):
            raise ConfigurationError(
                f"{space!r}: must be a factor of a domain with the coordinate {' and '.join(own)}, not of {domain!r}"
            )
        if columns[-1] - columns[0] >= len(own) or domain.coordinates[columns[0]] != own[0]:
            raise ConfigurationError(f"{space!r}: the coordinates {' and '.join(own)} must follow each other")
        space.basis.check_cover(space.name, *([ends[k] for k in columns] for ends in (domain.low, domain.high)))
        first = domain.coordinates.index(space.coordinates[0])
        self._basis = space.basis
        self._place = columns[0] if len(own) == 1 else slice(columns[0], columns[0] + len(own))
        self._columns = slice(first, first + space.basis.modes)

    def __call__(self, points: Any, places: int | None = None) -> Any:
        """The values `(n,)`.

        Args:
            points: `(n, d)`; with `places` all pairs of some functions and so many places, function by function.
            places: how many, if that is known.
        """
        if places is not None:
            functions = points[..., self._columns].unflatten(0, (-1, places))[:, 0]
            return (functions @ self._basis.functions(points[:places, self._place]).mT).flatten()
        return (self._basis.functions(points[..., self._place]) * points[..., self._columns]).sum(-1)


def on_pairs(
    given: Mapping[str, Callable[[Any], Any]], places: tuple[int, ...] | None
) -> Mapping[str, Callable[[Any], Any]]:
    """Given data on functions times places, of which the functions of a space make use.

    Args:
        given: by name, functions of points `(n, d)`.
        places: how many, along each axis if they are a grid; None: of any points.
    """
    if places is None:
        return given
    return {n: functools.partial(f, places=math.prod(places)) if isinstance(f, Field) else f for n, f in given.items()}
