"""The pure functions behind a `Linearization`, compiled or not, and how its rows are cut into blocks."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.func import vmap

from pinnlab.numerics.compilation import outer_products
from pinnlab.numerics.compiler import Compiler
from pinnlab.numerics.graph_replay import Recordings, evaluator, share_of
from pinnlab.numerics.linalg import Product
from pinnlab.numerics.memory import BLOCK_BYTES as _BLOCK_BYTES
from pinnlab.numerics.staircase import SparseRows
from pinnlab.objective import pair_jacobian, parameter_derivatives, sparse_rows
from pinnlab.objective.blocked_loss import blocked, gpu_budget, in_blocks, in_turns
from pinnlab.objective.pair_jacobian import PairJacobian
from pinnlab.objective.products import floats_of
from pinnlab.objective.residuals import Batch, Parameters, ResidualSystem

POINT = "point"
"""The flat vector of the trained parameters among the tensors that the functions depend on."""

_GPU_BLOCK_BYTES = 256 << 20
_WORK_BYTES = 256 << 20
"""On a CPU, of what rows are computed from: more than rows of single points need, less than integrals would take."""
_FEWEST = 64
"""Points in a block at least, whatever they take: starting a block costs the same for one point as for many."""

Evaluate = Callable[..., Any]


class LinearizedFunctions:
    """The pure functions that a `Linearization` needs, compiled when first used, or not at all.

    Functions of a flat vector of the trained parameters, of the trial function's other tensors, and of points.

    Args:
        system: the residuals.
        compiler: of the run; None: nothing is compiled.
        budget: bytes for the points that are taken at a time on a GPU; default: see `gpu_budget`.
        recordings: of the run; None: they are not replayed.
    """

    def __init__(
        self,
        system: ResidualSystem,
        compiler: Compiler | None = None,
        budget: int | None = None,
        recordings: Recordings | None = None,
    ) -> None:
        self.system = system
        self._compiler, self._budget, self._recordings = compiler, budget, recordings
        self._share = share_of(recordings)
        self._made: dict[str, Evaluate] = {}
        self._equations: dict[str, int] = {}
        self._block_lengths: dict[str, int] = {}
        self._is_sparse = False  # as far as `check_sparse` has looked
        self._pairs: dict[tuple[str, int | None], tuple[int, int] | None] = {}

    def equations(self, batch: Batch) -> dict[str, int]:
        """The number of residuals that each condition has at a point."""
        if self._equations.keys() != batch.keys():
            # Counted with the trial function's own parameters, which may be coarser than the rows.
            dtype = next(self.system.trial.parameters()).dtype
            self._equations = self.system.equations({name: rows[:1].to(dtype) for name, rows in batch.items()})
        return self._equations

    def loss(self, tensors: Parameters, batch: Batch, factors: Tensor) -> Tensor:
        """The sum over conditions of factor times squared sum, without a gradient."""

        def evaluate(t: Parameters, b: Batch) -> tuple[Tensor, Tensor]:
            return self.system.weighted_loss(self._parameters(t), b, t["factors"])

        if "loss" not in self._made:
            device = tensors[POINT].device
            pure: Evaluate = evaluator(evaluate, self._compiler, "loss", self._recordings, moved=POINT)

            def weighted(t: Parameters, b: Batch, f: Tensor) -> tuple[Tensor, Tensor]:
                return cast("tuple[Tensor, Tensor]", pure({**t, "factors": f}, b))

            each, layers = self.system.floats_per_row(), self.system.layers()
            self._made["loss"] = blocked(weighted, each, layers, device, self._budget, share=self._share)
        return cast("Tensor", self._made["loss"](tensors, self.system.products.shaped(batch), factors)[0])

    def losses(self, tensors: Parameters, points: Tensor, batch: Batch, factors: Tensor) -> Tensor:
        """The losses `(m,)` at several flat vectors of the trained parameters, `(m, n)`.

        On a GPU that small problems do not fill, all of them in one evaluation.
        """
        each = self.system.floats_per_row()
        size = sum(len(rows) * each[name] for name, rows in batch.items()) * points.element_size()
        if points.device.type == "cpu" or size * len(points) > _GPU_BLOCK_BYTES:
            return torch.stack([self.loss({**tensors, POINT: point}, batch, factors) for point in points])
        return self.losses_at_once(tensors, points, batch, factors)

    def losses_at_once(self, tensors: Parameters, points: Tensor, batch: Batch, factors: Tensor) -> Tensor:
        """The same in one evaluation, wherever."""

        def at(point: Tensor) -> Tensor:
            return self.system.weighted_loss(self._parameters({**tensors, POINT: point}), batch, factors)[0]

        return vmap(at)(points)

    def gradient(self, tensors: Parameters, batch: Batch, factors: Tensor) -> Tensor:
        """See `parameter_derivatives.loss_gradient`."""

        def evaluate(t: Parameters, b: Batch) -> Tensor:
            return parameter_derivatives.loss_gradient(self.system, self._parameters(t), b, t["factors"])

        gradient = self._function("gradient", evaluate)
        parts = (gradient({**tensors, "factors": f}, part) for part, f in self._parts(batch, factors))
        return functools.reduce(torch.add, parts)

    def residuals(self, tensors: Parameters, batch: Batch) -> dict[str, Tensor]:
        """The residuals of each condition, enhanced, as `ResidualSystem.residuals` has them; never compiled."""
        parameters = self._parameters(tensors)

        def evaluated(part: Batch) -> Tensor:
            return self.system.residuals(part, parameters, enhanced=True)[next(iter(part))]

        return {
            name: torch.cat([evaluated({name: rows}) for rows in self._pieces(name, points)])
            for name, points in self.system.products.shaped(batch).items()
        }

    def jacobian_rows(self, tensors: Parameters, batch: Batch, scales: Tensor) -> tuple[Tensor, Tensor]:
        """See `parameter_derivatives.jacobian_rows`."""

        def evaluate(t: Parameters, b: Batch) -> tuple[Tensor, Tensor]:
            return parameter_derivatives.jacobian_rows(self.system, self._parameters(t), b, t["scales"])

        rows = self._function("jacobian_rows", evaluate)
        return cast("tuple[Tensor, Tensor]", rows({**tensors, "scales": scales}, batch))

    def sparse_rows(self, tensors: Parameters, batch: Batch, scales: Tensor) -> SparseRows:
        """See `sparse_rows.sparse_rows`; never compiled."""
        return sparse_rows.sparse_rows(self.system, self._parameters(tensors), batch, scales)

    def check_sparse(self, owner: str, tensors: Parameters, batch: Batch) -> None:
        """See `sparse_rows.check_sparse`; once."""
        if not self._is_sparse:
            sparse_rows.check_sparse(owner, self.system, self._parameters(tensors), batch)
            self._is_sparse = True

    def numbers_at_pairs(self, parameters: Parameters, batch: Batch) -> dict[str, tuple[int, int]] | None:
        """See `pair_jacobian.numbers_at_pairs`, of each condition; None if one of them has none. Looked at once."""
        found = {}
        for name, rows in self.system.products.shaped(batch).items():
            if rows.ndim != 3:
                return None
            key = name, self.system.width
            if key not in self._pairs:
                numbers = pair_jacobian.numbers_at_pairs(self.system, parameters, name, rows[:2, :2])
                self._pairs[key] = numbers
            if (numbers := self._pairs[key]) is None:
                return None
            found[name] = numbers
        return found

    def pair_jacobian(self, tensors: Parameters, name: str, points: Tensor, scale: Tensor) -> PairJacobian:
        """See `pair_jacobian.pair_jacobian`; never compiled."""
        rows = self.system.products.shaped({name: points})[name]
        return pair_jacobian.pair_jacobian(self.system, self._parameters(tensors), name, rows, scale)

    def blocks(self, name: str, points: Tensor, width: int) -> list[tuple[Tensor, int]]:
        """A condition's rows in the blocks whose Jacobians are computed at a time.

        Compiled code for a Jacobian serves one number of points only, so its blocks all have the same, and the last is
        filled up by repeating a point. That number is kept while it neither wastes nor splits up too much.

        Args:
            name: the condition.
            points: its rows, at least one.
            width: how many numbers the Jacobian has for each point.

        Returns:
            Blocks of points, and how many points of each count.
        """
        on_cpu = points.device.type == "cpu"
        memory = _BLOCK_BYTES if on_cpu else self._share * _GPU_BLOCK_BYTES
        made_from = (_WORK_BYTES if on_cpu else self._most(points.device)) / _bytes_per_row(self.system, name, points)
        most = max(_FEWEST, int(min(memory / (width * points.element_size()), made_from)))
        length = -(-len(points) // -(-len(points) // most))
        if self._compiler is None:
            return [(part, len(part)) for part in points.split(length)]
        kept = self._block_lengths.get(name, 0)
        if not length / 4 <= kept <= 2 * length:
            kept = self._block_lengths[name] = length
        parts = list(points.split(kept))
        counts = [len(part) for part in parts]
        parts[-1] = torch.cat([parts[-1], points[-1:].expand(kept - counts[-1], -1)])
        return list(zip(parts, counts, strict=True))

    def jvp(self, tensors: Parameters, batch: Batch, vector: Tensor) -> Tensor:
        """See `parameter_derivatives.jacobian_product`; for one condition."""

        def evaluate(t: Parameters, b: Batch) -> Tensor:
            return parameter_derivatives.jacobian_product(self.system, self._parameters(t), b, t["vector"])

        product = self._function("jvp", evaluate)
        ((name, points),) = self.system.products.shaped(batch).items()
        return torch.cat([product({**tensors, "vector": vector}, {name: p}) for p in self._pieces(name, points)])

    def vjp(self, tensors: Parameters, name: str, points: Tensor, dual: Tensor) -> Tensor:
        """See `parameter_derivatives.transposed_product`; for one condition, the dual as `(points, equations)`."""

        def evaluate(t: Parameters, b: Batch) -> Tensor:
            key, both = next(iter(b.items()))
            width = both.shape[-1] - self._equations[key]
            return parameter_derivatives.transposed_product(
                self.system, self._parameters(t), {key: both[..., :width]}, both[..., width:].reshape(-1)
            )

        # Beside the points, because tensors that must have the same length can only be one input.
        points = self.system.products.shaped({name: points})[name]
        both = torch.cat([points, dual.view(*points.shape[:-1], -1)], -1)
        product = self._function("vjp", evaluate)
        return functools.reduce(torch.add, (product(tensors, {name: p}) for p in self._pieces(name, both)))

    def linear_maps(self, tensors: Parameters, batch: Batch) -> tuple[Product, Product]:
        """See `parameter_derivatives.linear_maps`; for one condition, never compiled."""
        return parameter_derivatives.linear_maps(
            self.system, self._parameters(tensors), self.system.products.shaped(batch)
        )

    def hessian_product(self, tensors: Parameters, batch: Batch, factors: Tensor, vector: Tensor) -> Tensor:
        """See `parameter_derivatives.hessian_product`."""

        def evaluate(t: Parameters, b: Batch) -> Tensor:
            return parameter_derivatives.hessian_product(self.system, self._parameters(t), b, t["factors"], t["vector"])

        parts = (self._hessian_product(evaluate, tensors, *part, vector) for part in self._parts(batch, factors))
        return functools.reduce(torch.add, parts)

    def _hessian_product(
        self, evaluate: Evaluate, tensors: Parameters, batch: Batch, factors: Tensor, vector: Tensor
    ) -> Tensor:
        product = self._function("hessian_product", evaluate)
        given = {**tensors, "factors": factors}
        if vector.ndim == 1 or self._compiler is None:
            return product({**given, "vector": vector}, batch)
        # One compilation for any number of columns; and one column at a time stays in the cache.
        return torch.stack([product({**given, "vector": v}, batch) for v in vector.T], 1)

    def tensors(self, point: Tensor, parameters: Parameters) -> dict[str, Tensor]:
        """What the functions depend on besides points: a flat vector in place of the trained parameters."""
        trained = self.system.trained()
        return {POINT: point, **{name: t.detach() for name, t in parameters.items() if name not in trained}}

    def _pieces(self, name: str, rows: Tensor) -> tuple[Tensor, ...]:
        """A condition's rows in the parts that fit into the budget; on a CPU in one."""
        if rows.device.type == "cpu":
            return (rows,)
        return in_blocks(rows, _bytes_per_row(self.system, name, rows), int(self._most(rows.device)))

    def _most(self, device: torch.device) -> float:
        """Bytes of the rows that are taken at a time."""
        if device.type == "cpu":
            return math.inf
        if self._budget is None:
            self._budget = gpu_budget(device)  # once: what is free changes from call to call, and blocks with it
        return self._share * self._budget

    def _parts(self, batch: Batch, factors: Tensor) -> list[tuple[dict[str, Tensor], Tensor]]:
        """Batches that fit into the budget, with their factors: first parts of conditions, then the others singly."""
        pieces = {name: self._pieces(name, rows) for name, rows in self.system.products.shaped(batch).items()}
        return in_turns(pieces, factors, functools.partial(_bytes_per_row, self.system), self._most(factors.device))

    def _parameters(self, tensors: Parameters) -> dict[str, Tensor]:
        return {**tensors, **self.system.unflatten(tensors[POINT])}

    def _function(self, name: str, function: Evaluate) -> Evaluate:
        if name not in self._made:
            title, how = name.replace("_", " "), dict[str, Any](moved=POINT)
            if name == "jacobian_rows":
                title = "Jacobian"
                how |= {"decompositions": {torch.ops.aten.bmm.default: outer_products}, "any_length": False}
            self._made[name] = evaluator(function, self._compiler, title, self._recordings, **how)
        return self._made[name]


def _bytes_per_row(system: ResidualSystem, name: str, rows: Tensor) -> float:
    """What a row takes: derivatives of gradients keep about twice what a gradient keeps."""
    return 5.0 * system.layers() * floats_of(rows, system.floats_per_row()[name]) * rows.element_size()
