"""Fields: what a residual function sees of an unknown, `u` in arithmetic and `u.t`, `u.xx`, `u.laplacian()`.

A `Field` reads derivatives that were computed beforehand. Which ones are needed is found by running the
residual once on a `RecordingField`, so nobody declares them.
"""

from __future__ import annotations

import functools
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

import torch
from torch import Tensor

from pinnlab.derivatives.attributes import instead_of, no_coordinate
from pinnlab.derivatives.jet import Wanted
from pinnlab.derivatives.multi_index import MultiIndex
from pinnlab.derivatives.sampling import Sample, Spread, checked_sample, checked_trace
from pinnlab.errors import UnknownDerivativeError

TIME = "t"
"""The coordinate that `laplacian()` and `divergence` leave out unless it is named."""


class Coordinates(tuple[str, ...]):
    """The names of the columns of points, some of which may be parameters.

    Args:
        names: of all columns.
        parameters: those that `laplacian()` and `divergence` leave out unless they are named, beside the time.
    """

    parameters: tuple[str, ...]

    def __new__(cls, names: Iterable[str], parameters: Iterable[str] = ()) -> Coordinates:
        """As a tuple of the names."""
        coordinates = super().__new__(cls, names)
        coordinates.parameters = tuple(parameters)
        return coordinates

    @functools.cached_property
    def places(self) -> MultiIndex:
        """The columns of all coordinates but the time and parameters."""
        return tuple(i for i, name in enumerate(self) if name != TIME and name not in self.parameters)

    def __getnewargs__(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return tuple(self), self.parameters


@dataclass(frozen=True)
class Partials:
    """A function's value and derivatives at points, for all its outputs.

    Attributes:
        value: `(n, m)`.
        partials: `(n, m)` for each multi-index.
        laplacians: `(n, m)` for each set of columns summed over.
        samples: `(n, m)` for each estimate, and for each trace of a matrix times the Hessian.
        gradient: `(n, m, d)` all first derivatives, where they were computed as one.
    """

    value: Tensor
    partials: dict[MultiIndex, Tensor]
    laplacians: dict[MultiIndex, Tensor]
    samples: dict[Sample, Tensor] = field(default_factory=dict)
    gradient: Tensor | None = None

    def laplacian(self, axes: MultiIndex) -> Tensor:
        """The Laplacian over some columns: its own channel, or the sum of second derivatives when they are there."""
        if axes in self.laplacians:
            return self.laplacians[axes]
        return torch.stack([self.partials[(i, i)] for i in axes]).sum(0)


class Differentiable(ABC):
    """What has derivatives by the coordinates' names at `(n,)` points.

    `d("theta", "theta")` for any coordinates; `laplacian()` over all but the time `t`, `laplacian("x", "y")` over
    chosen ones; `gradient()` of shape `(n, d)`; `along(normal)`.
    """

    _name: str
    _coordinates: tuple[str, ...]
    __array_ufunc__ = None  # numpy's functions refuse it, and its numbers leave arithmetic to it

    @abstractmethod
    def _partial(self, index: MultiIndex) -> Any: ...

    def _laplacian(self, axes: MultiIndex) -> Any:
        return functools.reduce(operator.add, [self._partial((i, i)) for i in axes])

    def _sampled(self, sample: Sample) -> Any:
        raise UnknownDerivativeError(f"{sample.name} of {self._name}: is there for unknowns only")

    def d(self, *coordinates: str) -> Any:
        """The partial derivative with respect to the named coordinates, `(n,)`.

        Raises:
            UnknownDerivativeError: a name is not a coordinate of the problem.
        """
        return self._partial(tuple(sorted(self._column(name) for name in coordinates)))

    def laplacian(self, *coordinates: str, sample: int | None = None, draw: int = 0) -> Any:
        """The sum of second derivatives over the named coordinates, `(n,)`.

        Args:
            coordinates: default: all but the time `t` and parameters.
            sample: estimate it from so many of them, drawn anew at every step, the same ones at all points; its mean
                over all draws is the Laplacian. It takes the time and memory of so many coordinates.
            draw: 0, 1, ... for independent draws of one Laplacian.

        Raises:
            ConfigurationError: there are fewer coordinates than `sample`, or it is not positive.
        """
        axes = self._axes(coordinates)
        return self._laplacian(axes) if sample is None else self._sampled(checked_sample(axes, sample, draw))

    def trace_hessian(
        self, factor: Tensor | Spread, *coordinates: str, sample: int | None = None, draw: int = 0
    ) -> Any:
        """The trace of A times the Hessian, A = s s', `(n,)`: the sum of second derivatives along the columns of s.

        The second-order part of the equation that a diffusion dX = s dW has, however its components are mixed.

        Args:
            factor: s, `(coordinates, r)`, the same tensor at every call; or a function that multiplies vectors
                `(k, 1, coordinates)` by an s that depends on the points `(n, d)` and gives `(k, n, coordinates)`.
            coordinates: which; default: all but the time `t` and parameters.
            sample: estimate it from so many directions s z, z random signs, drawn anew at every step, the same z at all
                points; its mean over all draws is the trace. Default: from all r columns.
            draw: 0, 1, ... for independent draws of one trace.

        Raises:
            ConfigurationError: the factor does not fit, or `sample` is more than its columns, or not positive.
        """
        return self._sampled(checked_trace(self._axes(coordinates), factor, sample, draw))

    def gradient(self, *coordinates: str) -> Any:
        """First derivatives along the named coordinates (default: all, the time too), `(n, k)`."""
        names = coordinates or self._coordinates
        return torch.stack([self.d(name) for name in names], -1)

    def along(self, direction: Tensor) -> Any:
        """The derivative along a direction at each point, `(n,)`: `u.along(normal)` is the outward normal derivative.

        Args:
            direction: `(n, d)`, one component for each coordinate, the time too; need not be of length one.
        """
        return (self.gradient() * direction).sum(-1)

    def _spatial(self, coordinates: Sequence[str]) -> Sequence[str]:
        named = self._coordinates if isinstance(self._coordinates, Coordinates) else Coordinates(self._coordinates)
        names = coordinates or [named[i] for i in named.places]
        if not names:
            raise UnknownDerivativeError(f"{self._name!r} has no coordinate but the time {TIME!r}: name it")
        return names

    def _axes(self, coordinates: Sequence[str]) -> MultiIndex:
        """The columns of the named coordinates, or of all that are places."""
        if coordinates:
            return tuple(sorted(self._column(name) for name in coordinates))
        named = self._coordinates
        return (named if isinstance(named, Coordinates) else Coordinates(named)).places or self._axes(self._spatial(()))

    def _column(self, name: str) -> int:
        if not isinstance(name, str) or name not in self._coordinates:
            raise UnknownDerivativeError(no_coordinate(self._name, name, self._coordinates))
        return self._coordinates.index(name)

    def _by_name(self, name: str) -> Any:
        """The derivative that an attribute's name says: a coordinate, or several one-letter ones."""
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._coordinates:
            return self.d(name)
        if not set(name) <= set(self._coordinates) and (instead := instead_of(self._name, name, self._coordinates)):
            raise UnknownDerivativeError(f"{self._name}.{name}: only derivatives are attributes; {instead}")
        return self.d(*name)

    def __call__(self, *places: Any, **named: Any) -> NoReturn:
        """Refuses, as it does not say which coordinates are meant.

        Raises:
            UnknownDerivativeError: always.
        """
        raise UnknownDerivativeError(
            f"{self._name}(...): write {self._name} alone at the point itself, at another place or time "
            f"{self._name}.at(x=...), by the coordinate's name"
        )


class AbstractField(Differentiable):
    """An unknown at `(n,)` points: its value in arithmetic, its derivatives by the coordinates' names.

    `u.x`, `u.xx`, `u.xt` for one-letter coordinates; `u.d("theta", "theta")` for any; `u.laplacian()` over all
    coordinates but the time `t`, `u.laplacian("x", "y")` over chosen ones; `u.gradient()` of shape `(n, d)`;
    `u.along(normal)`; `u.at(t=t - 1)` at other points.
    """

    _elsewhere: Callable[[Mapping[str, Any]], AbstractField] | None = None

    @property
    @abstractmethod
    def value(self) -> Tensor:
        """The unknown itself, `(n,)`."""

    def at(self, **places: Any) -> AbstractField:
        """The same at other points, as `u.at(t=t - 1)`; `u.at(x=0.3).x` is its derivative there.

        Args:
            places: coordinates and their values there, a number or `(n,)`; the others are those of the point itself.

        Raises:
            ConfigurationError: a name is not a coordinate, a value does not fit, or nothing is known elsewhere.
        """
        if self._elsewhere is None:
            raise UnknownDerivativeError(f"{self._name}.at: {self._name} is known at the point itself only")
        return self._elsewhere(_values(places))

    def __getattr__(self, name: str) -> Tensor:
        return self._by_name(name)

    @classmethod
    def __torch_function__(
        cls, func: Callable, types: Iterable[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """In torch functions a field is its value."""
        return func(*_values(args), **_values(kwargs or {}))

    def __add__(self, other: Any) -> Tensor:
        return self.value + _values(other)

    def __radd__(self, other: Any) -> Tensor:
        return _values(other) + self.value

    def __sub__(self, other: Any) -> Tensor:
        return self.value - _values(other)

    def __rsub__(self, other: Any) -> Tensor:
        return _values(other) - self.value

    def __mul__(self, other: Any) -> Tensor:
        return self.value * _values(other)

    def __rmul__(self, other: Any) -> Tensor:
        return _values(other) * self.value

    def __truediv__(self, other: Any) -> Tensor:
        return self.value / _values(other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return _values(other) / self.value

    def __pow__(self, other: Any) -> Tensor:
        return self.value ** _values(other)

    def __rpow__(self, other: Any) -> Tensor:
        return _values(other) ** self.value

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Any:
        return self.value == _values(other)

    def __ne__(self, other: object) -> Any:
        return self.value != _values(other)

    def __lt__(self, other: Any) -> Tensor:
        return self.value < _values(other)

    def __le__(self, other: Any) -> Tensor:
        return self.value <= _values(other)

    def __gt__(self, other: Any) -> Tensor:
        return self.value > _values(other)

    def __ge__(self, other: Any) -> Tensor:
        return self.value >= _values(other)

    def __neg__(self) -> Tensor:
        return -self.value

    def __pos__(self) -> Tensor:
        return self.value

    def __abs__(self) -> Tensor:
        return self.value.abs()

    def __len__(self) -> int:
        return len(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)  # which torch refuses: it is not one value, and its length decides nothing


def _values(container: Any) -> Any:
    if isinstance(container, AbstractField):
        return container.value
    if isinstance(container, dict):
        return {key: _values(item) for key, item in container.items()}
    if isinstance(container, (list, tuple)):
        return type(container)(_values(item) for item in container)
    return container


class Field(AbstractField):
    """One output of a function with its computed derivatives; what it hands out are copies, to be written into.

    Args:
        name: the unknown's name, for messages.
        coordinates: the names of the columns of the points.
        partials: everything that was computed.
        column: which output this field is.
    """

    def __init__(self, name: str, coordinates: tuple[str, ...], partials: Partials, column: int) -> None:
        self._name, self._coordinates, self._partials, self._output = name, coordinates, partials, column

    @property
    def value(self) -> Tensor:
        """The unknown itself, `(n,)`."""
        return self._partials.value[:, self._output].clone()

    def _partial(self, index: MultiIndex) -> Tensor:
        if not index:
            return self.value
        if index not in self._partials.partials:
            names = ", ".join(self._coordinates[i] for i in index)
            raise UnknownDerivativeError(
                f"derivative of {self._name!r} by {names}: not asked for when the residual was first run, so it was "
                "not computed; a residual must use the same derivatives every time"
            )
        return self._partials.partials[index][:, self._output].clone()

    def gradient(self, *coordinates: str) -> Tensor:
        """First derivatives along the named coordinates (default: all, the time too), `(n, k)`."""
        if self._partials.gradient is None:
            return cast(Tensor, super().gradient(*coordinates))
        whole = self._partials.gradient[:, self._output]
        columns = [self._column(name) for name in coordinates or self._coordinates]
        first, count = columns[0], len(columns)
        if columns == list(range(first, first + count)):
            return whole[:, first : first + count].clone()  # a thousand columns put together take long to compile
        return whole[:, columns]

    def _laplacian(self, axes: MultiIndex) -> Tensor:
        return self._partials.laplacian(axes)[:, self._output].clone()

    def _sampled(self, sample: Sample) -> Tensor:
        if sample not in self._partials.samples:
            raise UnknownDerivativeError(
                f"{sample.name} of {self._name!r}: not asked for when the residual was first run; a residual must use "
                "the same numbers, and one and the same factor, every time: make it once, outside of the residual"
            )
        return self._partials.samples[sample][:, self._output].clone()


class RecordingField(AbstractField):
    """Stands for an unknown in one dry run and notes which derivatives are asked for.

    Args:
        name: the unknown's name, for messages.
        coordinates: the names of the columns of the points.
        value: the number that the unknown and all its derivatives pretend to be, `(n,)`.
    """

    def __init__(self, name: str, coordinates: tuple[str, ...], value: Tensor) -> None:
        self._name, self._coordinates, self._value = name, coordinates, value
        self._recorded = Wanted()

    @property
    def wanted(self) -> Wanted:
        """What was asked for so far."""
        return self._recorded

    @property
    def value(self) -> Tensor:
        """The stand-in for the unknown, `(n,)`."""
        return self._value

    def _partial(self, index: MultiIndex) -> Tensor:
        if index:
            self._recorded |= Wanted(frozenset({index}))
        return self._value

    def _laplacian(self, axes: MultiIndex) -> Tensor:
        self._recorded |= Wanted(laplacians=frozenset({axes}))
        return self._value

    def _sampled(self, sample: Sample) -> Tensor:
        _ = sample.place  # is kept: within a transformation of torch a matrix has no numbers to be read
        self._recorded |= Wanted(samples=frozenset({sample}))
        return self._value
