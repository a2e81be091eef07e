"""The lid-driven cavity by Chebyshev collocation of the stream function, without the singularities of its corners.

With u = psi_y and v = -psi_x the steady Navier-Stokes equations on the unit square are

    nu Delta^2 psi = psi_y Delta psi_x - psi_x Delta psi_y,

psi = 0 on all walls, psi_y the speed of the lid on y = 1, no other normal derivative. Where the lid meets a wall the
solution is singular. Its leading term there is that of a slow flow in a wedge (Moffatt, J. Fluid Mech. 18, 1964): with
distances a from the lid, b from the wall and theta = atan(b / a),

    lid of constant speed 1 (Taylor's scraper):  psi = (g a + d b) theta - g b,  d = -1 / (pi^2 / 4 - 1),  g = d pi / 2
    lid of speed 4 b near the wall:              psi = 2 (a^2 + b^2) theta - pi b^2 - 2 a b

This term is subtracted in both corners, and the rest is a polynomial, found by Newton's method (as Botella and Peyret,
Comput. Fluids 27, 1998, who subtract one term more). The pressure is fitted to its gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy.linalg
from numpy.polynomial import chebyshev
from numpy.typing import ArrayLike, NDArray

from pinnlab.errors import ConfigurationError
from pinnlab.problems.references.chebyshev import differentiation
from pinnlab.problems.references.points import Array

Matrix = NDArray[Any]
Lid = Literal["parabolic", "uniform"]
MOST_STEPS = 20
"""Of Newton's method; five or six are enough up to Re = 400."""


class Stream(NamedTuple):
    """A stream function at points, with derivatives by x and y, and the pressure of its slow flow for nu = 1."""

    psi: Array
    x: Array
    y: Array
    laplacian: Array
    laplacian_x: Array
    laplacian_y: Array
    pressure: Array


def scraper(b: Array, a: Array) -> Stream:
    """A lid of speed 1, at distances b from the wall (for x) and a from the lid (for y)."""
    d = -1 / (math.pi**2 / 4 - 1)
    g = d * math.pi / 2
    r2, theta = a * a + b * b, np.arctan2(b, a)
    by_a, by_b = -b / r2, a / r2  # of theta
    by_aa, by_ab = 2 * a * b / r2**2, (b * b - a * a) / r2**2
    inner = g * a + d * b
    return Stream(
        psi=inner * theta - g * b,
        x=d * theta + inner * by_b - g,
        y=g * theta + inner * by_a,
        laplacian=2 * (g * by_a + d * by_b),
        laplacian_x=2 * (g * by_ab - d * by_aa),
        laplacian_y=2 * (g * by_aa + d * by_ab),
        pressure=2 * (g * by_b - d * by_a),
    )


def shear(b: Array, a: Array) -> Stream:
    """A lid of speed 4 b, at distances b from the wall (for x) and a from the lid (for y)."""
    r2, theta = a * a + b * b, np.arctan2(b, a)
    return Stream(
        psi=2 * r2 * theta - math.pi * b * b - 2 * a * b,
        x=4 * b * theta - 2 * math.pi * b,
        y=4 * a * theta - 4 * b,
        laplacian=8 * theta - 2 * math.pi,
        laplacian_x=8 * a / r2,
        laplacian_y=-8 * b / r2,
        pressure=4 * np.log(r2),
    )


class Cavity:
    """Velocity and pressure in the lid-driven cavity at arbitrary points of the unit square.

    The pressure is 0 at (0, 0). Solved at the first call, and kept.

    Args:
        viscosity: nu; 1 / Re.
        lid: `parabolic` for the speed 4 x (1 - x), `uniform` for 1.
        degree: of the polynomials in x and in y.
    """

    def __init__(self, viscosity: float = 0.01, lid: Lid = "parabolic", degree: int = 32) -> None:
        self.viscosity, self.lid, self.degree = viscosity, lid, degree
        self._corner: Callable[[Array, Array], Stream] = scraper if lid == "uniform" else shear

    def __call__(self, points: ArrayLike) -> Array:
        """Returns u, v, p `(n, 3)` at points `(n, 2)` with columns x, y.

        In the corners below the lid the pressure is not finite, and the velocity of the uniform lid not unique.

        Raises:
            ConfigurationError: the shape is wrong, a point lies outside of the square, or Newton's method does not
                converge, because the viscosity is too small.
        """
        at = np.asarray(points, dtype=np.float64)
        if at.ndim != 2 or at.shape[1] != 2:
            raise ConfigurationError(f"points: expected shape (n, 2) with columns x, y, got {at.shape}")
        if not ((at >= 0) & (at <= 1)).all():
            raise ConfigurationError("points: every x and y must be in [0, 1]")
        x, y = at.T
        in_x, in_y = (chebyshev.chebvander(2 * s - 1, self.degree) for s in (x, y))
        smooth_u, smooth_v, smooth_head = (((in_x @ c) * in_y).sum(axis=1) for c in self._coefficients)
        with np.errstate(divide="ignore", invalid="ignore"):
            rough = self._singular(x, y)
        u, v = smooth_u + rough.y, smooth_v - rough.x
        return np.stack([u, v, smooth_head + rough.pressure - (u * u + v * v) / 2], axis=-1)

    def _singular(self, x: Array, y: Array) -> Stream:
        """The flow near both corners, together; their pressures for the viscosity as it is."""
        left, right = self._corner(x, 1 - y), self._corner(1 - x, 1 - y)
        return Stream(
            psi=left.psi + right.psi,
            x=left.x - right.x,
            y=-left.y - right.y,
            laplacian=left.laplacian + right.laplacian,
            laplacian_x=left.laplacian_x - right.laplacian_x,
            laplacian_y=-left.laplacian_y - right.laplacian_y,
            pressure=self.viscosity * (left.pressure - right.pressure),
        )

    @cached_property
    def _coefficients(self) -> Array:
        """Chebyshev coefficients of what is left of u, v and p + (u^2 + v^2) / 2, `(3, degree + 1, degree + 1)`."""
        nodes, first = differentiation(self.degree)
        grid = np.meshgrid(nodes, nodes, indexing="ij")
        with np.errstate(divide="ignore", invalid="ignore"):
            rough = Stream(*(np.nan_to_num(part, posinf=0, neginf=0) for part in self._singular(*grid)))
        rest = self._newton(nodes, first, rough)
        u, v = rest @ first.T, -first @ rest
        second = first @ first
        laplacian = second @ rest + rest @ second.T
        # Of the total pressure h = p + (u^2 + v^2) / 2: h_x = v w + nu Delta psi_y, h_y = -u w - nu Delta psi_x, with
        # the vorticity w = -Delta psi. The wedges' own pressure is what nu Delta psi gives of them.
        vorticity = -(laplacian + rough.laplacian)
        head_x = (v - rough.x) * vorticity + self.viscosity * laplacian @ first.T
        head_y = -(u + rough.y) * vorticity - self.viscosity * first @ laplacian
        head = _integrated(head_x, head_y, nodes, first)
        inverse = np.linalg.inv(chebyshev.chebvander(2 * nodes - 1, self.degree))
        head -= self._singular(np.zeros(1), np.zeros(1)).pressure
        return np.stack([inverse @ values @ inverse.T for values in (u, v, head)])

    def _newton(self, nodes: Array, first: Array, rough: Stream) -> Array:
        """What is left of the stream function at the nodes, `(degree + 1, degree + 1)`."""
        n = self.degree + 1
        identity, second = np.eye(n), first @ first
        by_x, by_y = np.kron(first, identity), np.kron(identity, first)
        laplacian = np.kron(second, identity) + np.kron(identity, second)
        inner = np.zeros((n, n), bool)
        inner[2:-2, 2:-2] = True
        inside = inner.ravel()
        laplacian_x, laplacian_y = by_x[inside] @ laplacian, by_y[inside] @ laplacian
        biharmonic = self.viscosity * laplacian[inside] @ laplacian
        boundary, values = _boundary_conditions(by_x, by_y, rough, self._speed(nodes))
        rest = np.zeros(n * n)
        for _ in range(MOST_STEPS):
            x, y = by_x[inside] @ rest + rough.x[inner], by_y[inside] @ rest + rough.y[inner]
            of_x, of_y = laplacian_x @ rest + rough.laplacian_x[inner], laplacian_y @ rest + rough.laplacian_y[inner]
            residual = biharmonic @ rest - y * of_x + x * of_y
            jacobian = biharmonic - y[:, None] * laplacian_x + x[:, None] * laplacian_y
            jacobian += of_y[:, None] * by_x[inside] - of_x[:, None] * by_y[inside]
            matrix = np.concatenate([jacobian, boundary])
            right = np.concatenate([residual, boundary @ rest - values])
            scale = np.abs(matrix).max(axis=1)
            change = np.linalg.solve(matrix / scale[:, None], right / scale)
            rest = rest - change
            if np.abs(change).max() < 1e-10:
                return rest.reshape(n, n)
        raise ConfigurationError(
            f"viscosity: Newton's method does not converge for {self.viscosity:g}; take a larger one"
        )

    def _speed(self, x: Array) -> Array:
        return np.ones_like(x) if self.lid == "uniform" else 4 * x * (1 - x)


def _integrated(by_x: Array, by_y: Array, nodes: Array, first: Array) -> Array:
    """The function with this gradient that is 0 at (0, 0), by least squares; corners below the lid weigh nothing."""
    n = len(nodes)
    x, y = np.meshgrid(nodes, nodes, indexing="ij")
    weight = ((x**2 + (1 - y) ** 2) * ((1 - x) ** 2 + (1 - y) ** 2)).ravel()
    matrix = np.concatenate([np.kron(first, np.eye(n)), np.kron(np.eye(n), first)])[:, 1:]
    scale = np.concatenate([weight, weight])
    right = np.concatenate([by_x.ravel(), by_y.ravel()])
    matrix *= scale[:, None]
    found = scipy.linalg.solve(matrix.T @ matrix, matrix.T @ (scale * right), assume_a="pos")
    return np.concatenate([[0.0], found]).reshape(n, n)


def _boundary_conditions(by_x: Matrix, by_y: Matrix, rough: Stream, speed: Array) -> tuple[Array, Array]:
    """Rows and right side: psi on all walls, and its normal derivative but for what corners have anyway."""
    n = len(speed)
    number = np.arange(n * n).reshape(n, n)
    wall = np.unique(np.concatenate([number[0], number[-1], number[:, 0], number[:, -1]]))
    sides = np.concatenate([number[0, 1:-1], number[-1, 1:-1]])
    floor, lid = number[2:-2, 0], number[2:-2, -1]
    rows = np.concatenate([np.eye(n * n)[wall], by_x[sides], by_y[floor], by_y[lid]])
    psi, x, y = (part.ravel() for part in (rough.psi, rough.x, rough.y))
    return rows, np.concatenate([-psi[wall], -x[sides], -y[floor], speed[2:-2] - y[lid]])
