"""Sums of products of functions of one coordinate each, at all points of a grid, coordinate by coordinate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

LineFunctions = Callable[[Tensor], Tensor]
"""Some functions of one coordinate: maps `(n,)` to `(n, functions)`."""


def grid_sum(core: Tensor, points: Tensor, shape: Sequence[int], functions: Sequence[LineFunctions]) -> Tensor:
    """`s[m, t, ..., b] = sum over j, ..., l of core[m, j, ..., l] p_j(t) ... g_l(y_b)` at the points of a grid.

    One coordinate after the other: with n functions of each of d coordinates that are d n products for each point in
    place of n^d (Orszag, "Spectral methods for problems in complex geometries", Journal of Computational Physics 37,
    1980). Points may be a jet, see `derivatives.grids`.

    Args:
        core: `(outputs, functions of the last coordinate, of the first, of the second, ...)`.
        points: `(n, d)`, all points of a grid. The last coordinate changes slowest, then the first one, and so on.
        shape: how many values each coordinate has, in the same order.
        functions: of each coordinate, in the same order.

    Returns:
        `(n, outputs)`, in the order of the points.
    """
    if has_torch_function((points,)):
        return handle_torch_function(grid_sum, (points,), core, points, shape, functions)
    return summed_up(core, points, shape, functions)


def summed_up(core: Any, points: Any, shape: Sequence[int], functions: Sequence[LineFunctions]) -> Any:
    """`grid_sum` in the operations of tensors, which jets follow, too."""
    lines = grid_lines(points, shape)
    for i in reversed(range(len(lines))):
        core = summed(core, i, functions[i](lines[i]))
    return core.flatten(1).mT


def grid_lines(points: Any, shape: Sequence[int]) -> list[Any]:
    """The values of each coordinate of the points of a grid, `(n_i,)`; the last coordinate first."""
    grid = points.unflatten(0, tuple(shape))

    def along(axis: int) -> tuple[Any, ...]:
        return tuple(slice(None) if k == axis else 0 for k in range(len(shape)))

    return [grid[along(axis)][:, axis - 1] for axis in range(len(shape))]


def summed(core: Any, i: int, factor: Any) -> Any:
    """The sum over the functions `(n_i, functions)` of one coordinate, whose points take their place.

    Those behind it were summed up before, so that everything is a product of matrices as they lie in memory.
    """
    behind = tuple(core.shape[i + 2 :])
    if not behind:
        return core @ factor.mT
    return (factor @ core.flatten(i + 2)).unflatten(-1, behind)
