"""What couples tiles that do not overlap: jumps across the faces where they meet vanish."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from pinnlab.domains import Box, Domain, Product, Union
from pinnlab.domains.cut import cut
from pinnlab.errors import ConfigurationError, check_names
from pinnlab.networks.stacked import checked_grid
from pinnlab.numerics.constants import constant_like
from pinnlab.problems.conditions import Condition, with_normals
from pinnlab.problems.evaluation import Evaluation

_STEP = 32
"""How far beside a face its two sides are evaluated, in roundings of the coordinates: more than finding the tile takes.
"""
_CLEAR = 1e-4
"""What points keep from where faces cross, relative to a tile: four tiles meet there, and a jump is between two."""

Flux = Callable[..., Any]


class Continuity(Condition):
    r"""The solution, and its slope or flux, do not jump where the boxes of a grid meet: what couples `Tiles`.

    Residuals are differences `f(upper) - f(lower)` between both sides of an inner face, at the same point but for
    roundings: both are evaluated 32 roundings of the coordinates beside it, which changes them by about as much. So a
    coefficient that jumps there, written as `torch.where(x < 0.5, ...)`, has its own value on either side.

    By default the unknowns and their derivatives across the face vanish in the jump, up to `order`. With a `flux` the
    unknowns and this do: `lambda u, x, normal: k(x) * u.along(normal)` where k jumps (cPINN), or the function of the
    equation's own `Residual` (XPINN), which is enough for an equation of order one only: in one of order two it leaves
    slopes free, and what bends at every face has no residual. The papers' squares of `u - (upper + lower) / 2` on both
    sides are those of the jump up to a factor of two.

    Args:
        domain: the whole domain: a box, or a product of intervals and boxes.
        grid: the number of boxes along each coordinate, as the network has it.
        order: the highest derivative across the faces that must agree; p - 1 for an equation of order p.
        flux: instead of derivatives, a function, or several, whose values must agree; it takes unknowns, coordinates
            and coefficients by name, `normal` `(n, d)`, from the lower to the upper side, and `side`, -1.0 or 1.0. It
            returns one `(n,)` tensor or several.
        unknowns: those that do not jump themselves; all by default.
        weight: the factor in the loss.

    Attributes:
        grid: the numbers of boxes, a tuple.

    Raises:
        ConfigurationError: the domain is no box, nothing is cut, or an order or function is none.
    """

    def __init__(
        self,
        domain: Domain,
        grid: Sequence[int] | int,
        order: int = 1,
        flux: Flux | Sequence[Flux] | None = None,
        unknowns: Sequence[str] | None = None,
        weight: float = 1.0,
    ) -> None:
        box = _box(domain)
        self.grid = tuple(checked_grid(grid, box.dim, "tiles"))
        self.box = box
        if all(count == 1 for count in self.grid):
            raise ConfigurationError("grid: needs two or more along a coordinate; one box has no inner faces")
        super().__init__(Union([inner.face(**{name: at}) for inner, name, at in _faces(box, self.grid)]), weight)
        if isinstance(order, bool) or not isinstance(order, int) or order < 0:
            raise ConfigurationError(f"order: must be 0 (the value alone) or more, got {order!r}")
        if unknowns is not None:
            check_names("Continuity.unknowns", unknowns, "u")
            if not unknowns:
                raise ConfigurationError("Continuity: unknowns must be a list with something in it")
        functions = () if flux is None else tuple(flux) if isinstance(flux, (list, tuple)) else (flux,)
        for function in functions:
            if not callable(function):
                raise ConfigurationError(f"flux: must be a function of unknowns and coordinates, got {function!r}")
        self.order, self.fluxes = order, functions
        self._ends = torch.tensor([box.low, box.high], dtype=torch.float64).abs().amax(0)
        self.unknowns = None if unknowns is None else tuple(unknowns)

    @property
    def where(self) -> str:
        """Where it holds, in words."""
        return f"where {' x '.join(map(str, self.grid))} boxes of `{self.box!r}` meet"

    def names(self) -> Sequence[str]:
        """The chosen unknowns."""
        return self.unknowns or ()

    def cut(self, coordinate: str, low: float, high: float) -> Continuity:
        """The same between two values of a coordinate: with as many boxes, which are that much shorter."""
        part = cut(self.box, coordinate, low, high)
        assert isinstance(part, Box)  # as the whole is
        return Continuity(part, self.grid, self.order, self.fluxes or None, self.unknowns, self.weight)

    def rows(self, points: Tensor) -> Tensor:
        """The points, and the normals of their faces towards the upper side, `(n, 2 d)`."""
        rows = with_normals(self.region, points)
        normals = rows[:, self.box.dim :]
        counts, low, sides = (points.new_tensor(values) for values in (self.grid, self.box.low, self.box.sides))
        place = (points - low) / sides * counts
        face = torch.minimum(place.round().clamp_min(1), counts - 1)
        beyond = place - face
        near = (beyond.abs() < _CLEAR) & (normals == 0) & (counts > 1)
        clear = face + torch.where(beyond < 0, -_CLEAR, _CLEAR)
        return torch.cat([torch.where(near, low + clear * sides / counts, points), normals], 1)

    def residual(self, at: Evaluation) -> Sequence[Tensor]:
        """The jumps."""
        ends = constant_like(self._ends, at.points)
        step = _STEP * torch.finfo(at.points.dtype).eps * ends * at.extras
        sides = [self._values(at.elsewhere(at.points + side * step), side) for side in (-1.0, 1.0)]
        return [upper - lower for lower, upper in zip(*sides, strict=True)]

    def _values(self, at: Evaluation, side: float) -> list[Tensor]:
        """On one side, what must not jump."""
        chosen = [field for name, field in at.fields.items() if self.unknowns is None or name in self.unknowns]
        values = [field.value for field in chosen]
        for function in self.fluxes:
            found = at.call(function, f"flux of condition {self.name!r}", normal=at.extras, side=side)
            values += list(found) if isinstance(found, (tuple, list)) else [found]
        if self.fluxes:
            return values
        inner = [(k, name) for k, (name, count) in enumerate(zip(at.coordinates, self.grid, strict=True)) if count > 1]
        for field in chosen:
            for order in range(1, self.order + 1):
                across = [at.extras[:, k] * field.d(*[name] * order) for k, name in inner]
                values.append(torch.stack(across).sum(0))
        return values


def _box(domain: Any) -> Box:
    """The box that a domain is."""
    factors = domain.factors if isinstance(domain, Product) else (domain,)
    if not all(isinstance(factor, Box) for factor in factors):
        raise ConfigurationError(
            f"Continuity: domain must be a box, or a product of intervals and boxes, not {domain!r}"
        )
    return Box(domain.coordinates, domain.low, domain.high)


def _faces(box: Box, grid: Sequence[int]) -> Iterator[tuple[Box, str, float]]:
    """For each inner face the part of a box below it, the coordinate that it is a face in, and its value there."""
    for axis, count in enumerate(grid):
        low, side = box.low[axis], box.sides[axis]
        for k in range(1, count):
            high = list(box.high)
            high[axis] = low + side * (k / count)
            yield Box(box.coordinates, box.low, high), box.coordinates[axis], high[axis]
