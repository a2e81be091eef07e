"""(problem, network, points) -> residuals. The hinge: the loss, adaptive points and spectra all use it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vjp, vmap

from pinnlab.derivatives import Field, Partials, downward_closure, partials, resolve_engine
from pinnlab.networks.narrowing import narrowed_inside
from pinnlab.numerics.compiled_value import CompiledValue
from pinnlab.numerics.torch_version import differentiable_in_inference_mode
from pinnlab.problems.base import Problem
from pinnlab.problems.conditions import Condition, Evaluation, call_by_name
from pinnlab.problems.enhancement import Enhancement

Parameters = Mapping[str, Tensor]
Batch = Mapping[str, Tensor]


class Trial(nn.Module):
    """The trial function: the network inside the problem's ansatz, and the coefficients beside it.

    All parameters that training moves are here, so that every optimizer sees one flat vector of them.

    Args:
        problem: gives the ansatz and the coefficients.
        network: `(n, d) -> (n, m)`.
    """

    def __init__(self, problem: Problem, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.coefficients = nn.ParameterDict(
            {
                name: nn.Parameter(torch.tensor(c.raw_initial(), dtype=torch.float64))
                for name, c in problem.coefficients.items()
            }
        )
        self._problem = problem

    def forward(self, points: Any) -> Any:
        """The unknowns at `(n, d)` points, `(n, m)`; the points may be a jet."""
        outputs = self.network(points)
        ansatz = self._problem.ansatz
        if ansatz is None:
            return outputs
        columns = {name: points[:, i] for i, name in enumerate(self._problem.coordinates)}
        unknowns = {name: outputs[:, i] for i, name in enumerate(self._problem.unknowns)}
        result = call_by_name(ansatz, {**columns, **unknowns, "points": points}, "ansatz")
        return torch.stack(list(result) if isinstance(result, (tuple, list)) else [result], -1)

    def tensors(self) -> dict[str, Tensor]:
        """Every parameter and buffer by name: all that a compiled evaluation depends on besides the points."""
        return {**dict(self.named_parameters()), **dict(self.named_buffers())}

    def narrowed(self, tensors: Parameters, width: int) -> dict[str, Tensor]:
        """The tensors of the trial function with the first `width` neurons of every hidden layer, as slices.

        Raises:
            ConfigurationError: the network cannot be narrowed.
        """
        return narrowed_inside(self.network, "network.", tensors, width)

    @torch.no_grad()
    def disconnect(self, width: int) -> None:
        """Zeroes the weights from the neurons beyond the first `width` to those: narrow and whole are then equal.

        The other neurons keep all of their incoming weights, and so have something to say once they are trained.
        """
        own = dict(self.named_parameters())
        for name, kept in self.narrowed(own, width).items():
            if kept.ndim == 2:
                own[name][: kept.shape[0], kept.shape[1] :] = 0.0


class ResidualSystem:
    """The residuals of all conditions as pure functions of (parameters, points).

    Args:
        problem: the conditions.
        trial: the trial function; its parameters are the default ones.
        engine: `"taylor"`, `"reverse"` or `"auto"`, see `pinnlab.derivatives.partials`.
        enhancements: derivatives of residuals in the loss, by condition; the others keep their own.

    Attributes:
        width: the neurons of every hidden layer that evaluations use, see `set_width`.
    """

    def __init__(
        self,
        problem: Problem,
        trial: Trial,
        engine: str = "auto",
        enhancements: Mapping[str, Enhancement] | None = None,
    ) -> None:
        self.problem = problem
        self.trial = trial
        self.engine = engine
        self.width: int | None = None
        self._columns = {name: _row_width(condition) for name, condition in problem.conditions.items()}
        self._enhancements = {name: c.enhancement for name, c in problem.conditions.items()} | dict(enhancements or {})
        self._wanted = {name: self._enhancements[name].wanted(plain) for name, plain in problem.wanted.items()}
        self.compile_scores(False)

    def resolve_engine(self) -> None:
        """Turns `"auto"` into the engine that can differentiate this trial function."""
        if self.engine != "auto":
            return
        parameter = next(self.trial.parameters())
        low = torch.as_tensor(self.problem.domain.low, dtype=parameter.dtype, device=parameter.device)
        high = torch.as_tensor(self.problem.domain.high, dtype=parameter.dtype, device=parameter.device)
        points = torch.stack([0.3 * low + 0.7 * high, 0.6 * low + 0.4 * high])
        asked = (wanted for wanted in self._wanted.values() if wanted)
        falls_back = any(resolve_engine(self.trial, points, wanted) == "reverse" for wanted in asked)
        self.engine = "reverse" if falls_back else "taylor"

    def set_width(self, width: int | None) -> bool:
        """Evaluates with the first `width` neurons of every hidden layer from now on; `None` means all.

        Everything that is computed here then costs what the narrow network costs, and gradients with respect to
        the other neurons' parameters are exactly zero. The weights from those neurons to the first ones are set
        to zero, so that the whole trial function equals the narrow one: prediction and checkpoints need not know.

        Returns:
            Whether this is another width than before.

        Raises:
            ConfigurationError: the network cannot be narrowed.
        """
        if width is not None:
            self.trial.disconnect(width)
        changes, self.width = width != self.width, width
        return changes

    @differentiable_in_inference_mode
    def residuals(
        self, batch: Batch, parameters: Parameters | None = None, enhanced: bool = False
    ) -> dict[str, Tensor]:
        """The unreduced residuals of each condition, `(n, number of equations)`.

        Args:
            batch: for each condition its rows `(n, d + k)`: points and extras, see `Condition.rows`. With one column
                more, the points' weights: residuals are multiplied by their roots, so that a mean square is weighted.
            parameters: values to use instead of the trial function's own.
            enhanced: with the derivatives of residuals that are in the loss, as further equations.
        """
        return {
            name: torch.stack(self._residual(self.problem.conditions[name], rows, parameters, enhanced), -1)
            for name, rows in batch.items()
        }

    def unweighted(self, batch: Batch) -> dict[str, Tensor]:
        """The same rows without the weights of their points."""
        return {name: rows[:, : self._columns[name]] for name, rows in batch.items()}

    def squared_sums(self, parameters: Parameters, batch: Batch) -> Tensor:
        """The sum of squared residuals of each condition, over points and equations, enhanced, `(conditions,)`."""
        return torch.stack([r.square().sum() for r in self.residuals(batch, parameters, enhanced=True).values()])

    def weighted_loss(self, parameters: Parameters, batch: Batch, factors: Tensor) -> tuple[Tensor, Tensor]:
        """The loss `factors @ squared_sums`, and the squared sums `(conditions,)`, detached."""
        sums = self.squared_sums(parameters, batch)
        return torch.dot(factors, sums), sums.detach()

    def floats_per_point(self) -> dict[str, int]:
        """About how many numbers one point of each condition takes in a layer: derivative channels times width."""
        used = self._tensors()
        width = max((used[name].shape[0] for name, p in self.trial.named_parameters() if p.ndim > 1), default=1)
        channels = {
            name: 1 + len(downward_closure(wanted.partials)) + len(set().union(*wanted.laplacians))
            for name, wanted in self._wanted.items()
        }
        return {name: width * count for name, count in channels.items()}

    def equations(self, batch: Batch) -> dict[str, int]:
        """The number of residuals, enhanced, that each condition has at a point; tried on the first row of each."""
        with torch.no_grad():
            return {
                name: len(self._residual(self.problem.conditions[name], rows[:1], None)) for name, rows in batch.items()
            }

    def compile_scores(self, compiled: bool) -> None:
        """Whether `score` uses a graph of its own from now on, for the present width.

        It is compiled at its first use, in 2 to 4 s; 50,000 points of a 3x20 network then take 60 ms in place of 140.
        """
        self._sizes: dict[str, Callable[[Parameters, Batch], Tensor]] = {
            name: CompiledValue(self._norms) if compiled else self._norms for name in self.problem.conditions
        }
        # A layer of so many rows stays in a core's own cache; uncompiled, more rows at a time have less overhead.
        self._score_bytes = 1_500_000 if compiled else 8_000_000

    def score(self, name: str, rows: Tensor) -> Tensor:
        """The size of one condition's residual at each row, `(n,)`: the root of the sum over its equations.

        Computed in blocks of rows, which bounds the memory that a large pool takes.

        Args:
            name: the condition.
            rows: `(n, d + k)`, see `Condition.rows`; weights beside them are left out of account.
        """
        own = self.unweighted({name: rows})[name]
        size = self.floats_per_point()[name] * rows.element_size()
        length = max(self._score_bytes // size, 256) if rows.device.type == "cpu" else 10_000
        tensors = self.trial.tensors()
        parts = own.tensor_split(max(math.ceil(len(own) / length), 1))  # of almost equal lengths: none is short
        return torch.cat([self._sizes[name](tensors, {name: part}) for part in parts])

    def _norms(self, tensors: Parameters, batch: Batch) -> Tensor:
        """The sizes of the residuals of one condition's rows."""
        (residuals,) = self.residuals(batch, tensors).values()
        return residuals.norm(dim=-1)

    # ---------------------------------------------------------- derivatives by the parameters

    def trained(self) -> dict[str, torch.Size]:
        """Names and shapes of the parameters that training moves; in this order they make the flat vector `(n,)`."""
        return {name: p.shape for name, p in self.trial.named_parameters() if p.requires_grad}

    def unflatten(self, point: Tensor) -> dict[str, Tensor]:
        """The trained parameters by name, as views of a flat vector `(n,)`."""
        shapes = self.trained()
        parts = point.split([shape.numel() for shape in shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}

    def stacked(self, parameters: Parameters, batch: Batch) -> Tensor:
        """All residuals in one vector `(N,)`, enhanced: by condition, then point, then equation."""
        return torch.cat([r.reshape(-1) for r in self.residuals(batch, parameters, enhanced=True).values()])

    @differentiable_in_inference_mode
    def jacobian_rows(
        self, parameters: Parameters, batch: Batch, scales: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The stacked residuals and their gradients with respect to the trained parameters.

        Each row is a gradient of one point's residual, so all rows cost about as much as one backward pass, where N
        vector-Jacobian products of the whole batch would cost N.

        Args:
            parameters: every parameter and buffer by name, see `Trial.tensors`.
            batch: rows of each condition, at least one of them with any; the others have no part in the result.
            scales: `(conditions,)` factors of each condition's residuals; default ones.

        Returns:
            The residuals `(N,)`, ordered as in `stacked`, and their Jacobian `(N, n)`.
        """
        trained, others = self._split(parameters)
        values, rows = [], []
        for i, (name, points) in enumerate(batch.items()):
            if points.shape[0] == 0:
                continue
            scale = None if scales is None else scales[i]
            per_point = vmap(functools.partial(self._point_rows, name, others, scale), (None, 0))
            value, gradients = per_point(trained, points)
            values.append(value.flatten())
            equations = [torch.cat([_columns(g) for g in by_name.values()], 1) for by_name in gradients]
            # (points, equations, n) -> (points * equations, n); stacking would copy where there is one equation.
            rows.append(equations[0] if len(equations) == 1 else torch.stack(equations, 1).flatten(0, 1))
        return (values[0], rows[0]) if len(rows) == 1 else (torch.cat(values), torch.cat(rows))

    @differentiable_in_inference_mode
    def jvp(self, parameters: Parameters, batch: Batch, vector: Tensor) -> Tensor:
        """The Jacobian of the stacked residuals times a flat vector `(n,)`, `(N,)`, without forming it.

        J v is the gradient of v'(J'u) with respect to any u: reverse mode twice, because torch's forward mode turns
        the number of points into a constant of the graph, which then cannot be compiled for all of them.
        """
        trained, others = self._split(parameters)
        values, pull_back = vjp(lambda own: self.stacked({**others, **own}, batch), trained)[:2]
        push_forward = vjp(lambda dual: pull_back(dual)[0], torch.zeros_like(values))[1]
        return push_forward(self.unflatten(vector))[0]

    @differentiable_in_inference_mode
    def vjp(self, parameters: Parameters, batch: Batch, dual: Tensor) -> Tensor:
        """The transposed Jacobian of the stacked residuals times a vector `(N,)`, `(n,)`, without forming it."""
        trained, others = self._split(parameters)
        pull_back = vjp(lambda own: self.stacked({**others, **own}, batch), trained)[1]
        return _flatten(pull_back(dual)[0])

    @differentiable_in_inference_mode
    def gradient(self, parameters: Parameters, batch: Batch, factors: Tensor) -> Tensor:
        """The gradient `(n,)` of the sum over conditions of factor times squared sum; factors `(conditions,)`."""
        trained, others = self._split(parameters)
        return _flatten(grad(self._weighted)(trained, others, batch, factors))

    @differentiable_in_inference_mode
    def hessian_product(self, parameters: Parameters, batch: Batch, factors: Tensor, vector: Tensor) -> Tensor:
        """The Hessian of the same sum times a flat vector `(n,)`, or times each column of `(n, k)`.

        Reverse over reverse, see `jvp`: about four evaluations of the sum, for each column.
        """
        trained, others = self._split(parameters)
        slope = grad(self._weighted)
        pull_back = vjp(lambda own: slope(own, others, batch, factors), trained)[1]

        def product(v: Tensor) -> Tensor:
            return _flatten(pull_back(self.unflatten(v))[0])

        # Columns are taken a few at a time: the memory is that of an evaluation for each.
        return product(vector) if vector.ndim == 1 else vmap(product, 1, 1, chunk_size=16)(vector)

    def _split(self, parameters: Parameters) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        names = self.trained()
        trained = {name: parameters[name] for name in names}
        return trained, {name: value for name, value in parameters.items() if name not in names}

    def _point_rows(
        self, name: str, others: Parameters, scale: Tensor | None, trained: dict[str, Tensor], row: Tensor
    ) -> tuple[Tensor, list[dict[str, Tensor]]]:
        """One point's residuals `(equations,)` and the gradient of each."""

        def equation(own: dict[str, Tensor], k: int) -> tuple[Tensor, Tensor]:
            parts = self._residual(self.problem.conditions[name], row[None], {**others, **own})
            values = torch.stack([part.sum() for part in parts])
            values = values if scale is None else scale * values
            return values[k], values

        first, values = grad(equation, has_aux=True)(trained, 0)
        return values, [first, *(grad(equation, has_aux=True)(trained, k)[0] for k in range(1, len(values)))]

    def _weighted(self, trained: Parameters, others: Parameters, batch: Batch, factors: Tensor) -> Tensor:
        return torch.dot(factors, self.squared_sums({**others, **trained}, batch))

    # ----------------------------------------------------------------------------- details

    def _residual(
        self, condition: Condition, rows: Tensor, parameters: Parameters | None, enhanced: bool = True
    ) -> list[Tensor]:
        problem, name = self.problem, condition.name
        d, own = len(problem.coordinates), self._columns[name]
        evaluate = functools.partial(partials, self._function(parameters), engine=self.engine)

        def evaluation(points: Tensor, computed: Partials) -> Evaluation:
            return Evaluation(
                fields={u: Field(u, problem.coordinates, computed, i) for i, u in enumerate(problem.unknowns)},
                coordinates=problem.coordinates,
                points=points,
                extras=rows[:, d:own],
                coefficients=self.coefficient_values(parameters),
                elsewhere=lambda moved: evaluation(moved, evaluate(moved, problem.wanted[name])),
            )

        def equations(points: Tensor, computed: Partials) -> Sequence[Tensor]:
            return condition.residual(evaluation(points, computed))

        points = rows[:, :d]
        computed = evaluate(points, (self._wanted if enhanced else problem.wanted)[name])
        more = self._enhancements[name].rows(equations, points, computed) if enhanced else []
        parts = [*equations(points, computed), *more]
        return parts if rows.shape[1] == own else [rows[:, own].sqrt() * part for part in parts]

    def coefficient_values(self, parameters: Parameters | None = None) -> dict[str, Tensor]:
        """The problem's coefficients as they stand."""
        values = parameters or dict(self.trial.named_parameters())
        return {
            name: coefficient.value(values[f"coefficients.{name}"])
            for name, coefficient in self.problem.coefficients.items()
        }

    def _function(self, parameters: Parameters | None) -> Callable[[Tensor], Tensor]:
        if parameters is None and self.width is None:
            return self.trial
        values = self._tensors(parameters)
        return lambda points: functional_call(self.trial, values, (points,))

    def _tensors(self, parameters: Parameters | None = None) -> dict[str, Tensor]:
        """What the trial function is evaluated with: the given values, else its own; slices of them if narrow."""
        if self.width is None:
            return dict(self.trial.tensors() if parameters is None else parameters)
        return self.trial.narrowed({**self.trial.tensors(), **(parameters or {})}, self.width)


def _row_width(condition: Condition) -> int:
    """How many columns a condition's rows have without weights."""
    points = condition.fixed_points()
    if points is None and condition.region is not None:
        points = condition.region.from_unit(torch.full((1, condition.region.unit_dim), 0.5, dtype=torch.float64))
    assert points is not None  # the problem saw to it
    return condition.rows(points).shape[1]


def _flatten(parts: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([part.reshape(-1) for part in parts.values()])


def _columns(gradients: Tensor) -> Tensor:
    """Gradients with respect to one parameter, `(N, ...)`, as columns; a coefficient, of shape `()`, is one."""
    return gradients.flatten(1) if gradients.ndim > 1 else gradients.unsqueeze(1)
