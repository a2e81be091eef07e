"""What the references share: checking points, walking over many of them in little memory, times between states."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnlab.errors import ConfigurationError

Array = NDArray[np.float64]

STENCIL = 6
"""States of an interpolation in time."""
CHUNK_ELEMENTS = 1 << 20
"""Size of the largest temporary array, 8 MiB in float64: small enough to stay near the processor's cache."""


def space_time(points: ArrayLike) -> tuple[Array, Array]:
    """Splits points `(n, 2)` into `x (n,)` and `t (n,)`.

    Raises:
        ConfigurationError: the shape is another one, or a time is negative or not finite.
    """
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ConfigurationError(f"points: expected shape (n, 2) with columns x, t, got {array.shape}")
    x, t = array[:, 0], array[:, 1]
    check_finite(x, t)
    return x, t


def up_to_horizon(points: ArrayLike, names: str, horizon: float) -> Array:
    """Points `(n, d)` as an array, the last column a time.

    Args:
        points: the points.
        names: of the columns: "x, y, t".
        horizon: the last time that can be asked for.

    Raises:
        ConfigurationError: the shape is another one, or a time lies outside [0, horizon].
    """
    array, count = np.asarray(points, dtype=np.float64), names.count(",") + 1
    if array.ndim != 2 or array.shape[1] != count:
        columns = f"columns {names}" if count > 1 else f"the column {names}"
        raise ConfigurationError(f"points: expected shape (n, {count}) with {columns}, got {array.shape}")
    t = array[:, -1]
    if not ((t >= 0) & (t <= horizon * (1 + 1e-12))).all():
        raise ConfigurationError(f"points: every t must be in [0, {horizon:g}], the horizon")
    return array


def lagrange(place: Array, count: int) -> Array:
    """Weights `(n, count)` of the values at 0, 1, 2, ... for the polynomial through them, at `(n,)` places."""
    weights = np.ones((len(place), count))
    for i in range(count):
        for j in range(count):
            if i != j:
                weights[:, i] *= (place - j) / (i - j)
    return weights


def even_steps(horizon: float, step: float) -> int:
    """How many steps of about this length there are up to `horizon`: enough to interpolate between their ends."""
    return max(STENCIL, int(np.ceil(horizon / step - 1e-9)))


def between_states(
    times: Array, horizon: float, states: NDArray[Any]
) -> Iterator[tuple[NDArray[np.intp], NDArray[Any], Array]]:
    """Interpolates in time between states that were kept at even times from 0 to `horizon`, by polynomials.

    Point by point all numbers of `STENCIL` states would be read for each; so points with the same states come together.

    Args:
        times: `(n,)` in [0, horizon].
        horizon: of the last state.
        states: `(k, ...)`, k > STENCIL.

    Yields:
        Which points, the states around them, `(STENCIL, ...)`, and these states' weights, `(points, STENCIL)`.
    """
    steps = len(states) - 1
    place = times * steps / horizon
    first = np.clip(place.astype(int) - STENCIL // 2 + 1, 0, steps + 1 - STENCIL)
    for start in np.unique(first):
        rows = np.flatnonzero(first == start)
        yield rows, states[start : start + STENCIL], lagrange(place[rows] - start, STENCIL)


def check_finite(x: Array, t: Array) -> None:
    """Raises a ConfigurationError unless all coordinates are finite and no time is negative."""
    if not (np.isfinite(x).all() and np.isfinite(t).all()):
        raise ConfigurationError("points: every x and t must be finite; drop NaN and infinite rows")
    if t.size and t.min() < 0:
        raise ConfigurationError(f"points: t must be >= 0 (the solution starts there), got {t.min():g}")


def chunks(count: int, width: int) -> Iterator[slice]:
    """Cuts `count` rows into slices whose `(rows, width)` temporaries stay below `CHUNK_ELEMENTS`."""
    rows = max(1, CHUNK_ELEMENTS // width)
    for start in range(0, count, rows):
        yield slice(start, start + rows)
