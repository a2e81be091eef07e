"""Burgers' equation by the Cole-Hopf transformation and Gauss-Hermite quadrature.

For `u_t + u u_x = nu u_xx` with `u(x, 0) = -sin(pi x)` the substitution `u = -2 nu (log phi)_x` (Hopf 1950,
Cole 1951) leaves a heat equation, so that with `y = x - 2 sqrt(nu t) z`

    u(x, t) = - int sin(pi y) exp(g(y) - z^2) dz / int exp(g(y) - z^2) dz,    g(y) = -cos(pi y) / (2 pi nu).

Source: Basdevant et al., Spectral and finite difference solutions of the Burgers equation, Comput. Fluids 14
(1986), equation 2.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import roots_hermite

from pinnlab.errors import ConfigurationError
from pinnlab.problems.references.points import Array, check_finite, chunks, space_time

MOST_NODES = 10_000


def cole_hopf(x: ArrayLike, t: ArrayLike, viscosity: float, nodes: int | None = None) -> Array:
    """Exact solution of viscous Burgers' equation that starts at `-sin(pi x)`; it vanishes at `x = -1, 1`.

    Exponents are shifted by their largest one (log-sum-exp), weights included, so small viscosities do
    not overflow.

    Args:
        x: positions, any shape.
        t: times >= 0, broadcast against `x`; at `t = 0` the initial value is returned as it stands.
        viscosity: nu > 0.
        nodes: Gauss-Hermite nodes. Default: `suitable_nodes(viscosity, largest t)`, 136 for the usual
            nu = 0.01/pi up to t = 1. There the error is below 1e-13 in [-1, 1] x [0, 1]; 65 nodes would
            already give 1e-9. The rule keeps the error below 1e-9 for nu from 3e-4 to 3 and t up to 5.

    Returns:
        u of the broadcast shape of `x` and `t`.

    Raises:
        ConfigurationError: nu or the number of nodes is not positive, a time is negative, a value is not
            finite, or nu is so small (or t so large) that more than 10,000 nodes were needed.

    Examples:
        >>> float(cole_hopf(0.5, 0.0, viscosity=0.01))
        -1.0
    """
    if not (math.isfinite(viscosity) and viscosity > 0):
        raise ConfigurationError(f"viscosity: must be positive and finite, got {viscosity}")
    xs, ts = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(t, dtype=np.float64))
    shape, xs, ts = xs.shape, xs.ravel(), ts.ravel()
    check_finite(xs, ts)
    u = -np.sin(np.pi * xs)
    later = np.flatnonzero(ts > 0)
    if later.size:
        count = suitable_nodes(viscosity, float(ts.max())) if nodes is None else nodes
        rule = _hermite_rule(count)
        for part in chunks(later.size, count):
            rows = later[part]
            u[rows] = _quadrature(xs[rows], ts[rows], viscosity, *rule)
    return u.reshape(shape)


@dataclass(frozen=True)
class ColeHopf:
    """`cole_hopf` as a function of points `(n, 2)` with columns x, t; arguments as there."""

    viscosity: float = 0.01 / math.pi
    nodes: int | None = None

    def __call__(self, points: ArrayLike) -> Array:
        """Returns u `(n,)` at points `(n, 2)`."""
        x, t = space_time(points)
        return cole_hopf(x, t, self.viscosity, self.nodes)


def suitable_nodes(viscosity: float, time: float) -> int:
    """Number of Gauss-Hermite nodes that keeps the error below 1e-9.

    Fitted to measurements, with a margin. Small viscosities move the mass of the integral away from z = 0,
    long times narrow its peaks, and diffusion over several periods adds oscillations.
    """
    count = math.ceil(40 + 0.35 / (math.pi * viscosity) + 60 * time + 280 * viscosity * time)
    if count > MOST_NODES:
        raise ConfigurationError(
            f"viscosity: {viscosity:g} up to t = {time:g} needs {count} quadrature nodes; "
            "use a larger viscosity or a shorter time, or set nodes yourself"
        )
    return count


def _quadrature(x: Array, t: Array, viscosity: float, z: Array, log_weights: Array) -> Array:
    """The two integrals of the Cole-Hopf formula with one rule; x and t are `(n,)`."""
    angle = np.pi * (x[:, None] - 2 * np.sqrt(viscosity * t)[:, None] * z)
    mass = np.cos(angle)
    mass *= -1 / (2 * np.pi * viscosity)
    mass += log_weights
    mass -= mass.max(axis=1, keepdims=True)
    np.exp(mass, out=mass)
    return -np.einsum("ij,ij->i", mass, np.sin(angle, out=angle)) / mass.sum(axis=1)


def _hermite_rule(count: int) -> tuple[Array, Array]:
    """Nodes and log-weights of Gauss-Hermite quadrature.

    The weights, `1 / (n p_{n-1}(z)^2)` with the orthonormal polynomials p, underflow beyond z = 27, where a
    small viscosity may have its peak. So the recurrence of p runs with its scale kept apart as a logarithm.
    """
    if count < 1:
        raise ConfigurationError(f"nodes: must be at least 1, got {count}")
    z = roots_hermite(count)[0]
    before, p = np.zeros(count), np.full(count, np.pi**-0.25)
    log_scale = np.zeros(count)
    for k in range(1, count):
        before, p = p, np.sqrt(2 / k) * z * p - np.sqrt((k - 1) / k) * before
        scale = np.maximum(np.abs(before), np.abs(p))
        before, p = before / scale, p / scale
        log_scale += np.log(scale)
    return z, -math.log(count) - 2 * (np.log(np.abs(p)) + log_scale)
