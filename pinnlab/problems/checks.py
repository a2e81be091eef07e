"""Checks of constructor arguments that several problems share; every message names the key of the recipe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real

from pinnlab.errors import ConfigurationError, unknown


def number(key: str, value: float) -> float:
    """Returns the value, or raises a `ConfigurationError` unless it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ConfigurationError(f"problem.{key}: must be a finite number, got {value!r}")
    return value


def positive(key: str, value: float) -> float:
    """Returns the value, or raises a `ConfigurationError` unless it is a finite number above 0."""
    if number(key, value) <= 0:
        raise ConfigurationError(f"problem.{key}: must be positive, got {value!r}")
    return value


def non_negative(key: str, value: float) -> float:
    """Returns the value, or raises a `ConfigurationError` unless it is a finite number, 0 or above."""
    if number(key, value) < 0:
        raise ConfigurationError(f"problem.{key}: must not be negative, got {value!r}")
    return value


def integer(key: str, value: int, most: int | None = None) -> int:
    """Returns the value, or raises a `ConfigurationError` unless it is an integer from 1 to `most`.

    Wave numbers are integers, because only then sin(k pi x) vanishes at both ends of the unit interval.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1 or (most and value > most):
        limits = f"from 1 to {most}" if most else ">= 1"
        raise ConfigurationError(f"problem.{key}: must be an integer {limits}, got {value!r}")
    return value


def choice(key: str, value: str, choices: Sequence[str]) -> str:
    """Returns the value, or raises a `ConfigurationError` unless it is one of the choices."""
    if value not in choices:
        raise unknown(f"value of problem.{key}:", str(value), choices)
    return value
