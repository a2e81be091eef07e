"""(problem, network, points) -> residuals. The hinge: the loss, adaptive points and spectra all use it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pinnlab.derivatives import Field, downward_closure, partials, resolve_engine
from pinnlab.problems.base import Problem
from pinnlab.problems.conditions import Condition, Evaluation, call_by_name

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


class ResidualSystem:
    """The residuals of all conditions as pure functions of (parameters, points).

    Args:
        problem: the conditions.
        trial: the trial function; its parameters are the default ones.
        engine: `"taylor"`, `"reverse"` or `"auto"`, see `pinnlab.derivatives.partials`.
    """

    def __init__(self, problem: Problem, trial: Trial, engine: str = "auto") -> None:
        self.problem = problem
        self.trial = trial
        self.engine = engine

    def resolve_engine(self) -> None:
        """Turns `"auto"` into the engine that can differentiate this trial function."""
        if self.engine != "auto":
            return
        parameter = next(self.trial.parameters())
        low = torch.as_tensor(self.problem.domain.low, dtype=parameter.dtype, device=parameter.device)
        high = torch.as_tensor(self.problem.domain.high, dtype=parameter.dtype, device=parameter.device)
        points = torch.stack([0.3 * low + 0.7 * high, 0.6 * low + 0.4 * high])
        asked = (wanted for wanted in self.problem.wanted.values() if wanted)
        falls_back = any(resolve_engine(self.trial, points, wanted) == "reverse" for wanted in asked)
        self.engine = "reverse" if falls_back else "taylor"

    def residuals(self, batch: Batch, parameters: Parameters | None = None) -> dict[str, Tensor]:
        """The unreduced residuals of each condition, `(n, number of equations)`.

        Args:
            batch: for each condition its rows `(n, d + k)`: points and extras, see `Condition.rows`.
            parameters: values to use instead of the trial function's own.
        """
        return {
            name: torch.stack(list(self._residual(self.problem.conditions[name], rows, parameters)), -1)
            for name, rows in batch.items()
        }

    def squared_sums(self, parameters: Parameters, batch: Batch) -> Tensor:
        """The sum of squared residuals of each condition, over points and equations, `(conditions,)`."""
        return torch.stack([r.square().sum() for r in self.residuals(batch, parameters).values()])

    def weighted_loss(self, parameters: Parameters, batch: Batch, factors: Tensor) -> tuple[Tensor, Tensor]:
        """The loss `factors @ squared_sums`, and the squared sums `(conditions,)`, detached."""
        sums = self.squared_sums(parameters, batch)
        return torch.dot(factors, sums), sums.detach()

    def floats_per_point(self) -> dict[str, int]:
        """About how many numbers one point of each condition takes in a layer: derivative channels times width."""
        width = max((p.shape[0] for p in self.trial.parameters() if p.ndim > 1), default=1)
        channels = {
            name: 1 + len(downward_closure(wanted.partials)) + len(set().union(*wanted.laplacians))
            for name, wanted in self.problem.wanted.items()
        }
        return {name: width * count for name, count in channels.items()}

    def score(self, name: str, rows: Tensor, chunk: int = 10_000) -> Tensor:
        """The size of one condition's residual at each row, `(n,)`: the root of the sum over its equations.

        Args:
            name: the condition.
            rows: `(n, d + k)`, see `Condition.rows`.
            chunk: rows at a time, to bound the memory that a large pool takes.
        """
        parts = [self.residuals({name: part})[name].norm(dim=-1) for part in rows.split(chunk)]
        return torch.cat(parts)

    def _residual(self, condition: Condition, rows: Tensor, parameters: Parameters | None) -> Iterable[Tensor]:
        d = len(self.problem.coordinates)
        return condition.residual(self._evaluation(condition, rows[:, :d], rows[:, d:], parameters))

    def _evaluation(
        self, condition: Condition, points: Tensor, extras: Tensor, parameters: Parameters | None
    ) -> Evaluation:
        problem = self.problem
        computed = partials(self._function(parameters), points, problem.wanted[condition.name], self.engine)
        fields = {
            name: Field(name, problem.coordinates, computed, column) for column, name in enumerate(problem.unknowns)
        }
        return Evaluation(
            fields=fields,
            coordinates=problem.coordinates,
            points=points,
            extras=extras,
            coefficients=self.coefficient_values(parameters),
            elsewhere=lambda moved: self._evaluation(condition, moved, extras, parameters),
        )

    def coefficient_values(self, parameters: Parameters | None = None) -> dict[str, Tensor]:
        """The problem's coefficients as they stand."""
        values = parameters or dict(self.trial.named_parameters())
        return {
            name: coefficient.value(values[f"coefficients.{name}"])
            for name, coefficient in self.problem.coefficients.items()
        }

    def _function(self, parameters: Parameters | None) -> Callable[[Tensor], Tensor]:
        if parameters is None:
            return self.trial
        values = dict(parameters)
        return lambda points: functional_call(self.trial, values, (points,))


class BlockedLoss:
    """Evaluates the loss block by block, so that a layer's derivative channels stay in the processor's cache.

    With 100 coordinates and 1,000 points one layer's channels are 50 MB in float64; in blocks of 30 points the same
    loss and gradient take two thirds of the time on a CPU. Small batches are evaluated in one piece.

    Args:
        evaluate: `ResidualSystem.weighted_loss`, compiled or not.
        floats_per_point: numbers that a point of each condition takes in a layer.
        budget: bytes of a block's layer: what stays in a core's own cache. Only what takes more than eight
            times as much is cut: below that one piece is as fast, and threads share it better.
    """

    def __init__(
        self,
        evaluate: Callable[..., tuple[Tensor, Tensor]],
        floats_per_point: Mapping[str, int],
        budget: int = 1_500_000,
    ) -> None:
        self._evaluate, self._floats, self._budget = evaluate, dict(floats_per_point), budget

    def __call__(self, parameters: Parameters, batch: Batch, factors: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted loss and the squared sums of each condition, as `ResidualSystem.weighted_loss`."""
        blocks = {name: self._split(name, rows) for name, rows in batch.items()}
        loss, sums = self._evaluate(parameters, {name: parts[0] for name, parts in blocks.items()}, factors)
        if all(len(parts) == 1 for parts in blocks.values()):
            return loss, sums
        totals = list(sums.unbind())
        for i, (name, parts) in enumerate(blocks.items()):
            for part in parts[1:]:
                more, extra = self._evaluate(parameters, {name: part}, factors[i : i + 1])
                loss, totals[i] = loss + more, totals[i] + extra[0]
        return loss, torch.stack(totals)

    def _split(self, name: str, rows: Tensor) -> tuple[Tensor, ...]:
        size = len(rows) * self._floats[name] * rows.element_size()
        return (rows,) if size <= 8 * self._budget else rows.tensor_split(-(-size // self._budget))
