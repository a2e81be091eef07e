"""The trial function: what is trained to satisfy the equations."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pinnlab.domains.functions import on_pairs
from pinnlab.errors import ConfigurationError
from pinnlab.networks.narrowing import narrowed_inside
from pinnlab.networks.on_products import Places
from pinnlab.numerics.torch_version import has_values
from pinnlab.objective.draws import draws_of
from pinnlab.problems.base import Problem
from pinnlab.problems.evaluation import Arguments, asks_for, call_by_name, stacked

Parameters = Mapping[str, Tensor]


def device_of(trial: nn.Module) -> torch.device:
    """Where a trial function is: Lightning brings it to the device of a run, and back to the CPU at its end."""
    return next(trial.parameters(), torch.empty(0)).device


def beside(trial: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The rows of a batch where a trial function is; after a run the points are still where it ran."""
    place = device_of(trial)
    return {name: rows.to(place) for name, rows in batch.items()}


class Trial(nn.Module):
    """The trial function: the network inside the problem's ansatz, and the coefficients beside it.

    All parameters that training moves are here, so that every optimizer sees one flat vector of them.

    Args:
        problem: gives the ansatz and the coefficients.
        network: `(n, d) -> (n, m)`.
        seed: of the draws that estimated Laplacians are computed from.

    Attributes:
        before: the solution in the window of time before, where the ansatz of a `Window` asks for it, by this name, or
            a condition looks at earlier times.
    """

    def __init__(self, problem: Problem, network: nn.Module, seed: int = 0) -> None:
        super().__init__()
        self.network = network
        self.before: Trial | None = problem.before
        self.coefficients = nn.ParameterDict(
            {
                name: nn.Parameter(torch.tensor(c.raw_initial(), dtype=torch.float64))
                for name, c in problem.coefficients.items()
            }
        )
        self.varying = nn.Module()  # buffers for the numbers that change in a run, see `Readings`
        self.draws = draws_of(self, problem.wanted.values())
        self.draws.take(seed=seed)
        self._problem = problem

    def forward(
        self,
        points: Any,
        before: Callable[[Any], Any] | None = None,
        places: Places = None,
        network: Callable[[Any], Any] | None = None,
        all_times: bool = False,
    ) -> Any:
        """The unknowns at `(n, d)` points, `(n, m)`; the points may be a jet.

        Args:
            points: where.
            before: in place of the solution that the ansatz goes on from.
            places: of points that are functions times places, how many, see `OnProducts`, which the network must be.
            network: in place of its own, inside the ansatz.
            all_times: whether at points before the window of time it is the solution there.
        """
        if all_times and self._problem.past is not None:
            return self._at_all_times(points, self._problem.past.column, self._problem.past.low)
        if network is None:
            network = self.network if places is None else functools.partial(self.network, places=places)
        outputs = network(points)
        ansatz = self._problem.ansatz
        if ansatz is None:
            return outputs
        unknowns = {name: outputs[:, i] for i, name in enumerate(self._problem.unknowns)}
        constants = {name: c.value(self.coefficients[name]) for name, c in self._problem.coefficients.items()}
        known = on_pairs(self._problem.given, places)
        given = {name: data(points) for name, data in known.items() if asks_for(ansatz, name)}
        start = self.before if before is None else before
        more = {} if start is None else {"before": start}
        arguments = Arguments({**constants, **given, **unknowns, **more}, self._problem.coordinates, points)
        result = call_by_name(ansatz, arguments, "ansatz")
        values = stacked(result, "ansatz")
        if values.shape[-1] != len(unknowns):
            raise ConfigurationError(
                f"ansatz: must return one tensor for each of {', '.join(unknowns)}, got {values.shape[-1]}"
            )
        return values

    def _at_all_times(self, points: Any, column: int, first: float) -> Any:
        """Of points before the window the solution before, as far back as there are any."""
        own, within = self(points), points[:, column : column + 1] >= first
        if self.before is None:
            return own
        if within.device.type == "cpu" and has_values(within) and bool(within.all()):
            return own  # a GPU would have to be waited for, and what waits cannot be recorded
        return torch.where(within.expand(own.shape), own, self.before(points, all_times=True))

    def tensors(self) -> dict[str, Tensor]:
        """Every parameter and buffer by name: all that a compiled evaluation depends on besides the points."""
        return {**dict(self.named_parameters()), **dict(self.named_buffers())}

    def tensors_apart(self) -> dict[str, Tensor]:
        """The same with copies of the buffers, in which an evaluation leaves its traces."""
        return {**dict(self.named_parameters()), **{name: b.clone() for name, b in self.named_buffers()}}

    def trained(self) -> list[nn.Parameter]:
        """The parameters that training moves: what optimizers are given."""
        return [p for p in self.parameters() if p.requires_grad]

    def narrowed(self, tensors: Parameters, width: int) -> dict[str, Tensor]:
        """The tensors of the trial function with the first `width` neurons of every hidden layer, as slices.

        Raises:
            ConfigurationError: the network cannot be narrowed.
        """
        return narrowed_inside(self.network, "network.", tensors, width)

    def problems(self) -> list[Problem]:
        """Its problem, and those of the solutions in it: before it, or in windows of time."""
        return [module._problem for module in self.modules() if isinstance(module, Trial)]

    def alone(self) -> Trial:
        """A copy on the CPU, without the solution before it, which is then to be given in every call."""
        copied = copy.deepcopy(self, {id(shared): shared for shared in (self._problem, self.before)})
        copied.before = None
        return copied.cpu()

    def frozen(self) -> Trial:
        """A copy that nothing trains: its parameters are buffers of the same names.

        The solution before it, which is frozen, is shared.
        """
        copied = copy.deepcopy(self, {id(shared): shared for shared in (self._problem, self.before)})
        made: dict[Tensor, Tensor] = {}  # what several modules share stays shared
        for module in copied.modules():
            for name, parameter in list(module.named_parameters(recurse=False, remove_duplicate=False)):
                delattr(module, name)
                module.register_buffer(name, made.setdefault(parameter, parameter.detach()))
        return copied

    @torch.no_grad()
    def disconnect(self, width: int) -> None:
        """Zeroes the weights from the neurons beyond the first `width` to those: narrow and whole are then equal.

        The other neurons keep all of their incoming weights, and so have something to say once they are trained.
        """
        own = dict(self.named_parameters())
        for name, kept in self.narrowed(own, width).items():
            if kept.ndim == 2:
                own[name][: kept.shape[0], kept.shape[1] :] = 0.0
