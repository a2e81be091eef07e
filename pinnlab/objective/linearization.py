"""The loss around the present parameters as a sum of squares: residual, Jacobian, and products with them."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from pinnlab.numerics import distributed
from pinnlab.numerics.least_squares import CountSketch, triangle
from pinnlab.numerics.linalg import Product, gram, mirror_lower
from pinnlab.numerics.schwarz import SchwarzSweeps
from pinnlab.numerics.staircase import Staircase
from pinnlab.objective import sparse_systems
from pinnlab.objective.linearized_functions import POINT, LinearizedFunctions
from pinnlab.objective.pair_blocks import row_blocks
from pinnlab.objective.residuals import Batch, Parameters
from pinnlab.objective.row_blocks import RowBlocks, shared_products
from pinnlab.samplers.seeding import seed_for

__all__ = ["Linearization", "LinearizedFunctions"]

_TRIANGLES = 4
"""Rows that are reduced to a triangle at a time, in triangles: QR's work is then within a third of the least."""


class Linearization:
    """The loss around the present parameters as a sum of squares: r, J = dr/dtheta, and products with them.

    The loss is r'r. r stacks the residuals of all ranks, rank 0's first; on a rank they are ordered by condition, then
    point, then equation, and those of a condition are multiplied by the root of its factor. theta is the flat vector
    `(n,)` of the trained parameters in the order of `trial.parameters()`. Everything returned is global and the same on
    all ranks: every method is a collective, as is the constructor. J is that of the parameters at the first call.

    Args:
        functions: how to evaluate; kept from step to step, because that is where compiled functions live.
        parameters: every parameter and buffer by name, see `Trial.tensors`.
        batch: this rank's rows of every condition.
        factors: `(conditions,)` weight of each condition over its number of points on all ranks.
        memory: bytes; J is kept if this rank's rows fit into it. Otherwise rows are computed again for every
            matrix, and products with vectors never form them. Default 1 GiB: 3,000 residuals of 40,000 parameters.

    Attributes:
        evaluations: losses, gradients, Jacobians and products with them that needed a pass over the points, so far.
    """

    def __init__(
        self,
        functions: LinearizedFunctions,
        parameters: Parameters,
        batch: Batch,
        factors: Tensor,
        memory: int = 1 << 30,
    ) -> None:
        self._rows: RowBlocks = row_blocks(functions, parameters, batch, factors, memory)
        self._row_scale: Tensor | None = None

    @property
    def evaluations(self) -> int:
        """Passes over the points so far: losses, gradients, Jacobians, and products made without a Jacobian."""
        return self._rows.passes

    @property
    def shape(self) -> tuple[int, int]:
        """Residuals of all ranks, parameters."""
        return sum(self._rows.shares), self._rows.columns

    def row_numbers(self) -> dict[str, Tensor]:
        """Which of the residuals of all ranks are a condition's, as they stand in r; a collective."""
        return self._rows.row_numbers()

    @property
    def point(self) -> Tensor:
        """The flat vector `(n,)` of the parameters that it is around."""
        return self._rows.at(None)[POINT]

    @torch.no_grad()
    def loss(self, point: Tensor | None = None) -> Tensor:
        """The loss at a flat vector `(n,)`, by default at the present parameters; 0-dimensional."""
        rows = self._rows
        rows.count()
        return distributed.all_sum(rows.functions.loss(rows.at(point), rows.batch, rows.factors))

    @torch.no_grad()
    def losses(self, points: Tensor) -> list[float]:
        """The losses at several flat vectors, `(m, n)`."""
        rows = self._rows
        rows.count(len(points))
        own = rows.functions.losses(rows.at(None), points, rows.batch, rows.factors)
        return distributed.all_sum(own).tolist()

    @torch.no_grad()
    def gradient(self, point: Tensor | None = None) -> Tensor:
        """The loss's gradient `(n,)` at a flat vector, by default at the present parameters, where it is 2 J'r."""
        rows = self._rows
        if point is None and rows.values is not None:
            return 2 * distributed.all_sum(rows.transposed_times(rows.values))
        rows.count()
        return distributed.all_sum(rows.functions.gradient(rows.at(point), rows.batch, rows.factors))

    @torch.no_grad()
    def evaluated(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """Loss, sums and gradient as `RowBlocks.evaluated` has them, with one rank; with more of them None."""
        return self._rows.evaluated() if distributed.world_size() == 1 else None

    @torch.no_grad()
    def residual(self, point: Tensor | None = None) -> Tensor:
        """R, `(N,)`, at a flat vector `(n,)`, by default at the present parameters."""
        return self._scaled(distributed.gather(self._rows.residuals(point)))

    @torch.no_grad()
    def gram(self) -> tuple[Tensor, Tensor]:
        """J'J `(n, n)` and J'r `(n,)`."""
        both = distributed.all_sum(self._rows.gram(self._local_scale()))
        return both[:-1], both[-1]

    @torch.no_grad()
    def triangle(self, sketch: int = 0, draw: int = 0, columns: Tensor | None = None) -> Tensor:
        """`(k, n + 1)`: [J r] after orthogonal maps from the left, so with the same Gram matrix and k <= 2 (n + 1).

        Args:
            sketch: when positive and less than N, the rows are first added up in so many random sums (`CountSketch`).
            draw: the number of the random draw.
            columns: the numbers of the n columns of J that are wanted; default: all.
        """
        columns = torch.arange(self._rows.columns) if columns is None else columns
        width = len(columns) + 1
        if 0 < sketch < self.shape[0]:
            sums = self._rows.factors.new_zeros(sketch, width)
            chosen = CountSketch(sketch, self.shape[0], torch.Generator().manual_seed(seed_for("sketch", draw)))
            numbers = self._rows.numbers_in_whole_set()
            for part, both in self._joined(columns):
                chosen.add(both, sums, numbers[part])
            return triangle([distributed.all_sum(sums)], width, sketch)
        own = triangle((both for _, both in self._joined(columns)), width, _TRIANGLES * width)
        whole = distributed.gather(own)
        return own if whole is own else triangle([whole], width, len(whole))

    @torch.no_grad()
    def staircase(self, owner: str, columns: Tensor | None = None) -> Staircase:
        """[J r] of a network of which a point sees a part, such as `Subdomains`, by the entries that are not zero.

        Args:
            owner: what asks for it, for a message.
            columns: the numbers of the columns of J that are wanted; default: all.

        Raises:
            ConfigurationError: the network is none of these, or a condition looks at other points, too.
        """
        return sparse_systems.staircase(self._rows, owner, columns)

    @torch.no_grad()
    def schwarz(self, owner: str, sweeps: int, mode: str) -> SchwarzSweeps:
        """[J r] of such a network for sweeps over its parts, see `sparse_systems.schwarz`; all ranks have all rows."""
        return sparse_systems.schwarz(self._rows, owner, sweeps, mode)

    def last_layer(self) -> Tensor:
        """The numbers of the parameters in theta in which the network's outputs are linear, see `networks.last_layer`.

        Raises:
            ConfigurationError: the network has no last layer.
        """
        return self._rows.functions.system.last_layer().to(self._rows.factors.device)

    def _joined(self, columns: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Which of this rank's residuals, and [J r] of them, after row scaling; at least an empty block."""
        scale, some = self._local_scale(), len(columns) < self._rows.columns
        yield slice(0, 0), self._rows.factors.new_zeros(0, len(columns) + 1)
        for part, values, rows in self._rows.blocks():
            both = torch.cat([rows[:, columns] if some else rows, values[:, None]], 1)
            yield part, both if scale is None else scale[part, None] * both

    @torch.no_grad()
    def kernel(self) -> Tensor:
        """JJ' `(N, N)`, the neural tangent kernel of the scaled residuals (arXiv 2007.14527), exactly symmetric."""
        shares = self._rows.shares
        alone = len(shares) == 1
        strips = self._rows.factors.new_zeros(shares[distributed.rank()], sum(shares))
        for i, (columns, theirs) in enumerate(self._rows.rounds()):
            for j, (part, _, rows) in enumerate(self._rows.blocks()):
                if alone and i == j:
                    strips[part, columns] = gram(rows.T)
                elif not alone or j > i:  # alone, the lower triangle is enough
                    strips[part, columns] = rows @ theirs.T
        matrix = mirror_lower(distributed.gather(strips))
        scale = self._row_scale
        return matrix if scale is None else matrix.mul_(scale[:, None]).mul_(scale)

    @torch.no_grad()
    def trace(self) -> float:
        """The trace of the kernel, which is the sum of all squares in J; needs no matrix."""
        total, scale = self._rows.factors.new_zeros(()), self._local_scale()
        for part, _, rows in self._rows.blocks():
            squares = rows.square().sum(1)
            total += (squares if scale is None else scale[part].square() * squares).sum()
        return float(distributed.all_sum(total))

    @torch.no_grad()
    def times(self, v: Tensor) -> Tensor:
        """J v for `(n,)`, `(N,)`."""
        return self._scaled(distributed.gather(self._rows.times(v)))

    @torch.no_grad()
    def transposed_times(self, u: Tensor) -> Tensor:
        """J'u for `(N,)`, `(n,)`."""
        return distributed.all_sum(self._rows.transposed_times(self._rows.local(self._scaled(u))))

    @torch.no_grad()
    def gram_times(self, v: Tensor) -> Tensor:
        """J'J times `(n,)`, or times each column of `(n, k)`; one pass over the points, whatever k is.

        Where J is not kept, its rows are computed block by block, as they are for a matrix.
        """
        total, scale = torch.zeros_like(v), self._local_scale()
        for part, _, rows in self._rows.blocks():
            if scale is not None:
                rows = scale[part, None] * rows
            total += rows.T @ (rows @ v)
        return distributed.all_sum(total)

    @torch.no_grad()
    def hessian_times(self, v: Tensor) -> Tensor:
        """The Hessian of the loss times `(n,)`, or times each column of `(n, k)`."""
        rows = self._rows
        rows.count(1 if v.ndim == 1 else v.shape[1])
        return distributed.all_sum(rows.functions.hessian_product(rows.at(None), rows.batch, rows.factors, v))

    @torch.no_grad()
    def of_condition(self, name: str) -> Linearization:
        """A view with the residuals of one condition only, also in its loss; what is kept of J serves it, too.

        Raises:
            ConfigurationError: there is no such condition.
        """
        view = copy.copy(self)
        view._rows = self._rows.of_condition(name)
        if self._row_scale is not None:
            view._row_scale = self._row_scale[self.row_numbers()[name]]
        return view

    @torch.no_grad()
    def row_scaled(self) -> Linearization:
        """A view with every row of r and J divided by the norm of its row of J (arXiv 2604.05230).

        Loss, gradient and Hessian stay those of the loss. A residual that no parameter changes becomes zero. Weights of
        conditions and points are factors of a row, so that they cancel.
        """
        parts = [rows.norm(dim=1) for _, _, rows in self._rows.blocks()]
        norms = distributed.gather(torch.cat(parts or [self._rows.factors.new_zeros(0)]))
        view = copy.copy(self)
        view._row_scale = torch.where(norms > 0, 1 / norms, 0)
        return view

    @torch.no_grad()
    def products(self) -> tuple[Product, Product]:
        """`v -> J v` and `u -> J'u` that share one evaluation of r, for many vectors; each call is a collective."""
        times, transposed_times = shared_products(self._rows)
        return (
            lambda v: self._scaled(distributed.gather(times(v))),
            lambda u: distributed.all_sum(transposed_times(self._rows.local(self._scaled(u)))),
        )

    def _local_scale(self) -> Tensor | None:
        """This rank's part of the scale of rows."""
        return None if self._row_scale is None else self._rows.local(self._row_scale)

    def _scaled(self, whole: Tensor) -> Tensor:
        return whole if self._row_scale is None else self._row_scale * whole
