"""A small subspace minimisation: corrections of blocks, each with the factor that is best together with the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pinnlab.numerics.ordered_sums import add_by_number
from pinnlab.optimizers.flat import FlatObjective
from pinnlab.optimizers.lbfgs import LBFGS


class Place(NamedTuple):
    """A point `(n,)`, and the loss and the gradient `(n,)` there."""

    point: Tensor
    loss: float
    gradient: Tensor


class Corrections(NamedTuple):
    """Moves of blocks, no two of which share a parameter, and the last step in all parameters.

    Attributes:
        moves: `(n,)` those of all blocks.
        change: `(n,)` how each block's own gradient changes over its move alone.
        owner: `(n,)` the number of the block that a parameter is in.
        blocks: how many blocks there are.
        last: the last step `(n,)` and the change of the gradient over it; zeros where there was none.
    """

    moves: Tensor
    change: Tensor
    owner: Tensor
    blocks: int
    last: tuple[Tensor, Tensor]

    def along(self, vector: Tensor) -> Tensor:
        """The products `(blocks + 1,)` of `(n,)` with each move, and with the last step."""
        return torch.cat([self._by_block(self.moves * vector), (self.last[0] @ vector)[None]])

    def combined(self, factors: Tensor) -> Tensor:
        """The sum `(n,)` of all moves and the last step, with factors `(blocks + 1,)`."""
        return (self.moves * factors[self.owner]).add(factors[-1] * self.last[0])

    def curvatures(self, gradient: Tensor) -> Tensor:
        """Those of the loss along each move and the last step, `(blocks + 1,)`, zero where there is no move.

        Args:
            gradient: `(n,)` at the start, of whose slopes the sizes stand in where the loss is not convex.
        """
        found = self._by_block(self.moves * self.change)
        found = torch.where(found > 0, found, self._by_block(self.moves * gradient).abs())
        return torch.cat([found, (self.last[0] @ self.last[1]).clamp(min=0)[None]])

    def _by_block(self, vector: Tensor) -> Tensor:
        return add_by_number(vector.new_zeros(self.blocks), self.owner, vector)


def merge(
    objective: FlatObjective, corrections: Corrections, start: Place, iterations: int, search: Mapping[str, Any]
) -> Place | None:
    """Minimises the loss over a factor for each correction, and one for the last step, from zero; by L-BFGS.

    Factors are scaled by the roots of the curvatures along the corrections, and the loss by the sum of these: for
    blocks that do not see each other the first direction has all factors equal, which in the end are 1.

    Args:
        objective: the loss.
        corrections: what blocks have found.
        start: where they begin.
        iterations: how many.
        search: the options of the line search, see `LBFGS`.

    Returns:
        Where it ends, with a lower loss; None when there is no such place.
    """
    curvatures = corrections.curvatures(start.gradient)
    total = curvatures.sum()
    if not bool(total > 0):
        return None
    scales = torch.where(curvatures > 0, total / curvatures, 0.0).sqrt()
    scaled = torch.zeros_like(scales)
    seen = {tuple(scaled.tolist()): start}

    def closure() -> Tensor:
        key = tuple(scaled.tolist())
        if key not in seen:
            point = start.point + corrections.combined(scales * scaled)
            loss, gradient = objective(point)
            seen[key] = Place(point, float(loss), gradient)
        scaled.grad = scales * corrections.along(seen[key].gradient) / total
        return seen[key].loss / total

    LBFGS([scaled], iterations=iterations, history=iterations, **search).step(closure)
    closure()  # the best place is not always the last one, and was seen
    found = seen[tuple(scaled.tolist())]
    return found if found.loss < start.loss else None
