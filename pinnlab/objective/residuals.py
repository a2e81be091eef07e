"""(problem, network, points) -> residuals. The hinge: the loss, adaptive points and spectra all use it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pinnlab.derivatives import Field, Partials, Wanted, partials, resolve_engine
from pinnlab.domains import Domain
from pinnlab.networks import last_layer
from pinnlab.networks.on_products import Places
from pinnlab.numerics.compiler import Compiler
from pinnlab.numerics.graph_replay import Recordings, evaluator, share_of
from pinnlab.numerics.swapped import call_with
from pinnlab.numerics.torch_version import differentiable_in_inference_mode
from pinnlab.objective.draws import draws_of
from pinnlab.objective.products import Batch, Products, flattened, floats_of
from pinnlab.objective.readings import Readings
from pinnlab.objective.trial_function import Parameters, Trial, beside, device_of
from pinnlab.problems.base import Problem
from pinnlab.problems.conditions import Condition
from pinnlab.problems.enhancement import Enhancement
from pinnlab.problems.evaluation import Evaluation

Network = Callable[[Any], Any] | None
Values = Parameters | None

_GPU_SCORE_BYTES = 256 << 20
"""Of a layer, of which four are there at a time: enough rows to fill a GPU, and 1 GiB of its memory, as the loss."""


def two_points(domain: Domain, like: Tensor) -> Tensor:
    """Two points `(2, d)` in the bounding box at which an engine is tried, with dtype and device of `like`."""
    low, high = (like.new_tensor(corner) for corner in (domain.low, domain.high))
    return torch.stack([0.3 * low + 0.7 * high, 0.6 * low + 0.4 * high])


class ResidualSystem:
    """The residuals of all conditions as pure functions of (parameters, points).

    Args:
        problem: the conditions.
        trial: the trial function; its parameters are the default ones.
        engine: `"taylor"`, `"reverse"` or `"auto"`, see `pinnlab.derivatives.partials`.
        enhancements: derivatives of residuals in the loss, by condition; the others keep their own.

    Attributes:
        enhancements: the derivatives of residuals in the loss, of every condition.
        width: the neurons of every hidden layer that evaluations use, see `set_width`.
        readings: what the problem's functions read beside their arguments.
        products: which batches are functions times places.
    """

    def __init__(
        self,
        problem: Problem,
        trial: Trial,
        engine: str = "auto",
        enhancements: Mapping[str, Enhancement] | None = None,
    ) -> None:
        self.problem, self.trial, self.engine = problem, trial, engine
        self.width: int | None = None
        self.readings = Readings(problem, trial)
        self.products = Products(problem, getattr(trial, "network", trial))
        self._draws = draws_of(trial, problem.wanted.values())
        self._columns = {name: _row_width(condition) for name, condition in problem.conditions.items()}
        self.enhancements = {name: c.enhancement for name, c in problem.conditions.items()} | dict(enhancements or {})
        self._wanted = {name: self.enhancements[name].wanted(plain) for name, plain in problem.wanted.items()}
        self.compile_scores(None)

    def resolve_engine(self) -> None:
        """Turns `"auto"` into the engine that can differentiate this trial function; tries one that was asked for."""
        points = two_points(self.problem.domain, next(self.trial.parameters()))
        asked, draws = (wanted for wanted in self._wanted.values() if wanted), self._draws.columns()
        falls_back = any(
            resolve_engine(self.trial, points, wanted, draws, self.engine) == "reverse" for wanted in asked
        )
        if self.engine == "auto":
            self.engine = "reverse" if falls_back else "taylor"

    @property
    def wanted(self) -> Mapping[str, Wanted]:
        """The derivatives that each condition needs, those of its enhancement included."""
        return self._wanted

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
    def residuals(self, batch: Batch, parameters: Values = None, enhanced: bool = False) -> dict[str, Tensor]:
        """The unreduced residuals of each condition, `(n, number of equations)`.

        Args:
            batch: for each condition its rows `(n, d + k)`: points and extras, see `Condition.rows`. With one column
                more, the points' weights: residuals are multiplied by their roots, so that a mean square is weighted;
                densities of energies by themselves. Or `(functions, places, d + k)`, see `Products`.
            parameters: values to use instead of the trial function's own.
            enhanced: with the derivatives of residuals that are in the loss, as further equations.
        """
        given = beside(self.trial, batch) if parameters is None else batch
        return {
            name: torch.stack(self.condition_residuals(name, rows, parameters, enhanced), -1)
            for name, rows in given.items()
        }

    def unweighted(self, batch: Batch) -> dict[str, Tensor]:
        """The same rows without the weights of their points."""
        return {name: rows[:, : self._columns[name]] for name, rows in batch.items()}

    def squared_sums(self, parameters: Parameters, batch: Batch) -> Tensor:
        """The sum over points and equations of each condition, enhanced, of what `summed` says, `(conditions,)`."""
        return torch.stack([self.summed(*pair) for pair in self.residuals(batch, parameters, enhanced=True).items()])

    def summed(self, name: str, residuals: Tensor) -> Tensor:
        """What the loss has of a condition's residuals: the sum of their squares; of an `Energy` their own sum."""
        return (residuals if self.problem.conditions[name].is_energy else residuals.square()).sum()

    def weighted_loss(self, parameters: Parameters, batch: Batch, factors: Tensor) -> tuple[Tensor, Tensor]:
        """The loss `factors @ squared_sums`, and the squared sums `(conditions,)`, detached."""
        sums = self.squared_sums(parameters, batch)
        return torch.dot(factors, sums), sums.detach()

    def floats_per_row(self) -> dict[str, int]:
        """How many numbers one row of each condition takes in a layer: points, derivative channels and width."""
        used, conditions = self._tensors(), self.problem.conditions
        width = max((used[name].shape[0] for name, p in self.trial.named_parameters() if p.ndim > 1), default=1)
        return {name: width * w.channels * conditions[name].points_per_row for name, w in self._wanted.items()}

    def layers(self) -> int:
        """How many layers of the trial function have channels of their own."""
        return max(sum(p.ndim > 1 for p in self.trial.parameters()), 1)

    def equations(self, batch: Batch) -> dict[str, int]:
        """The number of residuals, enhanced, that each condition has at a point; tried on the first row of each."""
        with torch.no_grad():
            return {name: len(self.condition_residuals(name, rows[:1], None)) for name, rows in batch.items()}

    def compile_scores(self, compiler: Compiler | None, recordings: Recordings | None = None) -> None:
        """Whether `score` is compiled from now on, for the present width and device, and by whom, and replayed.

        50,000 points of a 3x20 network then take 60 ms in place of 140.
        """
        self._sizes: dict[str, Callable[[Parameters, Batch], Tensor]] = {
            name: evaluator(self._norms, compiler, "sizes of residuals", recordings) for name in self.problem.conditions
        }
        self._scored_on, self._gpu_score_bytes = device_of(self.trial), int(share_of(recordings) * _GPU_SCORE_BYTES)
        # A layer of so many rows stays in a core's own cache; uncompiled, more rows at a time have less overhead.
        self._score_bytes = 8_000_000 if compiler is None else 1_500_000

    def score(self, name: str, rows: Tensor, compiled: bool = True) -> Tensor:
        """The size of one condition's residual at each row, `(n,)`: the root of the sum over its equations; in blocks.

        Args:
            name: the condition.
            rows: `(n, d + k)`, see `Condition.rows`; weights beside them are left out of account.
            compiled: whether to compile it, if the run compiles; not worth it for the few times that a figure asks.
        """
        own = self.products.shaped(self.unweighted(beside(self.trial, {name: rows})))[name]
        size = floats_of(own, self.floats_per_row()[name]) * rows.element_size()
        most = self._score_bytes if own.device.type == "cpu" else self._gpu_score_bytes
        length = max(most // size, 256 if own.ndim == 2 else 1)
        tensors = self.trial.tensors()
        parts = own.tensor_split(max(math.ceil(len(own) / length), 1))  # of almost equal lengths: none is short
        size_of = self._sizes[name] if compiled and own.device == self._scored_on else self._norms
        return torch.cat([size_of(tensors, {name: part}) for part in parts])

    def _norms(self, tensors: Parameters, batch: Batch) -> Tensor:
        """The sizes of the residuals of one condition's rows."""
        (residuals,) = self.residuals(batch, tensors).values()
        # Not `norm`, whose axis of length one some compilers keep; and a sum of squares over it costs the same.
        return residuals.square().sum(1).sqrt()

    def trained(self) -> dict[str, torch.Size]:
        """Names and shapes of the parameters that training moves; in this order they make the flat vector `(n,)`."""
        return {name: p.shape for name, p in self.trial.named_parameters() if p.requires_grad}

    def column(self, name: str) -> int:
        """The place of a trained number in the flat vector; of a tensor, that of its first number."""
        names = list(self.trained())
        return sum(shape.numel() for shape in list(self.trained().values())[: names.index(name)])

    def unflatten(self, point: Tensor) -> dict[str, Tensor]:
        """The trained parameters by name, as views of a flat vector `(n,)`."""
        shapes = self.trained()
        parts = point.split([shape.numel() for shape in shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}

    def last_layer(self) -> Tensor:
        """Which numbers of the flat vector `(n,)` belong to the network's last layer, see `networks.last_layer`.

        Raises:
            ConfigurationError: the network has none.
        """
        names = {f"network.{name}" for name in last_layer(self.trial.network)}
        chosen = [torch.full((shape.numel(),), name in names) for name, shape in self.trained().items()]
        return torch.cat(chosen).nonzero()[:, 0]

    def condition_residuals(
        self, name: str, rows: Tensor, parameters: Values, enhanced: bool = True, network: Network = None
    ) -> list[Tensor]:
        """The residual of each equation of one condition, `(n,)` each; a `network` is in place of its own here only."""
        condition, own = self.problem.conditions[name], self._columns[name]
        wanted = (self._wanted if enhanced else self.problem.wanted)[name]
        rows, places = flattened(rows, allowed=self.engine == "taylor" or not wanted)
        points = rows[:, : len(self.problem.coordinates)]

        def equations(points: Tensor, computed: Partials, places: Places = None) -> Sequence[Tensor]:
            return condition.residual(self._evaluation(name, rows, points, computed, parameters, places))

        with self.readings.substituted(parameters):
            computed = self._engine(parameters, places=places, network=network)(points, wanted)
            # In reverse mode by the points: data of functions must not be told of their places, see `flattened`.
            more = self.enhancements[name].rows(equations, points, computed) if enhanced else []
            parts = [*equations(points, computed, places), *more]
        if rows.shape[1] == own:
            return parts
        factor = rows[:, own] if condition.is_energy else rows[:, own].sqrt()
        return [factor * part for part in parts]

    def targets(self, name: str, rows: Tensor) -> dict[str, Tensor]:
        """The prescribed values `(n,)` at one condition's rows, for each unknown that has one."""
        points = rows[:, : len(self.problem.coordinates)]
        computed = self._engine(None)(points, self.problem.wanted[name])
        return self.problem.conditions[name].targets_at(self._evaluation(name, rows, points, computed, None))

    def _evaluation(
        self, name: str, rows: Tensor, points: Tensor, computed: Partials, parameters: Values, places: Places = None
    ) -> Evaluation:
        """What one condition's functions are given at points `(n, d)`, with the extras of its rows."""
        problem, past = self.problem, self.problem.past

        def elsewhere(moved: Tensor, all_times: bool | None = None) -> Evaluation:
            found = self._engine(parameters, all_times=all_times)(moved, problem.wanted[name])
            return self._evaluation(name, rows, moved, found, parameters)

        return Evaluation(
            fields={u: Field(u, problem.coordinates, computed, i) for i, u in enumerate(problem.unknowns)},
            coordinates=problem.coordinates,
            points=points,
            extras=rows[:, len(problem.coordinates) : self._columns[name]],
            coefficients=self.coefficient_values(parameters),
            elsewhere=elsewhere,
            expressions=name in problem.expressive,
            given=problem.given,
            places=places,
            asked=functools.partial(elsewhere, all_times=(past and name in past.conditions) or None),
        )

    def _engine(self, parameters: Values, **options: Any) -> Callable[[Tensor, Wanted], Partials]:
        """Computes derivatives of the trial function, `(points, wanted)`; `options` of `Trial.forward` or None."""
        function, draws = self._function(parameters, options), self._draws.columns(parameters)
        return functools.partial(partials, function, engine=self.engine, draws=draws)

    def coefficient_values(self, parameters: Values = None) -> dict[str, Tensor]:
        """The problem's coefficients as they stand."""
        values = parameters or dict(self.trial.named_parameters())
        coefficients = self.problem.coefficients.items()
        return {name: coefficient.value(values[f"coefficients.{name}"]) for name, coefficient in coefficients}

    def _function(self, parameters: Values, options: Mapping[str, Any]) -> Callable[[Tensor], Tensor]:
        known = {key: value for key, value in options.items() if value is not None}
        if parameters is None and self.width is None:
            return functools.partial(self.trial, **known) if known else self.trial
        values = self._tensors(parameters)
        return lambda points: call_with(self.trial, values, (points,), known)

    def _tensors(self, parameters: Values = None) -> dict[str, Tensor]:
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
