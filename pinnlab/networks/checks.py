"""Checks of constructor arguments that several networks share."""

from __future__ import annotations

from collections.abc import Sequence

from pinnlab.errors import ConfigurationError, check_positive


def positive_int(key: str, value: object) -> int:
    """Returns the value, or raises a `ConfigurationError` that names the key unless it is an integer >= 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{key} must be a positive integer, not {value!r}")
    return value


def positive(key: str, value: float) -> float:
    """Returns the value, or raises a `ConfigurationError` that names the key unless it is finite and > 0."""
    check_positive("", **{key: value})
    return value


def column_of(key: str, value: object, inputs: int) -> int:
    """Returns the value, or raises a `ConfigurationError` that names the key unless it is the number of a column."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < positive_int("inputs", inputs):
        raise ConfigurationError(f"{key}: must be a whole number from 0 to {inputs - 1}, got {value!r}")
    return value


def places_beside(modes: object, inputs: object, use: str = "") -> int:
    """Returns how many coordinates are the place, or raises unless the `modes` of a function leave one of the inputs.

    Args:
        modes: how many of the coordinates are the function.
        inputs: the number of coordinates.
        use: what a place would be there for, for the message.
    """
    own, every = positive_int("modes", modes), positive_int("inputs", inputs)
    if own >= every:
        raise ConfigurationError(f"modes: {own} of {every} coordinates leave no place{use}; give fewer")
    return every - own


def widths(key: str, value: Sequence[int]) -> tuple[int, ...]:
    """Returns the layer widths as a tuple, or raises unless it is a non-empty list of positive integers."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) == 0:
        raise ConfigurationError(f"{key} must list at least one layer width, such as [20, 20], not {value!r}")
    return tuple(positive_int(f"{key}[{k}]", width) for k, width in enumerate(value))
