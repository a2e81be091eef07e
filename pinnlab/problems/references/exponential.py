"""Exponential time differencing of fourth order, for `u' = L u + N(u)` with a diagonal L.

ETDRK4 of Cox and Matthews (J. Comput. Phys. 176, 2002), with the contour coefficients of Kassam and Trefethen (SIAM J.
Sci. Comput. 26, 2005).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Coefficients = np.ndarray[Any, np.dtype[Any]]
"""Real or complex, of any shape."""


class Scheme(NamedTuple):
    """One step in numbers, each of the shape of L."""

    whole: Coefficients
    """exp(h L)."""
    half: Coefficients
    """exp(h L / 2)."""
    inner: Coefficients
    """The weight of the inner stages."""
    first: Coefficients
    middle: Coefficients
    last: Coefficients
    """The weights of the last stage."""


def etdrk4(linear: np.ndarray, step: float) -> Scheme:
    """The numbers of a step.

    They are means over a circle around each `h L`, which avoid the cancellation in the phi functions (Kassam and
    Trefethen 2005, section 3). For a real L its upper half is enough.

    Args:
        linear: L, the diagonal, of any shape.
        step: h.
    """
    h_linear = step * linear
    is_complex = np.iscomplexobj(linear)
    angles = (np.arange(32) + 0.5) * (2 if is_complex else 1) / 32
    z = h_linear[..., None] + np.exp(1j * np.pi * angles)
    e = np.exp(z)

    def mean(values: np.ndarray) -> Coefficients:
        averaged = values.mean(axis=-1)
        return step * (averaged if is_complex else averaged.real)

    return Scheme(
        np.exp(h_linear),
        np.exp(h_linear / 2),
        mean((np.exp(z / 2) - 1) / z),
        mean((-4 - z + e * (4 - 3 * z + z**2)) / z**3),
        mean((2 + z + e * (z - 2)) / z**3),
        mean((-4 - 3 * z - z**2 + e * (4 - z)) / z**3),
    )


def advance(
    state: Coefficients,
    now: Coefficients,
    nonlinear: Callable[[Coefficients], Coefficients],
    scheme: Scheme,
) -> Coefficients:
    """One step (Cox and Matthews 2002, equations 26 to 29); `now` is N(state)."""
    a = scheme.half * state + scheme.inner * now
    at_a = nonlinear(a)
    b = scheme.half * state + scheme.inner * at_a
    at_b = nonlinear(b)
    c = scheme.half * a + scheme.inner * (2 * at_b - now)
    return scheme.whole * state + scheme.first * now + 2 * scheme.middle * (at_a + at_b) + scheme.last * nonlinear(c)
