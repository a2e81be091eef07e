"""Expressions that can be differentiated: `(k(u) * u.x).d("x")`, with anything in it that the Taylor engine can follow.

An `Expression` stands for a tensor in torch operations and remembers how it came about. Asked for a derivative, it
carries the derivatives of unknowns and coordinates through these operations once more, as jets of just the orders that
are needed. They are ordinary derivatives of the unknowns, which either engine computes.
"""

from __future__ import annotations

import functools
import operator
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, cast

import torch
from torch import Tensor

from pinnlab.derivatives.fields import AbstractField, Differentiable
from pinnlab.derivatives.jet import Jet, Wanted, apply_rule
from pinnlab.derivatives.known import Known
from pinnlab.derivatives.lifting import lift
from pinnlab.derivatives.multi_index import MultiIndex, downward_closure, joined
from pinnlab.derivatives.sampling import Sample
from pinnlab.derivatives.watched import differentiated
from pinnlab.errors import UnknownDerivativeError

Channels = tuple[MultiIndex, ...]
"""A downward-closed set of derivatives, not empty: what a jet carries besides the value."""

Follow = Callable[[Channels], "Jet | Tensor"]
"""The jet of an expression with these derivatives; a plain tensor where it does not depend on the coordinates."""


class NeedsExpressions(AttributeError):
    """A trial run on plain tensors asked one of them for a derivative: it must be run on expressions."""


class Recorded(Tensor):
    """A tensor of a trial run: whatever is computed from it notices when a derivative of it is asked for."""

    def d(self, *given: Any, **options: Any) -> Any:
        """Ends the trial run on plain tensors.

        Raises:
            NeedsExpressions: always.
        """
        raise NeedsExpressions("the derivative of an expression")

    laplacian = trace_hessian = gradient = along = d
    __array_ufunc__ = None  # as of fields

    def numpy(self, *unused: Any, **options: Any) -> NoReturn:
        """Refuses, as in a compiled or vectorized run a tensor has no numbers yet.

        Raises:
            TypeError: always.
        """
        raise TypeError("does not support ufuncs")

    __array__ = tolist = item = __float__ = __int__ = numpy  # a coefficient would be a constant by them

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise NeedsExpressions(f"a tensor has no attribute {name!r}")


def needs_expressions(run: Callable[[bool], Any]) -> bool:
    """Makes a trial run, and a second one on expressions where the first one differentiates one.

    Args:
        run: called with whether its unknowns and coordinates are to be expressions; else they are `Recorded`.

    Returns:
        Whether it needs them.
    """
    try:
        run(False)
    except NeedsExpressions:
        run(True)
        return True
    return False


def _operator(name: str, backwards: bool = False) -> Callable[..., Any]:
    """The method of `Expression` for an operator of Python; jets have the same operators."""
    function = getattr(operator, name)

    def method(self: Expression, *others: Any) -> Any:
        return _applied(function, function, (*others, self) if backwards else (self, *others), {})

    return method


class Expression(Differentiable):
    """A tensor in torch operations, with derivatives by the names of the coordinates.

    Attributes that torch's tensors have are the tensor's (`e.square()`, `e.shape`), others are derivatives as those of
    an unknown: `e.d("x")`, `e.laplacian()`, `e.gradient()`, `e.xy`.

    Args:
        tensor: the value, `(n, ...)`.
        coordinates: the names of the columns of the points.
    """

    _name = "the expression"

    def __init__(self, tensor: Tensor, coordinates: tuple[str, ...]) -> None:
        self._tensor, self._coordinates = tensor, coordinates
        self._jets: dict[Channels, Jet | Tensor] = {}

    def jet(self, channels: Channels) -> Jet | Tensor:
        """Value and derivatives as a jet; a plain tensor where nothing depends on the coordinates."""
        if channels not in self._jets:
            self._jets[channels] = self._follow(channels)
        return self._jets[channels]

    @abstractmethod
    def _follow(self, channels: Channels) -> Jet | Tensor: ...

    def _partial(self, index: MultiIndex) -> Expression:
        return _Derivative(self, index) if index else self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(Tensor, name):
            return self._by_name(name)
        attribute, get = getattr(self._tensor, name), operator.attrgetter(name)
        if not callable(attribute):  # `e.T` and `e.real` vary, `e.shape` and `e.data` do not
            return _applied(get, get, (self,), {}) if isinstance(attribute, Tensor) and name != "data" else attribute
        if name.endswith("_"):
            raise UnknownDerivativeError(f"{name}: an expression that is differentiated cannot be written to")

        def method(*args: Any, **kwargs: Any) -> Any:
            return _applied(getattr(Tensor, name), functools.partial(apply_rule, name), (self, *args), kwargs)

        return method

    @classmethod
    def __torch_function__(
        cls, func: Callable, types: Iterable[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """The operation's value, and how to differentiate it should somebody ask."""
        return _applied(func, functools.partial(apply_rule, func.__name__), args, kwargs or {})

    __add__, __radd__ = _operator("add"), _operator("add", backwards=True)
    __sub__, __rsub__ = _operator("sub"), _operator("sub", backwards=True)
    __mul__, __rmul__ = _operator("mul"), _operator("mul", backwards=True)
    __truediv__, __rtruediv__ = _operator("truediv"), _operator("truediv", backwards=True)
    __pow__, __rpow__ = _operator("pow"), _operator("pow", backwards=True)
    __matmul__, __mod__, __floordiv__ = _operator("matmul"), _operator("mod"), _operator("floordiv")
    __neg__, __abs__, __getitem__ = _operator("neg"), _operator("abs"), _operator("getitem")
    __eq__, __ne__ = _operator("eq"), _operator("ne")
    __lt__, __le__, __gt__, __ge__ = _operator("lt"), _operator("le"), _operator("gt"), _operator("ge")
    __hash__ = object.__hash__

    def __pos__(self) -> Expression:
        return self

    def __len__(self) -> int:
        return len(self._tensor)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self._tensor)


class _Applied(Expression):
    """The result of a torch operation."""

    def __init__(self, tensor: Tensor, coordinates: tuple[str, ...], follow: Follow) -> None:
        super().__init__(tensor, coordinates)
        self._how = follow

    def _follow(self, channels: Channels) -> Jet | Tensor:
        return self._how(channels)


class _Derivative(Expression):
    """A derivative of an expression."""

    def __init__(self, inner: Expression, index: MultiIndex) -> None:
        self._inner, self._index = inner, index
        jet = inner.jet(downward_closure([index]))
        differentiated(inner._tensor, index, functools.partial(_channel, jet))
        channel = _channel(jet, index)
        super().__init__(torch.zeros_like(inner._tensor) if channel is None else channel, inner._coordinates)

    def _partial(self, index: MultiIndex) -> Expression:
        return _Derivative(self._inner, joined(self._index, index)) if index else self

    def _follow(self, channels: Channels) -> Jet | Tensor:
        whole = self._inner.jet(downward_closure(joined(self._index, c) for c in channels))
        return _jet(self._tensor, channels, lambda c: _channel(whole, joined(self._index, c)))


class _OfUnknown(Expression):
    """An unknown, or a derivative of one; at another point the places of which have values of their own."""

    def __init__(self, field: AbstractField, index: MultiIndex = (), places: Mapping[int, Any] | None = None) -> None:
        self._field, self._index, self._places = field, index, places or {}
        super().__init__(field._partial(index) if index else field.value, field._coordinates)

    def _partial(self, index: MultiIndex) -> Expression:
        return _OfUnknown(self._field, joined(self._index, index), self._places)

    def _total(self, index: MultiIndex) -> Tensor | None:
        """A derivative that moves the other point along, by the chain rule."""
        column, rest = index[:1], index[1:]
        parts = [] if column[0] in self._places else [self._partial(column)]
        moving = [(k, place) for k, place in self._places.items() if isinstance(place, Expression)]
        parts += [self._partial((k,)) * place._partial(column) for k, place in moving]
        if len(parts) == 1 and isinstance(parts[0], _OfUnknown):  # whose own derivatives are those there
            return parts[0]._total(rest) if rest else parts[0]._tensor
        return functools.reduce(operator.add, parts)._partial(rest)._tensor if parts else None

    def _follow(self, channels: Channels) -> Jet | Tensor:
        if self._places:
            return _jet(self._tensor, channels, self._total)
        if isinstance(self._field, Known) and not self._index:
            return self._field.jet(channels)
        return _jet(self._tensor, channels, lambda c: self._field._partial(joined(self._index, c)))


class _Unknown(_OfUnknown):
    """An unknown itself: all of its attributes are derivatives, as those of a field."""

    def __init__(self, field: AbstractField, places: Mapping[int, Any] | None = None) -> None:
        super().__init__(field, places=places)
        self._name = field._name

    def at(self, **places: Any) -> _Unknown:
        """The same at other points."""
        there = self._field.at(**_mapped(places, lambda e: e._tensor))
        return _Unknown(there, {**self._places, **{self._column(name): place for name, place in places.items()}})

    @property
    def value(self) -> Expression:
        """The same with the methods of a tensor."""
        return _OfUnknown(self._field, places=self._places)

    def _laplacian(self, axes: MultiIndex) -> Expression:
        parts = super()._laplacian
        return _Applied(self._field._laplacian(axes), self._coordinates, lambda channels: parts(axes).jet(channels))

    def _sampled(self, sample: Sample) -> Expression:
        def refuse(channels: Channels) -> NoReturn:
            raise UnknownDerivativeError(f"{sample.name} has no derivatives; write it out, or leave out sample")

        return _Applied(self._field._sampled(sample), self._coordinates, refuse)

    def __getattr__(self, name: str) -> Any:
        return self._by_name(name)


def expressions(
    fields: Mapping[str, AbstractField], coordinates: tuple[str, ...], points: Tensor
) -> dict[str, Expression]:
    """Unknowns, coordinates and `points` as expressions, by name.

    Args:
        fields: the unknowns at the points.
        coordinates: the names of the columns of the points.
        points: `(n, d)`.
    """
    place = _Applied(points, coordinates, lambda channels: lift(points, Wanted(frozenset(channels))))
    columns = {name: place[:, i] for i, name in enumerate(coordinates)}
    return {**columns, **{name: _Unknown(field) for name, field in fields.items()}, "points": place}


def plain(result: Any) -> Any:
    """A function's result with plain tensors in place of expressions and fields."""
    if isinstance(result, Expression):
        return result._tensor
    if isinstance(result, AbstractField):
        return result.value
    if isinstance(result, (tuple, list)):
        return type(result)(plain(part) for part in result)
    return result


def d(expression: Any, *coordinates: str) -> Tensor:
    """The partial derivative of an expression of unknowns and coordinates, `(n,)`; the same as `expression.d(...)`.

    Args:
        expression: such as `u`, `k(u) * u.x` or another derivative, inside a residual or another function of a problem.
        coordinates: by which; one twice for a second derivative.

    Raises:
        UnknownDerivativeError: a name is not a coordinate, or the expression depends on neither.
    """
    if not isinstance(expression, (Differentiable, Recorded)):
        raise UnknownDerivativeError(
            f"d: must be given an expression of unknowns or coordinates, not a {type(expression).__name__} without any"
        )
    return cast(Tensor, expression.d(*coordinates))


def divergence(components: Sequence[Any], *coordinates: str) -> Tensor:
    """The divergence of a vector field given by its components, `(n,)`.

    Args:
        components: one unknown or expression per coordinate, in their order.
        coordinates: the names to differentiate by; default: all coordinates but the time `t` and parameters.

    Raises:
        UnknownDerivativeError: the numbers of components and coordinates differ, or they are one tensor.
    """
    if isinstance(components, (Tensor, Differentiable)):
        raise UnknownDerivativeError("divergence: write its components as a list, as [k * u.x, k * u.y]")
    known = [part for part in components if isinstance(part, Differentiable)]
    if not known:
        return d(components[0])  # which says what is wrong with it
    names = known[0]._spatial(coordinates)
    if len(names) != len(components):
        raise UnknownDerivativeError(
            f"divergence: {len(components)} components but {len(names)} coordinates ({', '.join(names)})"
        )
    return torch.stack([d(u, name) for u, name in zip(components, names, strict=True)]).sum(0)


# ----------------------------------------------------------------------------- details


def _applied(
    function: Callable[..., Any], on_jets: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """A torch operation on expressions: its value now, its jet when asked for."""
    source = next(_found((args, kwargs)))
    result = function(*_mapped(args, lambda e: e._tensor), **_mapped(kwargs, lambda e: e._tensor))

    def follow(channels: Channels) -> Any:
        given, options = _mapped(args, lambda e: e.jet(channels)), _mapped(kwargs, lambda e: e.jet(channels))
        return (on_jets if _has_jet((given, options)) else function)(*given, **options)

    def piece(k: int) -> Follow:
        return lambda channels: follow(channels)[k]

    if isinstance(result, (tuple, list)):
        return type(result)([_wrapped(part, source, piece(k)) for k, part in enumerate(result)])
    return _wrapped(result, source, follow)


def _wrapped(result: Any, source: Expression, follow: Follow) -> Any:
    varies = isinstance(result, Tensor) and (result.is_floating_point() or result.is_complex())
    return _Applied(result, source._coordinates, follow) if varies else result


def _jet(value: Tensor, channels: Channels, channel: Callable[[MultiIndex], Tensor | None]) -> Jet:
    """A jet out of its channels, None being zero."""
    axes = tuple(sorted(c[0] for c in channels if len(c) == 1))
    firsts = [channel((i,)) for i in axes]
    first = torch.stack([torch.zeros_like(value) if part is None else part for part in firsts])
    return Jet(value, axes, first, {c: channel(c) for c in channels if len(c) > 1})


def _channel(jet: Jet | Tensor, index: MultiIndex) -> Tensor | None:
    found = jet.channel(index) if isinstance(jet, Jet) else None
    return None if found is None else found.expand(jet.shape)


def _mapped(container: Any, what: Callable[[Expression], Any]) -> Any:
    if isinstance(container, Expression):
        return what(container)
    if isinstance(container, AbstractField):
        return container.value
    if isinstance(container, dict):
        return {key: _mapped(item, what) for key, item in container.items()}
    if isinstance(container, (list, tuple)):
        return type(container)(_mapped(item, what) for item in container)
    return container


def _found(container: Any) -> Iterator[Expression]:
    if isinstance(container, Expression):
        yield container
    elif isinstance(container, (list, tuple, dict)):
        for item in container.values() if isinstance(container, dict) else container:
            yield from _found(item)


def _has_jet(container: Any) -> bool:
    if isinstance(container, (list, tuple, dict)):
        return any(_has_jet(item) for item in (container.values() if isinstance(container, dict) else container))
    return isinstance(container, Jet)
