"""Nested reverse-mode differentiation: the oracle of the Taylor engine, and the fallback for other networks.

Written with `torch.func`, so that it also works without a gradient tape (validation), in inference mode and
inside `vmap(grad)`. Each order of differentiation roughly doubles the cost, and nested reverse mode cannot be
compiled, hence the Taylor engine.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pinnlab.derivatives.jet import Wanted
from pinnlab.derivatives.layers import COMPOSED, OF_DERIVATIVES
from pinnlab.derivatives.multi_index import MultiIndex
from pinnlab.derivatives.sampling import Draws, Sample, Trace
from pinnlab.errors import UnsupportedOperationError
from pinnlab.numerics.torch_version import differentiable_in_inference_mode

Function = Callable[[Tensor], Tensor]


class ByFormula(TorchFunctionMode):
    """A context in which layers are computed by their formulas where torch's kernels lack higher derivatives.

    It costs about 2 microseconds for each operation, once for all points; a compiled graph has nothing of it.

    Args:
        formulas: by torch's functions.
    """

    def __init__(self, formulas: Mapping[Any, Callable[..., Any]] = COMPOSED) -> None:
        super().__init__()
        self._formulas = formulas

    def __torch_function__(self, func: Any, types: Iterable[type], args: tuple = (), kwargs: dict | None = None) -> Any:
        """Calls the formula of a layer that has one, else the operation itself."""
        formula, options = self._formulas.get(func), kwargs or {}
        if formula is not None and not options.get("inplace"):
            try:
                return formula(*args, **{key: value for key, value in options.items() if key != "inplace"})
            except UnsupportedOperationError:
                pass  # a form of it that has no formula
        return func(*args, **options)


@differentiable_in_inference_mode
def differentiate(
    function: Function, points: Tensor, wanted: Wanted, draws: Draws | None = None
) -> tuple[Tensor, dict[MultiIndex, Tensor], dict[MultiIndex, Tensor], dict[Sample, Tensor]]:
    """Value, partial derivatives and Laplacians of a function that treats each point on its own.

    Args:
        function: `(n, d) -> (n, m)`; row i of the result depends on row i of the argument only.
        points: `(n, d)`.
        wanted: the derivatives to compute.
        draws: what each estimate is computed from.

    Returns:
        The value `(n, m)`, and `(n, m)` for every multi-index, for every Laplacian and for every estimate of one.
    """
    with ByFormula():
        value = function(points)
    with ByFormula(OF_DERIVATIVES):
        partials = _partials(function, points, wanted.partials, value.shape[-1])
        laplacians = {
            axes: torch.stack([_along(function, (i, i), value.shape[-1])(points) for i in axes]).sum(0)
            for axes in wanted.laplacians
        }
        samples = {
            sample: _curvature(function, sample, (draws or {}).get(sample), points, value.shape[-1])
            for sample in wanted.samples
        }
    return value, partials, laplacians, samples


@differentiable_in_inference_mode
def gradient(function: Function, points: Tensor) -> tuple[Tensor, Tensor]:
    """The value `(n, m)` and all first derivatives `(n, m, d)`, by one pass back for each output."""
    with ByFormula(OF_DERIVATIVES):
        value = function(points)
        return value, _gradient(function, points, value.shape[-1])


def _partials(
    function: Function, points: Tensor, wanted: Collection[MultiIndex], outputs: int
) -> dict[MultiIndex, Tensor]:
    """Single partial derivatives `(n, m)`; all first ones by one pass for each output."""
    singles = [index for index in wanted if len(index) == 1]
    found = {index: _along(function, index, outputs)(points) for index in wanted if len(index) > 1}
    if singles:
        whole = _gradient(function, points, outputs)
        found |= {index: whole[..., index[0]] for index in singles}
    return found


def _curvature(function: Function, sample: Sample, drawn: Tensor | None, points: Tensor, outputs: int) -> Tensor:
    """One estimate, `(n, m)`."""
    if not isinstance(sample, Trace):
        assert drawn is not None
        return sample.factor * _summed(function, drawn, outputs)(points)
    start = torch.zeros_like(points[:, :1])

    def second(direction: Tensor) -> Tensor:
        return _along(lambda step: function(points + step * direction), (0, 0), outputs)(start)

    return torch.stack([second(direction) for direction in sample.directions(points, drawn).unbind()]).sum(0)


def _summed(function: Function, columns: Tensor, outputs: int) -> Function:
    """The sum of second derivatives by some columns, which may be arguments of a traced function."""

    def second(points: Tensor) -> Tensor:
        parts = [_slope(_slope(function, column, outputs), column, outputs)(points) for column in columns.unbind()]
        return torch.stack(parts).sum(0)

    return second


def _along(function: Function, index: MultiIndex, outputs: int) -> Function:
    """The function that computes one partial derivative of every output: `(n, d) -> (n, m)`."""
    for axis in index:
        function = _slope(function, axis, outputs)
    return function


def _slope(function: Function, axis: int | Tensor, outputs: int) -> Function:
    return lambda points: _gradient(function, points, outputs)[..., axis]


def _gradient(function: Function, points: Tensor, outputs: int) -> Tensor:
    """`(n, m, d)` the first derivatives of every output by every coordinate."""
    rows = []
    for j in range(outputs):

        def total(x: Tensor, j: int = j) -> Tensor:
            return function(x)[..., j].sum()

        rows.append(torch.func.grad(total)(points))
    return torch.stack(rows, -2)
