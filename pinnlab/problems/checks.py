"""Checks of constructor arguments that several problems share; every message names the key of the recipe."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError, check_positive, check_real, in_short, unknown


def number(key: str, value: float) -> float:
    """Returns the value, or raises a `ConfigurationError` unless it is a finite number."""
    check_real("problem", **{key: value})
    return value


def own_array(values: Any) -> np.ndarray:
    """A copy of measured values, which nobody else writes to; NaN where masked, as gaps of NetCDF files are."""
    if np.ma.is_masked(values):
        return np.asarray(values.astype(np.float64).filled(np.nan))
    found = np.array(values)
    return found.astype(found.dtype.newbyteorder("="), copy=False)  # torch takes no other order


def measured(key: str, values: Any) -> Tensor:
    """A copy of measured values, an array or a list of numbers, as a tensor that nobody else writes to.

    Args:
        key: what to name in an error.
        values: in their own dtype; of a list float64.

    Raises:
        ConfigurationError: they are no real numbers.
    """
    try:
        found = values.detach().clone() if isinstance(values, Tensor) else torch.from_numpy(own_array(values))
    except (RuntimeError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{key} must be an array of numbers, got {type(values).__name__}") from error
    if found.is_complex():
        raise ConfigurationError(f"{key} is complex; give real and imaginary parts as two unknowns")
    return found


def unchanged(problem: str, conditions: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuses conditions that came, went or were replaced since their problem was built: nothing is known of them.

    Args:
        problem: its name.
        conditions: as they are now.
        wanted: what was found of each when the problem was built.

    Raises:
        ConfigurationError: there is such a condition.
    """
    known = {name for name in wanted if name in conditions and conditions[name].name == name}
    if changed := sorted({*conditions, *wanted} - known):
        raise ConfigurationError(
            f"problem {problem}: condition {changed[0]!r} was changed after Problem.__init__, which needs all of "
            "them; build a problem with those that hold"
        )


def finite(key: str, value: Any) -> Any:
    """Returns a number, or an array of numbers, unless one is not finite.

    Args:
        key: what to name in an error.
        value: that must be finite throughout.

    Raises:
        ConfigurationError: it is not; names the first bad number and its row.
    """
    try:
        numbers = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigurationError(f"{key}: must be a finite number, got {in_short(value)}") from None
    bad = (~numbers.isfinite()).nonzero()
    if len(bad):
        first = numbers[tuple(bad[0])].item()
        if numbers.ndim == 0:
            raise ConfigurationError(f"{key}: must be finite, got {first}")
        raise ConfigurationError(f"{key} holds {first} in row {int(bad[0, 0])}; all must be finite, drop such rows")
    return value


def positive(key: str, value: float) -> float:
    """Returns the value, or raises a `ConfigurationError` unless it is a finite number above 0."""
    check_positive("problem", **{key: value})
    return value


def non_negative(key: str, value: float) -> float:
    """Returns the value, or raises a `ConfigurationError` unless it is a finite number, 0 or above."""
    if number(key, value) < 0:
        raise ConfigurationError(f"problem.{key}: must not be negative, got {in_short(value)}")
    return value


def integer(key: str, value: int, most: int | None = None, least: int = 1) -> int:
    """Returns the value, or raises a `ConfigurationError` unless it is an integer from `least` to `most`.

    Wave numbers are integers, because only then sin(k pi x) vanishes at both ends of the unit interval.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least or (most and value > most):
        limits = f"from {least} to {most}" if most else f">= {least}"
        raise ConfigurationError(f"problem.{key}: must be an integer {limits}, got {in_short(value)}")
    return value


def sample(value: int | None, dim: int) -> int | None:
    """Returns the value, or raises a `ConfigurationError` unless it is None or an integer from 1 to the dimension."""
    return None if value is None else integer("sample", value, most=dim)


def choice(key: str, value: str, choices: Sequence[str]) -> str:
    """Returns the value, or raises a `ConfigurationError` unless it is one of the choices."""
    if value not in choices:
        raise unknown(f"value of problem.{key}:", str(value), choices)
    return value


def without_arguments(key: str, method: Callable[..., Any]) -> None:
    """Refuses a method `reference` that wants to be called at points."""
    wanted = [p for p in inspect.signature(method).parameters.values() if p.default is p.empty]
    names = [p.name for p in wanted if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if names:
        raise ConfigurationError(f"{key}: takes no {names[0]}; write def reference(self): return Exact(lambda x: ...)")
