"""-Delta u + k^2 u = f in the unit cube without balls, no flux anywhere, k one number below z = 1/2, one above.

Two parts: a solution in the whole cube, by spectral elements and the eigenvectors in each coordinate (Lynch, Rice and
Thomas, Numer. Math. 6, 1964); and what the balls want beside it, which satisfies the equation without f. In each half
that one is a sum of

- exp(-k r) / r about points inside the balls, and about their mirror images in the walls, so that those need nothing;
- cosines of x and y, times the hyperbolic cosines of z that have no slope at the floor or ceiling,

whose factors are a least squares fit: no slope on the spheres, values and slopes that agree where the halves meet.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import scipy.linalg
from numpy.polynomial import legendre
from numpy.typing import ArrayLike, NDArray

from pinnlab.problems.references.gauss_lobatto import gauss_lobatto
from pinnlab.problems.references.points import Array, chunks

Source = Callable[[Array, Array, Array], Array]
Numbers = NDArray[np.intp]
Sphere = tuple[float, float, float, float]
DEGREE = 14
"""Of the polynomials in an element."""
FRACTION = 0.5
"""Of a ball's radius, at which its sources lie."""
MODES = 14
"""How many cosines along x, and along y."""
FIT = 2.5
"""Points of the fit for each source of a ball."""
BESIDE = 50
"""Points of the fit along each side of the square in which the halves meet."""
DAMPING = 3e-5
"""Of the factors, in units of the source's strength."""
FAR = 1.3
"""Images farther from the cube than this are left out."""


class _Line:
    """Polynomials in the elements of an interval that share their nodes, and integrals of them."""

    def __init__(self, edges: ArrayLike) -> None:
        self.edges = np.asarray(edges, dtype=float)
        nodes = gauss_lobatto(DEGREE)
        self._to_values = np.linalg.inv(legendre.legvander(nodes, DEGREE))
        at, weights = legendre.leggauss(2 * DEGREE)
        elements, half = len(self.edges) - 1, np.diff(self.edges) / 2
        self.places = (self.edges[:-1, None] + half[:, None] * (at + 1)).ravel()
        self.weights = (half[:, None] * weights).ravel()
        self.values, self.slopes = np.zeros((2, len(self.places), elements * DEGREE + 1))
        for k in range(elements):
            rows, own = slice(k * len(at), (k + 1) * len(at)), slice(k * DEGREE, (k + 1) * DEGREE + 1)
            self.values[rows, own], self.slopes[rows, own] = self._local(at, half[k])

    def _local(self, at: Array, half: float | Array) -> tuple[Array, Array]:
        """Values and slopes `(n, degree + 1)` at places in [-1, 1] of elements of that half width."""
        slopes = legendre.legval(at, legendre.legder(np.eye(DEGREE + 1))).T @ self._to_values
        return legendre.legvander(at, DEGREE) @ self._to_values, slopes / np.reshape(half, (-1, 1))

    def located(self, s: Array) -> tuple[Numbers, Array, Array]:
        """The nodes `(n, degree + 1)` of the elements of places `(n,)`, values and slopes there."""
        k = np.clip(np.searchsorted(self.edges, s, side="right") - 1, 0, len(self.edges) - 2)
        half = np.diff(self.edges)[k] / 2
        values, slopes = self._local((s - self.edges[k]) / half - 1, half)
        return k[:, None] * DEGREE + np.arange(DEGREE + 1), values, slopes

    def modes(self, rate: Array) -> tuple[Array, Array]:
        """Eigenvalues and vectors of -d^2/ds^2 + rate(s), no slope at both ends; rate at the places."""
        stiff = self.slopes.T @ (self.weights[:, None] * self.slopes)
        stiff += self.values.T @ ((self.weights * rate)[:, None] * self.values)
        rates, vectors = scipy.linalg.eigh(stiff, self.values.T @ (self.weights[:, None] * self.values))
        return rates, vectors


class _WholeCube:
    """The solution in the cube without balls."""

    def __init__(self, rates: tuple[float, float], source: Source, waves: int) -> None:
        self.lines = [_Line([0, 0.5, 1]), _Line(np.linspace(0, 1, waves + 1)), _Line([0, 0.25, 0.5, 0.75, 1])]
        z = self.lines[2].places
        squares = [np.zeros(1), np.zeros(1), np.where(z < 0.5, rates[0] ** 2, rates[1] ** 2)]
        found = [line.modes(square) for line, square in zip(self.lines, squares, strict=True)]
        (a, x), (b, y), (c, z_modes) = found
        load = source(*np.meshgrid(*(line.places for line in self.lines), indexing="ij"))
        for line, modes in zip(self.lines, (x, y, z_modes), strict=True):  # each turns its axis to the end
            load = np.tensordot(load, line.weights[:, None] * (line.values @ modes), axes=(0, 0))
        nodal = load / (a[:, None, None] + b[:, None] + c)
        for modes in (x, y, z_modes):
            nodal = np.tensordot(nodal, modes, axes=(0, 1))
        self._nodal = nodal

    def __call__(self, points: Array, derivative: int | None = None) -> Array:
        """Values `(n,)` at points `(n, 3)`, or the derivatives by a coordinate."""
        found = np.empty(len(points))
        for part in chunks(len(points), (DEGREE + 1) ** 3):
            own = [line.located(s) for line, s in zip(self.lines, points[part].T, strict=True)]
            (i, j, k), factors = (o[0] for o in own), [o[2 if d == derivative else 1] for d, o in enumerate(own)]
            local = self._nodal[i[:, :, None, None], j[:, None, :, None], k[:, None, None, :]]
            for factor in factors[::-1]:
                local = np.einsum("n...k,nk->n...", local, factor)
            found[part] = local
        return found

    def slopes(self, points: Array, along: Array) -> Array:
        """The slopes `(n,)` along directions `(n, 3)`."""
        return np.asarray(np.sum([self(points, d) * along[:, d] for d in range(3)], axis=0))


class _Half:
    """Functions of the equation without f in the lower (0) or the upper (1) half of the cube."""

    def __init__(self, number: int, rate: float, sources: Array) -> None:
        self.number, self.rate = number, rate
        ends = [(0.0, 2.0), (0.0, 2.0), (2.0,) if number else (0.0,)]
        self.images = []
        for mirrors in itertools.product(*[(None, *end) for end in ends]):
            image = np.stack([s if end is None else end - s for s, end in zip(sources.T, mirrors, strict=True)], axis=1)
            near = np.linalg.norm(np.maximum(np.maximum(-image, image - 1), 0), axis=1) < FAR
            self.images.append((image, near))
        m, n = (np.pi * number.ravel() for number in np.meshgrid(np.arange(MODES), np.arange(MODES)))
        self.waves = m, n, np.sqrt(rate**2 + m**2 + n**2)

    def columns(self, points: Array, along: Array | None = None) -> Array:
        """The values `(n, functions)` at points `(n, 3)`, or their slopes along directions `(n, 3)`."""
        total = np.zeros((len(points), len(self.images[0][0])))
        for image, near in self.images:
            away = points[:, None, :] - image[near]
            r = np.sqrt(np.einsum("nsd,nsd->ns", away, away))
            fall = np.exp(-self.rate * r) / r
            if along is not None:
                fall *= -(self.rate + 1 / r) / r * np.einsum("nsd,nd->ns", away, along)
            total[:, near] += fall
        return np.hstack([total, self._cosines(points, along)])

    def _cosines(self, points: Array, along: Array | None) -> Array:
        (x, y, z), (m, n, rate) = points.T[:, :, None], self.waves
        height, sign = (1 - z, -1) if self.number else (z, 1)
        far = np.exp(-2 * rate * height)  # over the value at the middle
        grown = np.exp(rate * (height - 0.5)) / (1 + np.exp(-rate))
        in_x, in_y, in_z = np.cos(m * x), np.cos(n * y), grown * (1 + far)
        if along is None:
            return np.asarray(in_x * in_y * in_z)
        by_x, by_y, by_z = -m * np.sin(m * x), -n * np.sin(n * y), sign * rate * grown * (1 - far)
        a, b, c = along.T[:, :, None]
        return np.asarray(a * by_x * in_y * in_z + b * in_x * by_y * in_z + c * in_x * in_y * by_z)


class CubeWithoutBalls:
    """The solution at arbitrary points. The fit is done at the first call and kept.

    Args:
        rates: k below z = 1/2, and above.
        source: f, of three arrays of coordinates.
        spheres: x, y, z and radius of each ball; inside the cube, without touching each other.
        sources: how many sources each of them has.
        waves: in how many elements the cube is cut along y.
    """

    def __init__(
        self, rates: tuple[float, float], source: Source, spheres: Sequence[Sphere], sources: Sequence[int],
        waves: int = 5,
    ) -> None:  # fmt: skip
        self.rates, self.spheres, self.sources = rates, spheres, sources
        self.whole = _WholeCube(rates, source, waves)

    def __call__(self, points: Array) -> Array:
        """The values `(n,)` at points `(n, 3)`."""
        found = self.whole(points)
        for rows, half, weights in self._by_half(points):
            for part in chunks(len(rows), 4 * len(weights)):
                found[rows[part]] += half.columns(points[rows[part]]) @ weights
        return found

    def slopes(self, points: Array, along: Array) -> Array:
        """The slopes `(n,)` along directions `(n, 3)`."""
        found = self.whole.slopes(points, along)
        for rows, half, weights in self._by_half(points):
            found[rows] += half.columns(points[rows], along[rows]) @ weights
        return found

    def _by_half(self, points: Array) -> list[tuple[Numbers, _Half, Array]]:
        halves, upper = self._fitted, points[:, 2] > 0.5
        return [(np.flatnonzero(upper == number), *halves[number]) for number in (0, 1)]

    @cached_property
    def _fitted(self) -> list[tuple[_Half, Array]]:
        """The functions of each half, and their factors."""
        halves = [_Half(number, rate, self._sources_of(number)) for number, rate in enumerate(self.rates)]
        points = np.concatenate(
            [
                s[:3] + s[3] * _directions(round(FIT * count))
                for s, count in zip(self.spheres, self.sources, strict=True)
            ]
        )
        normals = np.concatenate([_directions(round(FIT * n)) for n in self.sources])
        slopes = -self.whole.slopes(points, normals)
        plane = self._meeting()
        upwards = np.tile([0.0, 0.0, 1.0], (len(plane), 1))
        rows, right = [], []
        for number, half in enumerate(halves):
            own = (points[:, 2] > 0.5) == bool(number)
            part = half.columns(points[own], normals[own])
            rows.append(_padded(part, number, halves))
            right.append(slopes[own])
        pairs = [[half.columns(plane, along) for half in halves] for along in (None, upwards)]
        rows += [scale * np.hstack([low, -high]) for (low, high), scale in zip(pairs, (self.rates[0], 1), strict=True)]
        table, values = np.concatenate(rows), np.concatenate([*right, np.zeros(2 * len(plane))])
        # Damped: large factors that all but cancel would be felt at the walls, of which few images are taken.
        table = np.concatenate([table, DAMPING * np.eye(table.shape[1])])
        values = np.concatenate([values, np.zeros(table.shape[1])])
        turned, triangle = scipy.linalg.qr_multiply(table, values, "right")
        factors = scipy.linalg.solve_triangular(triangle, turned)
        first = len(halves[0].images[0][0]) + MODES**2
        return [(halves[0], factors[:first]), (halves[1], factors[first:])]

    def _sources_of(self, number: int) -> Array:
        """Those of balls that reach into a half."""
        found = []
        for sphere, count in zip(self.spheres, self.sources, strict=True):
            if (sphere[2] + sphere[3] > 0.5) if number else (sphere[2] - sphere[3] < 0.5):
                found.append(sphere[:3] + FRACTION * sphere[3] * _directions(count))
        return np.concatenate(found)

    def _meeting(self) -> Array:
        """Points of the middle plane outside of the balls, denser at the walls."""
        side = (1 - np.cos(np.pi * (np.arange(BESIDE) + 0.5) / BESIDE)) / 2
        x, y = (s.ravel() for s in np.meshgrid(side, side))
        plane = np.stack([x, y, np.full_like(x, 0.5)], axis=1)
        away = [np.linalg.norm(plane - sphere[:3], axis=1) > sphere[3] for sphere in self.spheres]
        return np.asarray(plane[np.all(away, axis=0)])


def _padded(part: Array, number: int, halves: Sequence[_Half]) -> Array:
    """The columns of one half, with zeros for those of the other."""
    widths = [len(half.images[0][0]) + MODES**2 for half in halves]
    table = np.zeros((len(part), sum(widths)))
    table[:, number * widths[0] : number * widths[0] + widths[number]] = part
    return table


def _directions(count: int) -> Array:
    """Unit vectors `(count, 3)`, evenly spread: a Fibonacci spiral."""
    k = np.arange(count) + 0.5
    z, angle = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    return np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], axis=1)
