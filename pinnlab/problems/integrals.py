"""Conditions that couple all points of a region: what an integral or a mean of the unknowns must be.

Everything else here is pointwise: row i of a residual depends on row i of the points only. An integral fits in as one
row that carries a whole quadrature, nodes and weights: its residual is one number, from the unknowns at all nodes. So
it is evaluated whole, on the one process that has its row, whatever the batches are, and losses, Jacobians and kernels
see one residual more. With `each` there is such a row for every value of some coordinates, such as the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pinnlab.derivatives.expressions import plain
from pinnlab.domains import Region
from pinnlab.domains.section import section
from pinnlab.errors import ConfigurationError, check_names, check_whole, in_short, is_finite, unknown
from pinnlab.problems.conditions import Condition, Target, takes_normals
from pinnlab.problems.evaluation import Evaluation, call_by_name


class Integral(Condition):
    """A prescribed integral: that of an expression over a region is a number, or a function of some coordinates.

    For what an equation and its boundary conditions leave open, such as the constant of a solution or pressure with
    Neumann conditions all around, and for what is conserved. In the loss stands weight * (integral - value)^2; with
    `each` its mean over points of the region, of which only those coordinates count.

    Args:
        region: over which; a domain, or a boundary for a flux. With time among the coordinates it is one integral over
            all of it, unless `each` has the time.
        function: takes unknowns, coordinates and coefficients by name, on a boundary `normal` as well; returns one
            `(n,)` tensor. `lambda u: u` is the unknown itself.
        value: what the integral is; with `each` a number or a function of those coordinates, coefficients and data.
        weight: the factor in the loss. The squared integral grows with the measure's square; `Mean` does not.
        points: about how many nodes the quadrature has, see `Region.quadrature`. Default: 64 on a line, 1,024
            elsewhere. That is 32 along each side of a square, which integrate ten waves across it to all digits, at
            the cost of as many points of an equation; the unknowns' values alone take a fraction of that. With `each`
            this is for one value of them; `data.points` says for how many values.
        each: the coordinates that are not integrated over, such as `"t"` for a mass at all times: the region is a
            product that has them in factors of their own.

    Raises:
        ConfigurationError: `value` is not a finite number or `points` is below 1, or the region is no such product; in
            a problem, when the region has other coordinates or the function returns anything else.
    """

    over: Region
    function: Callable[..., Any]
    value: Target
    each: tuple[str, ...]
    _rule: Tensor  # `(q, d + 1)` or, on a boundary, `(q, 2 d + 1)`: node, weight, normal; of `each` there is zero

    def __init__(
        self,
        region: Region,
        function: Callable[..., Any],
        value: Target = 0.0,
        weight: float = 1.0,
        points: int | None = None,
        each: str | Sequence[str] = (),
    ) -> None:
        super().__init__(region, weight)
        if not each:
            self.region = None  # it brings its own points
        if not callable(function):
            raise ConfigurationError(
                f"{type(self).__name__}: function must be a function such as lambda u: u, got {type(function).__name__}"
            )
        if points is not None:
            check_whole(type(self).__name__, 1, points=points)
        if not isinstance(each, str):
            check_names("each", each, "t")
        self.each = (each,) if isinstance(each, str) else tuple(each)
        for name in self.each:
            if name not in region.coordinates:
                raise unknown("coordinate of each:", name, region.coordinates)
        if not (callable(value) and each) and not is_finite(value):
            function_of_what = "; for one at each time write each='t'" if callable(value) else ""
            raise ConfigurationError(
                f"value: an integral must be a finite number, got {in_short(value)}{function_of_what}"
            )
        self.over = region
        self.function = function
        self.value = value if callable(value) else float(value)
        signed = callable(value) or bool(value)  # an integral that is zero is so along either normal
        self.looks_along_normals = signed and takes_normals(region, function)
        part = section(region, self.each) if each else region
        usual = 64 if part.dimension <= 1 else 1024
        nodes, weights = part.quadrature(usual if points is None else points)
        columns = [_among(region, part, nodes), self._scaled(weights, part)[:, None]]
        if not region.is_full_dimensional:
            columns.append(_among(region, part, part.normals(nodes)))
        self._rule = torch.cat(columns, 1)

    @property
    def where(self) -> str:
        """The region of the integral."""
        return f"`{self.region or self.over!r}`"

    @property
    def reach(self) -> Region:
        """The region of the integral; with `each` a window may have cut it."""
        return self.region or self.over

    def fixed_points(self) -> Tensor | None:
        """One point `(1, d)`, the first node: it stands for all of them. None with `each`: points of the region."""
        return None if self.each else self._rule[:1, : self.over.dim]

    def rows(self, points: Tensor) -> Tensor:
        """The point, and behind it node, weight and normal of every point of the quadrature."""
        rule = self._rule.to(points).expand(len(points), -1, -1).clone()
        for column in map(self.over.coordinates.index, self.each):
            rule[:, :, column] = points[:, None, column]
        return torch.cat([points, rule.flatten(1)], 1)

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
        return [(rule[:, d] * values).reshape(rows, nodes).sum(-1) - self._prescribed(at)]

    def examine(self, at: Evaluation) -> None:
        """Refuses a value of data that are not the same all over a part that is integrated over."""
        there = at.points.clone()
        inside = [k for k, name in enumerate(at.coordinates) if name not in self.each]
        there[:, inside] = self._rule[-1, inside].to(there)
        values = [torch.as_tensor(self._prescribed(where)) for where in (at, at.elsewhere(there))]
        if not torch.equal(*values):
            raise ConfigurationError(
                f"condition {self.name!r}: its value depends on more than {', '.join(self.each)}, and the rest is "
                "integrated over"
            )

    def _prescribed(self, at: Evaluation) -> Any:
        """The value at each row, whose point stands for `each` alone: nothing else of it may be asked for."""
        if not callable(self.value):
            return self.value
        hidden = {"points", *at.fields, *at.coordinates}.difference(self.each)
        known = {name: value for name, value in at.arguments().items() if name not in hidden}
        return plain(call_by_name(self.value, known, f"the value of integral {self.name!r}"))

    def _scaled(self, weights: Tensor, part: Region) -> Tensor:
        return weights


def _among(region: Region, part: Region, columns: Tensor) -> Tensor:
    """Columns of a part's coordinates among those of the whole region; zeros for the others."""
    found = columns.new_zeros(len(columns), region.dim)
    found[:, [region.coordinates.index(name) for name in part.coordinates]] = columns
    return found


class Mean(Integral):
    """A prescribed mean: that of an expression over a region is a number. An `Integral` over the measure.

    Args:
        region: over which.
        function: what of, as for `Integral`.
        value: what the mean is.
        weight: the factor in the loss.
        points: of the quadrature, as for `Integral`.
        each: the coordinates of which it is a function, as for `Integral`.

    Raises:
        ConfigurationError: as for `Integral`.
    """

    def _scaled(self, weights: Tensor, part: Region) -> Tensor:
        return weights / part.measure
