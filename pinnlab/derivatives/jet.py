"""Taylor-mode differentiation: a `Jet` carries a value and its partial derivatives through torch operations.

A jet is a value together with a downward-closed set of partial derivatives with respect to the input
coordinates (truncated multivariate Taylor arithmetic; Griewank & Walther, *Evaluating Derivatives*, ch. 13).
`__torch_function__` sends every torch operation to its rule in `rules.py`, so any `nn.Module` written in
torch operations works unchanged. Sums of second derivatives that are wanted only as a sum (Laplacians) travel
as ONE channel, so their cost grows with the dimension d, not with d^2 (Li et al., arXiv 2307.08859).
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch
from torch import Tensor

from pinnlab.derivatives.multi_index import MultiIndex, downward_closure
from pinnlab.derivatives.sampling import Sample
from pinnlab.errors import UnsupportedOperationError


@dataclass(frozen=True)
class Laplacian:
    """The sum of second derivatives over some coordinates, carried as one channel."""

    axes: MultiIndex


Channel = MultiIndex | Laplacian


@dataclass(frozen=True)
class Wanted:
    """Which derivatives are asked for.

    Attributes:
        partials: multi-indices of single partial derivatives.
        laplacians: for each Laplacian the columns it sums over.
        samples: the Laplacians that are estimated, and traces of matrices times the Hessian.
    """

    partials: frozenset[MultiIndex] = field(default_factory=frozenset)
    laplacians: frozenset[MultiIndex] = field(default_factory=frozenset)
    samples: frozenset[Sample] = field(default_factory=frozenset)

    def __or__(self, other: Wanted) -> Wanted:
        return Wanted(self.partials | other.partials, self.laplacians | other.laplacians, self.samples | other.samples)

    def __bool__(self) -> bool:
        return bool(self.partials or self.laplacians or self.samples)

    @property
    def channels(self) -> int:
        """About how many numbers are kept for each entry of a layer's value, this one included."""
        drawn, aside = sum(sample.count for sample in self.samples), self.backwards
        carried = len(downward_closure(self.partials - aside)) + len(set().union(*self.laplacians)) + drawn
        return 1 + carried + (2 if aside else 0)  # one pass back, and the values that it needs

    @property
    def backwards(self) -> frozenset[MultiIndex]:
        """First derivatives that nothing else needs, where they are so many that one pass back is the shorter way."""
        if len(self.partials) <= _FEW:
            return frozenset()
        others = downward_closure(index for index in self.partials if len(index) > 1)
        carried = {*others, *((i,) for axes in self.laplacians for i in axes)}
        alone = frozenset(index for index in self.partials if len(index) == 1 and index not in carried)
        return alone if len(alone) > _FEW else frozenset()


_FEW = 16
"""First derivatives up to which jets carry them with the rest; all of them by one pass back take about three values."""


class Jet:
    """A value and its derivative channels; stands for a tensor in torch operations.

    Attributes:
        value: `(...)` the value itself.
        axes: the coordinates that first derivatives are carried for.
        first: `(len(axes), ...)` first derivatives, stacked so that a linear layer is one matrix product;
            the trailing shape may have ones where the derivative does not vary (it broadcasts to the value).
        higher: the other channels, likewise broadcastable; None is an exact zero.
        scales: `(d,)` where the value is the coordinates, shifted and scaled: their derivatives. Else None.
        source: where torch's tensor would be a view `base[index]`: base and index. Else None.
    """

    __slots__ = ("__weakref__", "_family", "axes", "first", "higher", "scales", "source", "value")
    __array_ufunc__ = None  # numpy's numbers leave arithmetic to it

    def __init__(
        self,
        value: Tensor,
        axes: tuple[int, ...],
        first: Tensor,
        higher: Mapping[Channel, Tensor | None],
        scales: Tensor | None = None,
    ) -> None:
        self.value = value
        self.axes = axes
        self.first = first
        self.higher = higher
        self.scales = scales
        self.source: tuple[Jet, Any] | None = None
        self._family: list[weakref.ref[Jet]] | None = None

    def as_view_of(self, base: Jet, index: Any = None) -> Jet:
        """This jet, known to stand for a tensor that may share its memory with `base`: what writes must know."""
        if base._family is None:
            base._family = [weakref.ref(base)]
        base._family.append(weakref.ref(self))
        self._family, self.source = base._family, None if index is None else (base, index)
        return self

    def relatives(self) -> list[Jet]:
        """The other jets, still in use, whose tensors may share memory with this one's."""
        known = (reference() for reference in self._family or ())
        return [jet for jet in known if jet is not None and jet is not self]

    @property
    def order(self) -> int:
        """The highest order of differentiation that is carried."""
        return max((2 if isinstance(k, Laplacian) else len(k) for k in self.higher), default=1)

    def channel(self, key: MultiIndex) -> Tensor | None:
        """The value for `()`, a first derivative for one column, else a higher channel."""
        if not key:
            return self.value
        if len(key) == 1:
            return self.first[self.axes.index(key[0])]
        return self.higher[key]

    def firsts(self, axes: MultiIndex) -> Tensor:
        """`(len(axes), ...)` the first derivatives along some coordinates."""
        if axes == self.axes:
            return self.first
        start = self.axes.index(axes[0])
        if self.axes[start : start + len(axes)] == axes:
            return self.first[start : start + len(axes)]
        return torch.stack([self.first[self.axes.index(i)] for i in axes])

    @property
    def shape(self) -> torch.Size:
        """The shape of the value."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """The number of dimensions of the value."""
        return self.value.ndim

    @property
    def dtype(self) -> torch.dtype:
        """The data type of the value."""
        return self.value.dtype

    @property
    def device(self) -> torch.device:
        """The device of the value."""
        return self.value.device

    @property
    def requires_grad(self) -> bool:
        """Whether the value takes part in reverse-mode differentiation."""
        return self.value.requires_grad

    @property
    def is_nested(self) -> bool:
        """Whether the value is a list of tensors of several lengths, as torch's attention asks: never."""
        return False

    @property
    def data(self) -> Tensor:
        """The value as a constant."""
        return self.value.detach()

    def size(self, dim: int | None = None) -> torch.Size | int:
        """The shape of the value, or one entry of it."""
        return self.value.size() if dim is None else self.value.size(dim)

    def dim(self) -> int:
        """The number of dimensions of the value."""
        return self.value.dim()

    def __len__(self) -> int:
        return len(self.value)

    @classmethod
    def __torch_function__(
        cls, func: Callable, types: Iterable[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Sends a torch operation on jets to its rule."""
        return apply_rule(func.__name__, *args, **(kwargs or {}))

    def __getattr__(self, name: str) -> Any:
        """A method of tensors (`jet.sin()`, `jet.reshape(...)`): the rule of that name."""
        if name.startswith("__"):
            raise AttributeError(name)
        if name in ("T", "mT"):
            return apply_rule("transpose", self, -2, -1)
        if name in ("real", "imag"):
            return apply_rule(name, self)
        find_rule(name)
        return functools.partial(apply_rule, name, self)

    def __add__(self, other: Any) -> Any:
        return apply_rule("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return apply_rule("add", self, other)

    def __sub__(self, other: Any) -> Any:
        return apply_rule("sub", self, other)

    def __rsub__(self, other: Any) -> Any:
        return apply_rule("sub", other, self)

    def __mul__(self, other: Any) -> Any:
        return apply_rule("mul", self, other)

    def __rmul__(self, other: Any) -> Any:
        return apply_rule("mul", self, other)

    def __truediv__(self, other: Any) -> Any:
        return apply_rule("div", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return apply_rule("div", other, self)

    def __pow__(self, other: Any) -> Any:
        return apply_rule("pow", self, other)

    def __rpow__(self, other: Any) -> Any:
        return apply_rule("pow", other, self)

    def __mod__(self, other: Any) -> Any:
        return apply_rule("remainder", self, other)

    def __floordiv__(self, other: Any) -> Any:
        return apply_rule("floor_divide", self, other)

    def __abs__(self) -> Any:
        return apply_rule("abs", self)

    def __iadd__(self, other: Any) -> Any:
        return apply_rule("add_", self, other)

    def __isub__(self, other: Any) -> Any:
        return apply_rule("sub_", self, other)

    def __imul__(self, other: Any) -> Any:
        return apply_rule("mul_", self, other)

    def __itruediv__(self, other: Any) -> Any:
        return apply_rule("div_", self, other)

    def __ipow__(self, other: Any) -> Any:
        return apply_rule("pow_", self, other)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Any:
        return apply_rule("eq", self, other)

    def __ne__(self, other: object) -> Any:
        return apply_rule("ne", self, other)

    def __gt__(self, other: Any) -> Any:
        return apply_rule("gt", self, other)

    def __ge__(self, other: Any) -> Any:
        return apply_rule("ge", self, other)

    def __lt__(self, other: Any) -> Any:
        return apply_rule("lt", self, other)

    def __le__(self, other: Any) -> Any:
        return apply_rule("le", self, other)

    def __matmul__(self, other: Any) -> Any:
        return apply_rule("matmul", self, other)

    def __neg__(self) -> Any:
        return apply_rule("neg", self)

    def __getitem__(self, index: Any) -> Any:
        return apply_rule("getitem", self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        apply_rule("setitem", self, index, value)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def _plain_number(self, *unused: Any) -> NoReturn:
        raise UnsupportedOperationError(_no_rule("the number of a tensor (float, int, bool, a numpy array)"))

    __bool__ = __float__ = __int__ = __index__ = __complex__ = __array__ = __contains__ = _plain_number


Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}
_ALIASES = {"truediv": "div", "true_divide": "div", "divide": "div", "multiply": "mul", "subtract": "sub"}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Registers a function as the rule of the torch operations with these names."""

    def register(function: Rule) -> Rule:
        for name in names:
            RULES[name] = function
        return function

    return register


def find_rule(name: str) -> Rule:
    """The rule of a torch operation, by its name (`add`, `__add__` and `Tensor.add` are one operation).

    Raises:
        UnsupportedOperationError: there is no rule; the message names the operation.
    """
    plain = name[2:-2] if name.startswith("__") and name.endswith("__") else name
    plain = _ALIASES.get(plain, plain)
    if plain in RULES:
        return RULES[plain]
    if plain.endswith("_") and plain[:-1] in RULES:
        return functools.partial(_write, RULES[plain[:-1]])
    raise UnsupportedOperationError(_no_rule(f"torch's {plain!r}"))


def apply_rule(name: str, *args: Any, **kwargs: Any) -> Any:
    """Applies the rule of a torch operation; its tensors may be given by torch's keywords `input` and `other`.

    Raises:
        UnsupportedOperationError: there is no rule, or none for this way to call the operation.
    """
    leading = [kwargs.pop("input")] if "input" in kwargs else []
    trailing = [kwargs.pop("other")] if "other" in kwargs else []
    operation = find_rule(name)
    if kwargs.get("out", ...) is None:
        del kwargs["out"]
    if kwargs.pop("inplace", False):
        operation = functools.partial(_write, operation)
    try:
        return operation(*leading, *args, *trailing, **kwargs)
    except UnsupportedOperationError:
        raise
    except TypeError as error:
        raise UnsupportedOperationError(_no_rule(f"torch's {name!r} called in this way ({error})")) from error


def _write(operation: Rule, jet: Any, *args: Any, **kwargs: Any) -> Any:
    """An operation in place: its result is written over its first argument."""
    return RULES["copy_"](jet, operation(jet, *args, **kwargs))


def _no_rule(what: str) -> str:
    return (
        f"the Taylor engine has no rule for {what}: set model.engine to 'reverse' (slower), or write the network "
        "without it"
    )
