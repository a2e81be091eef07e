"""Conditions that couple all points of a region: what an integral or a mean of the unknowns must be.

Everything else here is pointwise: row i of a residual depends on row i of the points only. An integral fits in as one
row that carries a whole quadrature, nodes and weights: its residual is one number, from the unknowns at all nodes. So
it is evaluated whole, on the one process that has its row, whatever the batches are, and losses, Jacobians and kernels
see one residual more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from pinnlab.domains import Region
from pinnlab.errors import ConfigurationError
from pinnlab.problems.conditions import Condition
from pinnlab.problems.evaluation import Evaluation


class Integral(Condition):
    """A prescribed integral: that of an expression over a region is a number.

    For what an equation and its boundary conditions leave open, such as the constant of a solution or pressure with
    Neumann conditions all around, and for what is conserved. In the loss stands weight * (integral - value)^2.

    Args:
        region: over which; a domain, or a boundary for a flux. With time among the coordinates it is one integral over
            all of it, not one for each time.
        function: takes unknowns, coordinates and coefficients by name, on a boundary `normal` as well; returns one
            `(n,)` tensor. `lambda u: u` is the unknown itself.
        value: what the integral is.
        weight: the factor in the loss. The squared integral grows with the measure's square; `Mean` does not.
        points: about how many nodes the quadrature has, see `Region.quadrature`. Default: 64 on a line, 1,024
            elsewhere. That is 32 along each side of a square, which integrate ten waves across it to all digits, at
            the cost of as many points of an equation; the unknowns' values alone take a fraction of that.

    Raises:
        ConfigurationError: `value` is not a finite number or `points` is below 1; in a problem, when the region has
            other coordinates or the function returns anything else.
    """

    over: Region
    function: Callable[..., Any]
    value: float
    _rule: Tensor  # `(q, d + 1)` or, on a boundary, `(q, 2 d + 1)`: node, weight, normal

    def __init__(
        self,
        region: Region,
        function: Callable[..., Any],
        value: float = 0.0,
        weight: float = 1.0,
        points: int | None = None,
    ) -> None:
        super().__init__(None, weight)
        if not isinstance(value, Real) or not math.isfinite(value):
            raise ConfigurationError(f"value: an integral must be a finite number, got {value!r}")
        self.over = region
        self.function = function
        self.value = float(value)
        usual = 64 if region.dimension <= 1 else 1024
        nodes, weights = region.quadrature(usual if points is None else points)
        columns = [nodes, self._scaled(weights)[:, None]]
        if not region.is_full_dimensional:
            columns.append(region.normals(nodes))
        self._rule = torch.cat(columns, 1)

    @property
    def where(self) -> str:
        """The region of the integral."""
        return f"`{self.over!r}`"

    def fixed_points(self) -> Tensor:
        """One point `(1, d)`, the first node: it stands for all of them."""
        return self._rule[:1, : self.over.dim]

    def rows(self, points: Tensor) -> Tensor:
        """The point, and behind it node, weight and normal of every point of the quadrature."""
        rule = self._rule.to(points).reshape(1, -1)
        return torch.cat([points, rule.expand(len(points), -1)], 1)

    def residual(self, at: Evaluation) -> Sequence[Tensor]:
        """The integral minus its value, one number for each row."""
        if at.coordinates != self.over.coordinates:
            raise ConfigurationError(
                f"condition {self.name!r}: its region needs the coordinates {', '.join(at.coordinates)}"
            )
        rows, (nodes, columns), d = len(at.points), self._rule.shape, self.over.dim
        rule = at.extras.reshape(rows * nodes, columns)
        there = at.elsewhere(rule[:, :d])
        normal = {} if self.over.is_full_dimensional else {"normal": rule[:, d + 1 :]}
        values = there.call(self.function, f"integral {self.name!r}", **normal)
        if not isinstance(values, Tensor) or values.shape != (rows * nodes,):
            raise ConfigurationError(f"condition {self.name!r}: its function must return one tensor of shape (n,)")
        return [(rule[:, d] * values).reshape(rows, nodes).sum(-1) - self.value]

    def _scaled(self, weights: Tensor) -> Tensor:
        return weights


class Mean(Integral):
    """A prescribed mean: that of an expression over a region is a number. An `Integral` over the measure.

    Args:
        region: over which.
        function: what of, as for `Integral`.
        value: what the mean is.
        weight: the factor in the loss.
        points: of the quadrature, as for `Integral`.

    Raises:
        ConfigurationError: as for `Integral`.
    """

    def _scaled(self, weights: Tensor) -> Tensor:
        return weights / self.over.measure
