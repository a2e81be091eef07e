"""The loss around the present parameters as a sum of squares: residual, Jacobian, and products with them."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from pinnlab.errors import unknown
from pinnlab.numerics import distributed
from pinnlab.numerics.linalg import gram, mirror_lower
from pinnlab.objective.linearized_functions import POINT, LinearizedFunctions
from pinnlab.objective.residuals import Batch, Parameters

__all__ = ["Linearization", "LinearizedFunctions"]


class Linearization:
    """The loss around the present parameters as a sum of squares: r, J = dr/dtheta, and products with them.

    The loss is r'r. r stacks the residuals of all ranks, rank 0's first; on a rank they are ordered by condition, then
    point, then equation, and those of a condition are multiplied by the root of its factor. theta is the flat vector
    `(n,)` of the trained parameters in the order of `trial.parameters()`.

    Everything returned is global and the same on all ranks: every method is a collective, and so is the constructor.
    J is that of the parameters at the first call: make all products before the parameters move.

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
        self._functions, self._parameters, self._batch = functions, parameters, dict(batch)
        self._factors, self._roots = factors.detach(), factors.detach().sqrt()
        self._columns = sum(shape.numel() for shape in functions.system.trained().values())
        self._equations = functions.equations(batch)
        self._lengths = {name: len(points) * self._equations[name] for name, points in batch.items()}
        own = sum(self._lengths.values())
        self._shares = distributed.gather(torch.tensor([own], device=factors.device)).tolist()
        self._keeps = max(self._shares) * self._columns * factors.element_size() <= memory
        self._kept: list[Tensor] | None = None
        self._values: Tensor | None = None
        self._tensors: dict[str, Tensor] | None = None
        self._passes = [0]  # shared with the row-scaled view
        self._row_scale: Tensor | None = None

    @property
    def evaluations(self) -> int:
        """Passes over the points so far: losses, gradients, Jacobians, and products made without a Jacobian."""
        return self._passes[0]

    @property
    def shape(self) -> tuple[int, int]:
        """Residuals of all ranks, parameters."""
        return sum(self._shares), self._columns

    def row_numbers(self) -> dict[str, Tensor]:
        """Which of the residuals of all ranks are a condition's, as they stand in r; a collective."""
        own = torch.tensor([list(self._lengths.values())], device=self._factors.device)
        lengths = distributed.gather(own).flatten().tolist()
        parts = torch.arange(sum(lengths), device=own.device).split(lengths)
        return {name: torch.cat(parts[i :: len(self._lengths)]) for i, name in enumerate(self._lengths)}

    @property
    def point(self) -> Tensor:
        """The flat vector `(n,)` of the parameters that it is around."""
        return self._at(None)[POINT]

    @torch.no_grad()
    def loss(self, point: Tensor | None = None) -> Tensor:
        """The loss at a flat vector `(n,)`, by default at the present parameters; 0-dimensional."""
        self._passes[0] += 1
        return distributed.all_sum(self._functions.loss(self._at(point), self._batch, self._factors))

    @torch.no_grad()
    def gradient(self, point: Tensor | None = None) -> Tensor:
        """The loss's gradient `(n,)` at a flat vector, by default at the present parameters, where it is 2 J'r."""
        if point is None and self._kept is not None and self._values is not None:
            return 2 * distributed.all_sum(self._local_transposed(self._values))
        self._passes[0] += 1
        return distributed.all_sum(self._functions.gradient(self._at(point), self._batch, self._factors))

    @torch.no_grad()
    def residual(self, point: Tensor | None = None) -> Tensor:
        """R, `(N,)`, at a flat vector `(n,)`, by default at the present parameters."""
        if point is not None:
            return self._scaled(distributed.gather(self._residuals(point)))
        if self._values is None and self._keeps:
            self._keep()
        if self._values is None:
            self._values = self._residuals(None)
        return self._scaled(distributed.gather(self._values))

    @torch.no_grad()
    def gram(self) -> tuple[Tensor, Tensor]:
        """J'J `(n, n)` and J'r `(n,)`."""
        n = self._columns
        both = self._factors.new_zeros(n + 1, n)
        scale = self._local(self._row_scale)
        for part, values, rows in self._blocks():
            if scale is not None:
                values, rows = scale[part] * values, scale[part, None] * rows
            gram(rows, both[:n])
            both[n].addmv_(rows.T, values)
        both = distributed.all_sum(both)
        return both[:n], both[n]

    @torch.no_grad()
    def kernel(self) -> Tensor:
        """JJ' `(N, N)`, the neural tangent kernel of the scaled residuals (arXiv 2007.14527), exactly symmetric."""
        alone = len(self._shares) == 1
        strips = self._factors.new_zeros(self._shares[distributed.rank()], sum(self._shares))
        for i, (columns, theirs) in enumerate(self._rounds()):
            for j, (part, _, rows) in enumerate(self._blocks()):
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
        total, scale = self._factors.new_zeros(()), self._local(self._row_scale)
        for part, _, rows in self._blocks():
            squares = rows.square().sum(1)
            total += (squares if scale is None else scale[part].square() * squares).sum()
        return float(distributed.all_sum(total))

    @torch.no_grad()
    def times(self, v: Tensor) -> Tensor:
        """J v for `(n,)`, `(N,)`."""
        if self._keeps:
            own = torch.cat([rows @ v for _, _, rows in self._blocks()] or [v.new_zeros(0)])
        else:
            self._passes[0] += 1
            parts = [
                self._roots[i] * self._functions.jvp(self._at(None), {name: points}, v)
                for i, name, points in self._conditions()
            ]
            own = torch.cat(parts or [v.new_zeros(0)])
        return self._scaled(distributed.gather(own))

    @torch.no_grad()
    def transposed_times(self, u: Tensor) -> Tensor:
        """J'u for `(N,)`, `(n,)`."""
        own = self._local(self._scaled(u))
        assert own is not None
        return distributed.all_sum(self._local_transposed(own))

    @torch.no_grad()
    def gram_times(self, v: Tensor) -> Tensor:
        """J'J times `(n,)`, or times each column of `(n, k)`; one pass over the points, whatever k is.

        Where J is not kept, its rows are computed block by block, as they are for a matrix.
        """
        total, scale = torch.zeros_like(v), self._local(self._row_scale)
        for part, _, rows in self._blocks():
            if scale is not None:
                rows = scale[part, None] * rows
            total += rows.T @ (rows @ v)
        return distributed.all_sum(total)

    @torch.no_grad()
    def hessian_times(self, v: Tensor) -> Tensor:
        """The Hessian of the loss times `(n,)`, or times each column of `(n, k)`."""
        self._passes[0] += 1 if v.ndim == 1 else v.shape[1]
        return distributed.all_sum(self._functions.hessian_product(self._at(None), self._batch, self._factors, v))

    @torch.no_grad()
    def of_condition(self, name: str) -> Linearization:
        """A view with the residuals of one condition only, also in its loss; what is kept of J serves it, too.

        Raises:
            ConfigurationError: there is no such condition.
        """
        if name not in self._batch:
            raise unknown("condition", name, self._batch)
        if self._keeps and self._kept is None:
            self._keep()
        self._at(None)  # the view must not look at parameters that have moved since
        view, i = copy.copy(self), list(self._batch).index(name)
        own = [piece[2] == name for piece in self._pieces()]
        before = sum(list(self._lengths.values())[:i])
        view._batch, view._lengths = {name: self._batch[name]}, {name: self._lengths[name]}
        view._factors, view._roots = self._factors[i : i + 1], self._roots[i : i + 1]
        lengths = torch.tensor([self._lengths[name]], device=self._factors.device)
        view._shares = distributed.gather(lengths).tolist()
        if self._kept is not None and self._values is not None:
            view._kept = [rows for rows, mine in zip(self._kept, own, strict=True) if mine]
            view._values = self._values[before : before + self._lengths[name]]
        if self._row_scale is not None:
            view._row_scale = self._row_scale[self.row_numbers()[name]]
        return view

    @torch.no_grad()
    def row_scaled(self) -> Linearization:
        """A view with every row of r and J divided by the norm of its row of J (arXiv 2604.05230).

        Loss, gradient and Hessian stay those of the loss. A residual that no parameter changes becomes zero. Weights of
        conditions and points are factors of a row, so that they cancel.
        """
        parts = [rows.norm(dim=1) for _, _, rows in self._blocks()]
        norms = distributed.gather(torch.cat(parts or [self._factors.new_zeros(0)]))
        view = copy.copy(self)
        view._row_scale = torch.where(norms > 0, 1 / norms, 0)
        return view

    # ----------------------------------------------------------------------------- details

    def _at(self, point: Tensor | None) -> dict[str, Tensor]:
        """The tensors at a flat vector; None stands for the parameters at the first call."""
        if self._tensors is None:
            trained = self._functions.system.trained()
            own = torch.cat([self._parameters[name].detach().reshape(-1) for name in trained])
            self._tensors = self._functions.tensors(own, self._parameters)
        return self._tensors if point is None else {**self._tensors, POINT: point}

    def _residuals(self, point: Tensor | None) -> Tensor:
        """This rank's residuals at a flat vector."""
        self._passes[0] += 1
        system, tensors = self._functions.system, self._at(point)
        parameters = {**tensors, **system.unflatten(tensors[POINT])}
        residuals = system.residuals(self._batch, parameters, enhanced=True)
        return torch.cat([root * r.reshape(-1) for root, r in zip(self._roots, residuals.values(), strict=True)])

    def _conditions(self) -> Iterator[tuple[int, str, Tensor]]:
        """Number, name and rows of the conditions that have any on this rank."""
        return ((i, *item) for i, item in enumerate(self._batch.items()) if len(item[1]))

    def _pieces(self) -> list[tuple[slice, int, str, Tensor]]:
        """Blocks of points: which residuals of this rank they make, condition's number and name, rows."""
        pieces, start = [], 0
        for i, name, points in self._conditions():
            each = self._equations[name]
            for part, count in self._functions.blocks(name, points, each * self._columns):
                pieces.append((slice(start, start + count * each), i, name, part))
                start += count * each
        return pieces

    def _blocks(self) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """This rank's residuals and rows in blocks: kept ones, or computed as they are asked for."""
        if self._keeps and self._kept is None:
            self._keep()
        if self._kept is not None and self._values is not None:
            pieces = self._pieces()
            for (part, *_), rows in zip(pieces, self._kept, strict=True):
                yield part, self._values[part], rows
            return
        self._passes[0] += 1
        for piece in self._pieces():
            yield piece[0], *self._rows(*piece)

    def _keep(self) -> None:
        self._passes[0] += 1
        made = [self._rows(*piece) for piece in self._pieces()]
        self._values = torch.cat([values for values, _ in made] or [self._factors.new_zeros(0)])
        self._kept = [rows for _, rows in made]

    def _rows(self, part: slice, i: int, name: str, points: Tensor) -> tuple[Tensor, Tensor]:
        values, rows = self._functions.jacobian_rows(self._at(None), {name: points}, self._roots[i : i + 1])
        count = part.stop - part.start  # the rest belongs to points that only fill up the block
        return values[:count], rows[:count]

    def _rounds(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All ranks' rows, one block of each rank at a time, with the numbers of these residuals."""
        device = self._factors.device
        first = sum(self._shares[: distributed.rank()])
        rounds = distributed.gather(torch.tensor([len(self._pieces())], device=device)).max()
        blocks = self._blocks()
        for _ in range(int(rounds)):
            part, _, rows = next(blocks, (slice(0, 0), None, self._factors.new_zeros(0, self._columns)))
            columns = torch.arange(first + part.start, first + part.stop, device=device)
            yield distributed.gather(columns), distributed.gather(rows)

    def _local_transposed(self, own: Tensor) -> Tensor:
        """This rank's part of J'u, from this rank's part of u."""
        total = own.new_zeros(self._columns)
        if self._keeps:
            for part, _, rows in self._blocks():
                total.addmv_(rows.T, own[part])
            return total
        self._passes[0] += 1
        start = 0
        for i, name, points in self._conditions():
            dual = self._roots[i] * own[start : start + self._lengths[name]].view(len(points), -1)
            total += self._functions.vjp(self._at(None), name, points, dual)
            start += self._lengths[name]
        return total

    def _local(self, whole: Tensor | None) -> Tensor | None:
        if whole is None:
            return None
        first = sum(self._shares[: distributed.rank()])
        return whole[first : first + self._shares[distributed.rank()]]

    def _scaled(self, whole: Tensor) -> Tensor:
        return whole if self._row_scale is None else self._row_scale * whole
