"""Looks at a run: measures what failure signatures rest on, and changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pinnlab.analysis.frequencies import LaplaceModes, laplace_modes
from pinnlab.analysis.ntk import kernel_spectrum
from pinnlab.analysis.signatures import Bands, CoefficientLook, Look, resolution_ratio
from pinnlab.numerics import distributed
from pinnlab.numerics.outlines import shaken
from pinnlab.optimizers import is_multi_eval
from pinnlab.optimizers.requirements import has_stalled
from pinnlab.problems.base import Problem, known_solution
from pinnlab.problems.coefficients import Coefficient, by_number
from pinnlab.problems.conditions import Dirichlet
from pinnlab.training.exact_linearization import doubled, linearization
from pinnlab.training.trainer_parts import point_store

PROBES = 100
"""Points of each condition at which the Jacobian is taken: they give its norm to some percent."""
_MOST = 20_000_000
"""Numbers of that Jacobian up to which it is taken for its norm alone: a tenth of a second."""
GRID = 4000
"""About how many points the grid has on which an error or a residual is told apart by frequency."""


PARTS = ("held_out", "gradients", "jacobian", "round_off", "bands")
"""What a look consists of; each is a method of `Observer`."""


class Observer:
    """Measures a `PINN` in mid-run or at its start, on its present points.

    Every method is a collective with the same result on every rank, and leaves what training uses as it is. Evaluations
    are not counted among the run's, because others go by those.

    Args:
        module: the `PINN`, with a trainer.
    """

    def __init__(self, module: Any) -> None:
        self._module = module
        self._grid: _Grid | None = None
        self._trained = False

    @torch.no_grad()
    def look(self, step: int, parts: Sequence[str] = PARTS, trained: bool = False) -> Look | None:
        """What signatures rest on; None where there is nothing to see: before the first step, and after a blow-up.

        Args:
            step: optimizer steps made so far.
            parts: which of `PARTS` to measure. In evaluations of the loss with its gradient, `gradients` costs one for
                each condition, the others two together.
            trained: whether held-out residuals are compared with those at the points of the last step, where others
                have taken their place since.
        """
        module, loss = self._module, self._module.current_loss()
        self._trained = trained
        if not module.loss_gradients().batch or not math.isfinite(loss):
            return None
        optimizer = module.current_optimizer()
        measured: dict[str, Any] = {}
        for part in parts:
            measured |= getattr(self, part)()
        return Look(
            step=step,
            evaluations=module.evaluations,
            phase=module.phase + 1,
            optimizer=type(optimizer).__name__,
            version=module.loss_version,
            loss=loss,
            epsilon=torch.finfo(module.dtype).eps,
            stalled=has_stalled(optimizer),
            **measured,
        )

    def held_out(self) -> dict[str, Any]:
        """Mean squares on points never trained (on those that a condition brings), and what they are relative to."""
        module, problem, store = self._module, self._module.problem, point_store(self._module)
        if store is None or not (rows := module.trainer.datamodule.held_out_rows()):
            return {}
        replaced = self._trained and module.objective_version() != module.loss_version
        there = {name: distributed.shard(part) for name, part in store.rows.items()}
        own = module.system.unweighted(module.batch if replaced else there)
        held_out, training = ({k: float(v) for k, v in module.mean_squares(r).items()} for r in (rows, own))
        equations = problem.differential_equations()
        drawn = [name for name in rows if problem.conditions[name].region.unit_dim]
        rounding = self._rounding()
        return {
            "equations": {name: value for name, value in held_out.items() if name in equations},
            "sides": {name: value for name, value in held_out.items() if name not in equations},
            "given": {name: value for name, value in training.items() if problem.conditions[name].region is None},
            "sizes": self._sizes(held_out, rows),
            "ratios": {
                name: resolution_ratio(training[name], held_out[name], module.dtype, rounding.get(name, 0.0))
                for name in drawn
            },
            "points": {name: len(store.rows[name]) for name in drawn},
        }

    def _rounding(self) -> dict[str, float]:
        """For each condition the mean square of what its residual changes by with the last bits of the parameters."""
        system, tensors = self._module.system, self._module.trial.tensors()
        rows = system.unweighted(probed(self._module))
        found, other = system.residuals(rows), system.residuals(rows, shaken(tensors))
        return dict(zip(rows, _mean_squares(found[name] - other[name] for name in rows).tolist(), strict=True))

    def gradients(self) -> dict[str, Any]:
        """How strongly each term pulls, and where to."""
        module = self._module
        found = module.loss_gradients().by_condition().double()
        names = module.problem.conditions
        norms = zip(names, found.norm(dim=1).tolist(), module.loss_weights.tolist(), strict=True)
        return {
            "gradients": {name: norm for name, norm, weight in norms if weight > 0},
            "gradient": float(found.sum(0).norm()),
        }

    def _sizes(self, held_out: Mapping[str, float], rows: Mapping[str, Tensor]) -> dict[str, float]:
        """Violations of prescribed values, relative to the solution in the whole domain."""
        problem = self._module.problem
        inside = next((rows[name] for name in problem.differential_equations() if name in rows), None)
        if inside is None:
            return {}
        values = self._module.trial(inside[:, : len(problem.coordinates)]).double()
        count = distributed.all_sum(values.new_tensor([len(values)]))
        squares = dict(zip(problem.unknowns, distributed.all_sum(values.square().sum(0)) / count, strict=True))
        sizes = {}
        for name, value in held_out.items():
            condition = problem.conditions[name]
            if isinstance(condition, Dirichlet):
                size = sum(float(squares[unknown]) for unknown in condition.names())
                sizes[name] = math.sqrt(value / size) if size > 0 else math.inf
        return sizes

    def jacobian(self) -> dict[str, Any]:
        """What the Jacobian on a few points says of the coefficients, and of what a gradient step can do.

        The second is left out where the Jacobian is large: a run in many windows looks twice in each.
        """
        module = self._module
        coefficients = module.problem.coefficients
        if not coefficients and not is_multi_eval(module.current_optimizer()):
            return {}
        around = linearization(module, probed(module))
        if not coefficients and math.prod(around.shape) > _MOST:
            return {}
        whole = kernel_spectrum(around)
        columns, looks = around.shape[1], {}
        for name, value in by_number(module.system.coefficient_values()).items():
            own, _, number = name.partition(".")
            direction = torch.zeros_like(around.point)
            direction[module.system.column(f"coefficients.{own}") + int(number or 0)] = 1.0
            influence = float(around.times(direction).norm()) / math.sqrt(whole.trace / columns)
            looks[name] = CoefficientLook(value, _room(coefficients[own], value), influence)
        return {"top": whole.top, "coefficients": looks}

    def round_off(self) -> dict[str, Any]:
        """Rounding error of the residuals in float32, relative to them: as float64 shows it."""
        module, system = self._module, self._module.system
        if module.dtype != torch.float32:
            return {}
        rows = probed(module)
        coarse = system.residuals(rows)
        fine = system.residuals(doubled(rows), doubled(module.trial.tensors()))
        squares = _mean_squares(fine[name] for name in rows)
        errors = _mean_squares(coarse[name].double() - fine[name] for name in rows)
        weights = module.loss_weights.double()
        square, error = float(weights @ squares), float(weights @ errors)
        return {"round_off": math.sqrt(error / square)} if square > 0 else {}

    def bands(self) -> dict[str, Any]:
        """By frequency: the error of each unknown, or without a reference the residual of each equation.

        Empty where the evaluation points are no regular grid: in three coordinates and more.
        """
        if self._grid is None:
            self._grid = _Grid.of(self._module.problem)
        grid, module = self._grid, self._module
        if not grid.modes:
            return {}
        if grid.reference is None:
            return {"bands": {name: grid.bands(name, self._residual(name, grid.points)) for name in grid.modes}}
        errors = self._gathered(module.trial, grid.points) - grid.reference
        columns = {name: [module.problem.unknowns.index(name)] for name in grid.modes}
        return {"bands": {name: grid.bands(name, errors[:, i], grid.reference[:, i]) for name, i in columns.items()}}

    def _residual(self, name: str, points: Tensor) -> Tensor:
        system, rows = self._module.system, self._module.problem.conditions[name].rows
        return self._gathered(lambda share: system.residuals({name: rows(share)})[name], points)

    def _gathered(self, function: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
        """A function's values at points, each rank computing its share; in float64 on the CPU."""
        share = distributed.shard(points).to(self._module.device, self._module.dtype)
        return distributed.unshard(function(share), len(points)).to("cpu", torch.float64)


@dataclass(frozen=True)
class _Grid:
    """Where errors are told apart by frequency.

    Attributes:
        points: `(n, d)`.
        reference: `(n, m)` the solution there, if it is known.
        modes: of each unknown, or of the residual of each equation; none if the points are no regular grid.
    """

    points: Tensor
    reference: Tensor | None
    modes: dict[str, LaplaceModes]

    @classmethod
    def of(cls, problem: Problem) -> _Grid:
        """A grid with the ends in it; in three coordinates and more there is none."""
        points = problem.evaluation_points(GRID)
        if points.shape[1] > 2:
            return cls(points, None, {})
        points, reference = known_solution(problem, points)
        if reference is None:
            # Nothing is known of a residual at the boundary: cosines, as for what differs at the ends.
            columns = dict.fromkeys(problem.differential_equations(), points)
        else:
            parts = zip(problem.unknowns, reference.split(1, -1), strict=True)
            columns = {name: part for name, part in parts if bool(part.isfinite().all())}  # known on the whole grid
        modes = {
            name: laplace_modes(points, problem.coordinates, column, linear=False) for name, column in columns.items()
        }
        return cls(points, reference, {name: found for name, found in modes.items() if found is not None})

    def bands(self, name: str, error: Tensor, reference: Tensor | None = None) -> Bands:
        """Mean squares of an error, or of a residual of several equations, `(n, k)`."""
        modes = self.modes[name]
        energies = torch.stack([modes.energies(column) for column in error.unbind(-1)]).sum(0)
        return Bands.of(modes.wave_numbers, energies, None if reference is None else modes.energies(reference[:, 0]))


def probed(module: Any) -> dict[str, Tensor]:
    """This rank's share of at most `PROBES` of each condition's points in the present batch, evenly chosen."""
    return {name: distributed.thin(rows, PROBES) for name, rows in module.loss_gradients().batch.items()}


def _mean_squares(residuals: Iterable[Tensor]) -> Tensor:
    """The mean square of each condition's residuals over the points of all ranks, `(conditions,)`; a collective."""
    sums = [torch.stack([r.double().square().sum(), r.new_tensor(len(r), dtype=torch.float64)]) for r in residuals]
    squares, counts = distributed.all_sum(torch.stack(sums)).unbind(1)
    return squares / counts


def _room(coefficient: Coefficient, value: float) -> float:
    if coefficient.bounds is None:
        return 1.0
    low, high = coefficient.bounds
    share = (value - low) / (high - low)
    return 4 * share * (1 - share)
