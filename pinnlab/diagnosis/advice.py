"""Which row of the table in docs/how-to-choose.md a set-up is in, and what that row says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from pinnlab.domains import function_spaces
from pinnlab.errors import ConfigurationError
from pinnlab.networks import last_layer
from pinnlab.numerics import distributed
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.problems.base import Problem, known_solution
from pinnlab.training.point_store import probe_rows

SMALL, MEDIUM = 2_000, 10_000
"""Parameters up to which a Jacobian, and a dense matrix of them, are cheap on one core."""
FEW, MANY = 3, 5
"""Coordinates up to which random features are enough, and from which points are too sparse to follow a front."""
SHARP = 5.0
"""The steepest slope over the root-mean-square one of a solution with a layer. Of the shipped references a sine has
1.4, the heat equation 3, KdV 4, Allen-Cahn 6, a front of two dimensions 8, Burgers' shock 12."""
LINEAR = 1e-9
"""How much of the residual may be beside what is linear in the unknowns: round-off."""
POINTS, GRID, PROBES = 2_000, 1e-4, 50

KINDS: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "one coordinate": (
            "`SpectralFeatures` of polynomials, `LeastSquares`; with coefficients `TargetRatioGaussNewton`",
            "`SpectralFeatures` of polynomials, `LeastSquares`; with coefficients `TargetRatioGaussNewton`",
            "`SpectralFeatures` of polynomials, `LeastSquares`; with coefficients `TargetRatioGaussNewton`",
        ),
        "linear, smooth, up to 3 coordinates": (
            "`RandomFeatures`, `LeastSquares`: one solve",
            "`RandomFeatures`, `LeastSquares`: one solve",
            "`RandomFeatures`, `LeastSquares`: one solve",
        ),
        "smooth solution": (
            "`TargetRatioGaussNewton` on fixed points",
            "Adam, then `SSBroyden`",
            "Adam, then `LBFGS`",
        ),
        "sharp layers, fronts": (
            "Adam or `LevenbergMarquardt`, then `EnergyNaturalGradient`, on residual-based points, `every: 1`; "
            "or Adam, then `SSBroyden`, `every: 500`",
            "Adam, then `SSBroyden` on residual-based points",
            "Adam, then `LBFGS` on residual-based points",
        ),
        "many coordinates": (
            "`EnergyNaturalGradient`, `FreshPoints`",
            "`SPRING` on few fresh points",
            "`SPRING`; Adam",
        ),
        "several unknowns": (
            "`TargetRatioGaussNewton` on fixed points; `LevenbergMarquardt` where a corner is singular",
            "Adam, then `SSBroyden`",
            "Adam, then `LBFGS`",
        ),
        "an operator": (
            "Adam, then `EnergyNaturalGradient` or `SSBroyden`",
            "Adam, then `SSBroyden`",
            "Adam, then `LBFGS`",
        ),
        "an energy": (
            "Adam, then `SSBroyden`",
            "Adam, then `SSBroyden`",
            "Adam, then `LBFGS`",
        ),
    }
)
"""What to take with up to `SMALL` parameters, up to `MEDIUM`, and with more; docs/how-to-choose.md has the same."""


@dataclass(frozen=True)
class SetUp:
    """What the choice of an optimizer goes by.

    Attributes:
        parameters: how many are trained.
        coordinates: of the domain, parameters of the problem included.
        unknowns: how many functions are looked for.
        linear: whether all residuals are linear in the unknowns; None where the network has no linear last layer.
        steepness: the largest over the root-mean-square slope of the reference, of the unknown and coordinate where it
            is largest; None without a reference, and where it does not matter: of an operator, in many coordinates.
        energy: whether a term of the loss is no mean square.
        operator: whether a space of functions is among the factors of the domain.
    """

    parameters: int
    coordinates: int
    unknowns: int
    linear: bool | None
    steepness: float | None
    energy: bool
    operator: bool = False

    def kinds(self) -> list[str]:
        """The rows of the table that it is in; sharp may be what is not known."""
        if self.energy:
            return ["an energy"]
        if self.operator:
            return ["an operator"]
        if self.coordinates >= MANY:
            return ["many coordinates"]
        found = ["linear, smooth, up to 3 coordinates"] if self.linear and self.coordinates <= FEW else []
        if self.coordinates == 1:
            found = ["one coordinate"]
        elif self.unknowns > 1:
            found.append("several unknowns")
        sharp = self.steepness is None or self.steepness > SHARP
        if not found and (self.steepness is None or not sharp):
            found.append("smooth solution")
        return [*found, "sharp layers, fronts"] if sharp else found

    def advice(self) -> list[str]:
        """What to take, a line for each of its kinds."""
        size = 0 if self.parameters <= SMALL else 1 if self.parameters <= MEDIUM else 2
        return [
            f"{kind}, {self.parameters:,} parameters: {KINDS[kind][size].replace('`', '')}" for kind in self.kinds()
        ]


@torch.no_grad()
def set_up_of(module: Any) -> SetUp:
    """Looks at what a `PINN` is to solve; a collective.

    Args:
        module: the `PINN`, with a trainer.
    """
    problem = module.problem
    operator = bool(function_spaces(problem.domain))
    return SetUp(
        parameters=sum(p.numel() for p in module.trial.trained()),
        coordinates=len(problem.coordinates),
        unknowns=len(problem.unknowns),
        linear=_is_linear(module.system, problem),
        # With an operator or many coordinates it says nothing, and would ask for the reference once for each of them.
        steepness=None if operator or len(problem.coordinates) > MANY else _steepness(problem),
        energy=bool(problem.energies()),
        operator=operator,
    )


def _is_linear(system: ResidualSystem, problem: Problem) -> bool | None:
    """Whether the residuals r are affine in the network's last layer, in which the unknowns are linear.

    Then r(a) + r(b) - r(0) is r(a + b). An unknown coefficient multiplies what is unknown, and makes any problem
    nonlinear.
    """
    if problem.coefficients:
        return False
    try:
        names = [f"network.{name}" for name in last_layer(system.trial.network)]
    except ConfigurationError:
        return None
    own = system.trial.tensors()
    rows = {
        name: distributed.shard(part).to(own[names[0]]) for name, part in probe_rows(problem, PROBES, seed=0).items()
    }
    generator = torch.Generator().manual_seed(0)
    a, b = ({name: torch.randn(own[name].shape, generator=generator).to(own[name]) for name in names} for _ in range(2))

    def residual(layer: Mapping[str, Tensor]) -> Tensor:
        found = system.residuals(rows, {**own, **layer})
        return torch.cat([part.reshape(-1) for part in found.values()])

    zero = residual({name: torch.zeros_like(own[name]) for name in names})
    both = residual({name: a[name] + b[name] for name in names})
    beside = residual(a) + residual(b) - zero - both
    squares = distributed.all_sum(torch.stack([beside.square().sum(), (both - zero).square().sum()]))
    epsilon = 0.0 if both.dtype == torch.float64 else 1e-4
    return bool(squares[0] <= (LINEAR + epsilon) ** 2 * squares[1])


def _steepness(problem: Problem) -> float | None:
    """The largest slope over the root-mean-square slope of the reference, by differences at the evaluation points."""
    points, values = known_solution(problem, problem.evaluation_points(POINTS))
    if values is None:
        return None
    low, high = problem.domain.low, problem.domain.high
    found = [1.0]
    for k in range(points.shape[1]):
        step = GRID * float(high[k] - low[k])
        moved = points.clone()
        moved[:, k] += torch.where(points[:, k] + step > high[k], -step, step)
        inside = problem.domain.contains(moved)  # a reference need not go on beyond a corner or a hole
        further = problem.reference_values(torch.where(inside[:, None], moved, points))
        assert further is not None, "a reference that is known at the points is known beside them"
        for value, beside in zip(values.T, further.T, strict=True):
            # An unknown may live, or be known, on a part of the domain.
            known = inside & value.isfinite() & beside.isfinite()
            slopes, size = (beside - value)[known].abs(), value[known].abs()
            # Round-off is the slope of an unknown that does not depend on this coordinate.
            if bool(known.any()) and slopes.max() > 1e-9 * size.max():
                found.append(float(slopes.max() / slopes.square().mean().sqrt()))
    return max(found)
