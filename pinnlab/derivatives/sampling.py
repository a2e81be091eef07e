"""Second-order operators estimated from a few directions (Shi et al., arXiv 2412.00088; Hu et al., 2307.12306).

The Laplacian over d coordinates is d/k times its sum over k of them, in the mean over all choices of k. The trace of A
times the Hessian H, A = s s', is the mean of (s z)' H (s z) over signs z (Hutchinson; Hu et al., arXiv 2312.14499). A
jet then carries k first derivatives in place of d, whatever d is.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pinnlab.derivatives.multi_index import MultiIndex
from pinnlab.errors import ConfigurationError, check_whole
from pinnlab.numerics.constants import constant_like

Draws = Mapping["Sample", Tensor]
"""For each estimate what was drawn: the columns `(count,)` of a `Sample`, the signs `(count, r)` of a `Trace`."""

Spread = Callable[[Tensor, Tensor], Tensor]
"""Multiplies vectors by a factor that depends on the point: points `(n, d)`, vectors `(k, 1, s)` -> `(k, n, s)`."""


@dataclass(frozen=True)
class Sample:
    """The Laplacian over some columns, estimated from some of them that are drawn without replacement.

    Attributes:
        axes: the columns that it sums over.
        count: how many of them are drawn.
        draw: tells independent draws of one Laplacian apart.
    """

    axes: MultiIndex
    count: int
    draw: int = 0

    @property
    def name(self) -> str:
        """What a residual writes."""
        return f"laplacian(sample={self.count})"

    @property
    def is_random(self) -> bool:
        """Whether it is drawn at all."""
        return True

    @property
    def seeds(self) -> tuple[Any, ...]:
        """What its draws depend on beside their number."""
        return "laplacian", self.count, self.draw, len(self.axes)

    @property
    def place(self) -> tuple[Any, ...]:
        """Where it stands among others, in every process."""
        return self.count, self.draw, len(self.axes), self.axes

    @property
    def factor(self) -> float:
        """What the sum over the drawn columns is multiplied by, so that its mean over all draws is the Laplacian."""
        return len(self.axes) / self.count

    def drawn(self, generator: torch.Generator) -> Tensor:
        """`(count,)` of the columns, each choice of so many as likely as the others."""
        chosen = torch.randperm(len(self.axes), generator=generator)[: self.count]
        whole = self.axes == tuple(range(len(self.axes)))
        return chosen if whole else torch.tensor(self.axes)[chosen]

    def directions(self, points: Tensor, drawn: Tensor | None) -> Tensor:
        """`(count, 1, d)` what second derivatives are taken along: the drawn columns of the unit matrix.

        Args:
            points: `(n, d)`.
            drawn: what was drawn.
        """
        assert drawn is not None
        every = torch.arange(points.shape[-1], device=points.device)
        return (drawn[:, None, None] == every).to(points.dtype)


@dataclass(frozen=True, eq=False)
class Factor:
    """The factor s of A = s s': one object stands for one operator, whatever numbers it holds.

    Attributes:
        value: the matrix `(s, r)`, or a function that multiplies by it, see `Spread`.
    """

    value: Tensor | Spread

    def __eq__(self, other: object) -> bool:
        """A matrix equals itself only; a method, which Python makes anew whenever it is named, that of one object."""
        if not isinstance(other, Factor):
            return False
        own, others = self.value, other.value
        return own is others or (not isinstance(own, Tensor) and not isinstance(others, Tensor) and own == others)

    def __hash__(self) -> int:
        return hash(self.value)

    def __deepcopy__(self, memo: dict[int, Any]) -> Factor:
        return self  # a copy of a network is asked with the matrix that the residual has

    def times(self, points: Tensor, vectors: Tensor) -> Tensor:
        """The products with vectors `(k, 1, r)`, `(k, 1 or n, s)`."""
        if isinstance(self.value, Tensor):
            return vectors @ constant_like(self.value, vectors).t()
        return self.value(points, vectors)

    @functools.cached_property
    def place(self) -> tuple[str, int]:
        """What tells it from others in every process: its numbers, or the function's place in the source."""
        if isinstance(self.value, Tensor):
            return hashlib.sha256(self.value.detach().double().cpu().numpy().tobytes()).hexdigest(), 0
        code = getattr(self.value, "__code__", None)
        return getattr(self.value, "__qualname__", ""), getattr(code, "co_firstlineno", 0)


@dataclass(frozen=True)
class Trace(Sample):
    """The trace of A times the Hessian over some columns, A = s s', as second derivatives along directions.

    Attributes:
        axes: the columns, one for each row of s.
        count: how many directions are drawn; all of them where it is exact.
        draw: tells independent draws of one trace apart.
        root: the factor s.
        columns: r, those of s.
        is_exact: whether the directions are the columns of s themselves.
    """

    root: Factor = Factor(torch.empty(0))
    columns: int = 0
    is_exact: bool = False

    @property
    def name(self) -> str:
        """What a residual writes."""
        return "trace_hessian()" if self.is_exact else f"trace_hessian(sample={self.count})"

    @property
    def is_random(self) -> bool:
        """Whether it is drawn at all."""
        return not self.is_exact

    @property
    def seeds(self) -> tuple[Any, ...]:
        """What its draws depend on beside their number."""
        return "trace", self.count, self.draw, self.columns

    @property
    def place(self) -> tuple[Any, ...]:
        """Where it stands among others, in every process; behind Laplacians of as many directions."""
        return self.count, self.draw, len(self.axes), (*self.axes, -1), self.columns, self.is_exact, self.root.place

    @property
    def factor(self) -> float:
        """What the sum over the directions is multiplied by: nothing, their lengths have it."""
        return 1.0

    def drawn(self, generator: torch.Generator) -> Tensor:
        """`(count, r)` signs over the root of `count`: their mean outer product is the unit matrix over `count`."""
        signs = torch.randint(0, 2, (self.count, self.columns), generator=generator)
        return (2 * signs - 1).to(torch.float64) / math.sqrt(self.count)

    def directions(self, points: Tensor, drawn: Tensor | None) -> Tensor:
        """`(count, 1, d)`, or `(count, n, d)`: s times what was drawn, or its columns, in their places among zeros."""
        if self.is_exact or drawn is None:
            drawn = torch.eye(self.columns, dtype=points.dtype, device=points.device)
        spread = self.root.times(points, drawn.to(points)[:, None, :])
        if self.axes == tuple(range(points.shape[-1])):
            return spread
        places = in_ranges(self.axes, points.device)
        return points.new_zeros(*spread.shape[:-1], points.shape[-1]).index_copy(-1, places, spread)


def checked_sample(axes: MultiIndex, count: int, draw: int) -> Sample:
    """The estimate with these numbers.

    Raises:
        ConfigurationError: one is no whole number, or out of its range.
    """
    check_whole("laplacian", sample=count, draw=draw)
    if not 1 <= count <= len(axes):
        raise ConfigurationError(
            f"laplacian.sample: must be from 1 to {len(axes)}, the number of coordinates it sums over, got {count}"
        )
    if draw < 0:
        raise ConfigurationError(f"laplacian.draw: must not be negative, got {draw}")
    return Sample(axes, int(count), int(draw))


def checked_trace(axes: MultiIndex, factor: Any, count: int | None, draw: int) -> Trace:
    """The trace with this factor, exact without a number of directions.

    Raises:
        ConfigurationError: the factor does not fit the coordinates; one of the numbers is no whole number, or out of
            its range.
    """
    what = f"a matrix with a row for each of the {len(axes)} coordinates, or a function (points, vectors)"
    if isinstance(factor, Tensor):
        if factor.ndim != 2 or len(factor) != len(axes) or not factor.shape[1]:
            raise ConfigurationError(f"trace_hessian.factor: must be {what}, got shape {tuple(factor.shape)}")
        columns = factor.shape[1]
    elif callable(factor):
        columns = len(axes)
    else:
        raise ConfigurationError(f"trace_hessian.factor: must be {what}, got {type(factor).__name__}")
    check_whole("trace_hessian", draw=draw, **({} if count is None else {"sample": count}))
    if count is not None and not 1 <= count <= columns:
        raise ConfigurationError(
            f"trace_hessian.sample: must be from 1 to {columns}, the number of columns of the factor, got {count}"
        )
    if draw < 0:
        raise ConfigurationError(f"trace_hessian.draw: must not be negative, got {draw}")
    return Trace(axes, columns if count is None else int(count), int(draw), Factor(factor), columns, count is None)


def in_order(samples: Iterable[Sample]) -> list[Sample]:
    """Estimates in an order that every process has."""
    return sorted(samples, key=lambda sample: sample.place)


def in_ranges(axes: MultiIndex, device: torch.device) -> Tensor:
    """Columns as a tensor of integers `(len(axes),)`, put together of ranges.

    A GPU counts these itself; numbers would be copied to it at every evaluation.
    """
    starts = [i for i, axis in enumerate(axes) if not i or axis != axes[i - 1] + 1]
    runs = itertools.pairwise([*starts, len(axes)])
    ranges = [torch.arange(axes[i], axes[i] + j - i, device=device) for i, j in runs]
    return torch.cat([torch.arange(0, device=device), *ranges])
