"""Energies: integrals that the solution makes smallest, in place of equations that it satisfies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from pinnlab.domains import Region
from pinnlab.errors import ConfigurationError
from pinnlab.problems.conditions import Condition, normal_of, takes_normals, with_normals
from pinnlab.problems.evaluation import Evaluation


class Energy(Condition):
    """An integral that is to become as small as it can (the deep Ritz method, E and Yu, arXiv 1710.00211).

    Its term of the loss is weight * integral of the density, not of its square; energies of a domain and of its
    boundary add up. The integral is the measure of the region times the mean over the points, so points must be uniform
    in the region. As a density can become small between points, draw them anew often (`FreshPoints`).

    The loss is no sum of squares, and may be negative. So methods that need one refuse a problem with an energy:
    Gauss-Newton methods, rules that weigh conditions or points by their residuals, kernel spectra. First-order and
    quasi-Newton methods take it. A condition beside an energy is a penalty: the minimum breaks it by about 1/weight. So
    let prescribed values hold by an ansatz.

    Args:
        region: where.
        density: takes unknowns, coordinates and coefficients by name, on a boundary the outward unit `normal` `(n, d)`
            as well; returns one `(n,)` tensor.
        weight: the factor in the loss.

    Raises:
        ConfigurationError: the density is no function; in a problem, when it returns anything else.
    """

    is_energy = True

    def __init__(self, region: Region, density: Callable[..., Any], weight: float = 1.0) -> None:
        super().__init__(region, weight)
        if not callable(density):
            raise ConfigurationError(f"Energy: density must be a function, got {type(density).__name__}")
        if region.spread_evenly() is not region:
            raise ConfigurationError(
                f"Energy: an integral is the mean over uniform points, and {region!r} gathers its points; use Ball for "
                "RadialBall, Interval for GradedInterval"
            )
        self.function = density
        self._measure = region.measure
        self.looks_along_normals = takes_normals(region, density)

    def rows(self, points: Tensor) -> Tensor:
        """The points, and where the density asks for them their outward unit normals."""
        return with_normals(self.region, points) if self.looks_along_normals else points

    def residual(self, at: Evaluation) -> Sequence[Tensor]:
        """The density times the region's measure, so that its mean over points is the integral."""
        density = at.call(self.function, f"density {self.name!r}", **normal_of(self, at))
        if not isinstance(density, Tensor):
            raise ConfigurationError(f"condition {self.name!r}: its density must return one tensor of shape (n,)")
        return [self._measure * density]
