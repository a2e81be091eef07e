"""Measured data: what unknowns, and expressions of them, were at given points, and how exactly that is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError, unknown
from pinnlab.numerics.tables import read_columns
from pinnlab.problems.checks import finite, measured
from pinnlab.problems.conditions import Condition
from pinnlab.problems.evaluation import Evaluation

Sigma = Any
"""A number, one for each point, or such by the measurements' names."""


class Observations(Condition):
    """Data: unknowns, or expressions of them, were measured at given points.

    The residual is (u - measured) / sigma. So with the measurements' standard deviation for sigma its mean square is
    about 1 where the solution agrees with them as well as their noise allows, and exact measurements weigh more than
    rough ones, in proportion to 1 / sigma^2.

    Args:
        points: `(n, d)` where.
        weight: the factor in the loss.
        sigma: the standard deviation of the measurements' noise: a number, `(n,)` for each point, or a mapping by name
            of such, for those that have one; 1 by default, which leaves the weight to `weight`.
        **values: `(n,)` measured values for each unknown; for an expression its function and the values, as
            `flux=(lambda u: u.x, values)`.

    Raises:
        ConfigurationError: an array does not fit the points or is not finite, or a sigma is not positive.
    """

    by_name = "; measured values have the name of their unknown, as u=values"

    def __init__(self, points: Any, weight: float = 1.0, sigma: Sigma = 1.0, **values: Any) -> None:
        super().__init__(None, weight)
        if not values:
            raise ConfigurationError("Observations: name at least one unknown, for example u=values")
        self.points = measured("Observations: points", points).to(torch.float64)
        if self.points.ndim != 2 or len(self.points) == 0:
            column = "; of one coordinate they are points[:, None]" if self.points.ndim == 1 else ""
            shape = tuple(self.points.shape)
            raise ConfigurationError(f"Observations: points must be (n, d) with n > 0, not {shape}{column}")
        finite("Observations: points", self.points)
        self.functions: dict[str, Callable[..., Any]] = {}
        self.targets: dict[str, Tensor] = {}
        for name, value in values.items():
            if _is_pair(value):
                self.functions[name], value = value
            self.targets[name] = self._values(name, value)
        self.sigmas = self._deviations(sigma)

    @classmethod
    def read(
        cls, path: str | Path, coordinates: Sequence[str], weight: float = 1.0, sigma: Sigma = 1.0, **columns: Any
    ) -> Observations:
        """Measurements of a CSV file whose first line names its columns.

        Args:
            path: the file.
            coordinates: the columns of the points, in the order of the problem's coordinates.
            weight: the factor in the loss.
            sigma: as above; in place of numbers it may be the name of a column.
            **columns: for each unknown the column of its values, as `u="temperature"`; for an expression its function
                and the column, as `flux=(lambda u: u.x, "flow")`.

        Raises:
            ConfigurationError: there is no such file or column, or a field is not a number.
        """
        named = [coordinates] if isinstance(coordinates, str) else list(coordinates)
        sigmas = dict(sigma) if isinstance(sigma, Mapping) else dict.fromkeys(columns, sigma)
        for name, given in columns.items():
            if not isinstance(given[1] if _is_pair(given) else given, str):
                raise ConfigurationError(f"Observations: {name} must be the name of a column, or (function, name)")
        measured = [given[1] if _is_pair(given) else given for given in columns.values()]
        wanted = [*named, *measured, *(given for given in sigmas.values() if isinstance(given, str))]
        rows = read_columns(path, wanted)
        found = dict(zip(wanted, rows.T, strict=True))
        return cls(
            rows[:, : len(named)],
            weight,
            {name: found[given] if isinstance(given, str) else given for name, given in sigmas.items()},
            **{name: (g[0], found[g[1]]) if _is_pair(g) else found[g] for name, g in columns.items()},
        )

    def _values(self, name: str, value: Any) -> Tensor:
        if callable(value):
            raise ConfigurationError(f"Observations: {name} must be measured values, or (function, values)")
        found = measured(f"Observations: {name}", value)
        if found.shape != (len(self.points),):
            raise ConfigurationError(
                f"Observations: {name} must have one value for each of the {len(self.points)} points, "
                f"({len(self.points)},), got {tuple(found.shape)}"
            )
        return finite(f"Observations: {name}", found)

    def _deviations(self, sigma: Sigma) -> dict[str, Tensor]:
        """Those that are not 1, by the measurement's name: a number or `(n,)`."""
        given = dict(sigma) if isinstance(sigma, Mapping) else dict.fromkeys(self.targets, sigma)
        found = {}
        for name, value in given.items():
            if name not in self.targets:
                raise unknown("measurement in sigma of Observations", str(name), self.targets)
            key = f"Observations: sigma of {name}"
            deviation = finite(key, measured(key, value)).double()
            fits = deviation.shape in ((), (len(self.points),))
            if not fits or bool((deviation <= 0).any()):
                got = deviation.min().item() if fits else f"the shape {tuple(deviation.shape)}"
                raise ConfigurationError(
                    f"{key} must be a positive number, or {len(self.points)} of them, ({len(self.points)},), got {got}"
                )
            if deviation.ndim or deviation != 1:
                found[name] = deviation
        return found

    def names(self) -> Sequence[str]:
        """The unknowns that were measured themselves."""
        return tuple(name for name in self.targets if name not in self.functions)

    def fixed_points(self) -> Tensor:
        """The points of the data."""
        return self.points

    def rows(self, points: Tensor) -> Tensor:
        """The points, the measured values, and the standard deviations that are not 1."""
        columns = [*self.targets.values(), *self.sigmas.values()]
        return torch.cat([points, torch.stack([c.to(points).expand(len(points)) for c in columns], -1)], -1)

    def targets_at(self, at: Evaluation) -> dict[str, Tensor]:
        """The measured values."""
        return {name: at.extras[:, i] for i, name in enumerate(self.targets)}

    def residual(self, at: Evaluation) -> Sequence[Tensor]:
        """What was measured minus the measured value, over the standard deviation."""
        deviations = {name: at.extras[:, len(self.targets) + i] for i, name in enumerate(self.sigmas)}
        differences = {name: self._modelled(name, at) - value for name, value in self.targets_at(at).items()}
        return [value / deviations[name] if name in deviations else value for name, value in differences.items()]

    def _modelled(self, name: str, at: Evaluation) -> Tensor:
        if name not in self.functions:
            return at.fields[name].value
        result = at.call(self.functions[name], f"{name} of condition {self.name!r}")
        if not isinstance(result, Tensor) or result.shape != (len(at.points),):
            raise ConfigurationError(
                f"condition {self.name!r}: {name} must be a tensor (n,), one number for each point"
            )
        return result


def _is_pair(value: Any) -> bool:
    """Whether an expression was measured: its function stands before what was measured."""
    return isinstance(value, (tuple, list)) and len(value) == 2 and callable(value[0])
