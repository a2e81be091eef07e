"""Pieces of curves in the plane, exactly: straight lines and arcs of ellipses, many at once, in numpy.

A piece is `c + p d + M (cos a, sin a)` with `a = first + p sweep`, p from 0 to 1. Of a line M is zero; of an arc d is.
So every piece stays one under affine maps, cuts and reversal, and ends, areas and normals have one formula.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.special import ellipeinc

Array = NDArray[np.float64]
Index = NDArray[np.intp]

NEWTON_STEPS = 12
"""Of the inverse of the arc length of an ellipse: it converges within six from its linear guess."""


@dataclass(frozen=True)
class Curves:
    """Some pieces, in an order. The region that they bound lies on their left.

    Attributes:
        start: `(n, 2)` c: where a line begins, the centre of an arc.
        along: `(n, 2)` d: where a line leads to, from its start; zero for an arc.
        matrix: `(n, 2, 2)` M: from the unit circle to the ellipse; zero for a line.
        first: `(n,)` the angle at which an arc begins.
        sweep: `(n,)` the angle that it covers, positive against the clock.
    """

    start: Array
    along: Array
    matrix: Array
    first: Array
    sweep: Array

    @staticmethod
    def polygon(vertices: Array) -> Curves:
        """The sides of a closed polygon, `(n, 2)` vertices."""
        n = len(vertices)
        zeros = np.zeros(n)
        return Curves(vertices, np.roll(vertices, -1, 0) - vertices, np.zeros((n, 2, 2)), zeros, zeros)

    @staticmethod
    def ellipse(center: Sequence[float], matrix: Array) -> Curves:
        """One whole ellipse, against the clock; a matrix of positive determinant."""
        return Curves(
            np.array([center], dtype=np.float64), np.zeros((1, 2)), matrix[None], np.zeros(1), np.full(1, 2 * math.pi)
        )

    @staticmethod
    def joined(parts: Sequence[Curves]) -> Curves:
        """All pieces of several."""
        return Curves(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Curves)))

    def __len__(self) -> int:
        return len(self.start)

    @property
    def straight(self) -> NDArray[np.bool_]:
        """`(n,)` which pieces are lines."""
        return self.sweep == 0.0

    def take(self, rows: Index | NDArray[np.bool_]) -> Curves:
        """Some of the pieces, by number, each as often as it is named."""
        return Curves(*(getattr(self, f.name)[rows] for f in fields(Curves)))

    def part(self, begin: Array, end: Array) -> Curves:
        """Of each piece what lies between two parameters `(n,)`; backwards where the second is less."""
        share = end - begin
        return Curves(
            self.start + begin[:, None] * self.along,
            share[:, None] * self.along,
            self.matrix,
            self.first + begin * self.sweep,
            share * self.sweep,
        )

    def reversed(self) -> Curves:
        """The same pieces run through from their ends: they bound what was outside."""
        n = len(self)
        return self.part(np.ones(n), np.zeros(n))

    def moved(self, matrix: Array, offset: Array) -> Curves:
        """The pieces under the map `x -> A x + b`; reversed where it mirrors, so that the inside stays on the left."""
        image = Curves(
            self.start @ matrix.T + offset, self.along @ matrix.T, matrix @ self.matrix, self.first, self.sweep
        )
        return image if np.linalg.det(matrix) > 0 else image.reversed()

    def at(self, p: Array) -> Array:
        """The point `(n, 2)` of each piece at its parameter `(n,)`."""
        angle = self.first + p * self.sweep
        return self.start + p[:, None] * self.along + _times(self.matrix, np.cos(angle), np.sin(angle))

    def velocity(self, p: Array) -> Array:
        """The derivative of `at` by the parameter."""
        angle = self.first + p * self.sweep
        return self.along + self.sweep[:, None] * _times(self.matrix, -np.sin(angle), np.cos(angle))

    def normals(self, p: Array) -> Array:
        """The unit normals to the right, `(n, 2)`: they lead out."""
        velocity = self.velocity(p)
        across = np.stack([velocity[:, 1], -velocity[:, 0]], -1)
        return across / np.linalg.norm(across, axis=1, keepdims=True)

    @property
    def ends(self) -> tuple[Array, Array]:
        """Where each piece begins and where it ends, `(n, 2)` each."""
        n = len(self)
        return self.at(np.zeros(n)), self.at(np.ones(n))

    def corners(self) -> tuple[Array, Array]:
        """The tight bounding box of each piece, `(n, 2)` each."""
        first, last = self.ends
        low, high = np.minimum(first, last), np.maximum(first, last)
        for axis in (0, 1):
            for turn in self.turns(axis):
                there = self.at(np.where(np.isnan(turn), 0.0, turn))
                low, high = np.minimum(low, there), np.maximum(high, there)
        return low, high

    def turns(self, axis: int) -> Array:
        """At which parameters a coordinate turns back: `(3, n)`, NaN where there are fewer."""
        x, y = self.matrix[:, axis].T
        angle = np.arctan2(y, x)
        lowest = np.minimum(self.first, self.first + self.sweep)
        step = np.ceil((lowest - angle) / math.pi)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = [(angle + (step + k) * math.pi - self.first) / self.sweep for k in range(3)]
        turns = np.stack(found)
        return np.where((turns > 0) & (turns < 1) & ~self.straight, turns, np.nan)

    def area(self) -> float:
        """What closed curves bound, by Green's theorem: half the sum of the integrals of x dy - y dx."""
        first, last = self.ends
        middle = (first.min(0) + first.max(0)) / 2  # near the points, where fewer digits cancel
        c, step = self.start - middle, last - first
        determinants = np.linalg.det(self.matrix)
        return float(math.fsum(c[:, 0] * step[:, 1] - c[:, 1] * step[:, 0] + determinants * self.sweep)) / 2

    def axes(self) -> tuple[Array, Array, Array, Array]:
        """Of each ellipse the longer half axis, the squared eccentricity, and sign and turn of its own angle.

        That is `sign * angle - turn`, counted from the longer axis.
        """
        _, size, right = np.linalg.svd(self.matrix)
        longest = size[:, 0]
        ratio = np.divide(size[:, 1], longest, out=np.ones_like(longest), where=longest > 0)
        sign = np.where(np.linalg.det(right) > 0, 1.0, -1.0)
        return longest, np.maximum(1 - ratio**2, 0.0), sign, sign * np.arctan2(right[:, 0, 1], right[:, 0, 0])

    def in_words(self) -> str:
        """How many lines and arcs, such as "4 lines and 1 arc"."""
        lines = int(self.straight.sum())
        counts = [(lines, "line"), (len(self) - lines, "arc")]
        return " and ".join(f"{count} {kind}{'s' * (count > 1)}" for count, kind in counts if count)

    def lengths(self) -> Array:
        """The length of each piece, `(n,)`."""
        n, lines = len(self), np.linalg.norm(self.along, axis=1)
        if self.straight.all():
            return lines
        return np.where(self.straight, lines, np.abs(self._way(np.ones(n)) - self._way(np.zeros(n))))

    def by_length(self, share: Array) -> Array:
        """The parameter at which a share `(n,)` of each piece's length is behind."""
        longest, eccentricity, sign, turn = self.axes()
        uneven = np.flatnonzero(~self.straight & (eccentricity > 1e-15))
        if not len(uneven):
            return share
        bent, part = self.take(uneven), share[uneven]
        ends = np.zeros(len(bent)), np.ones(len(bent))
        begin, end = (bent._way(end) for end in ends)
        goal, p = begin + part * (end - begin), part.copy()
        for _ in range(NEWTON_STEPS):
            angle = sign[uneven] * (bent.first + p * bent.sweep) - turn[uneven]
            speed = longest[uneven] * np.sqrt(1 - eccentricity[uneven] * np.cos(angle) ** 2)
            p = np.clip(p - (bent._way(p) - goal) / (speed * sign[uneven] * bent.sweep), 0.0, 1.0)
        found = share.copy()
        found[uneven] = p
        return found

    def _way(self, p: Array) -> Array:
        """The length of each ellipse up to a parameter, from a place of its own; negative against its sense."""
        longest, eccentricity, sign, turn = self.axes()
        angle = sign * (self.first + p * self.sweep) - turn
        return longest * ellipeinc(angle - math.pi / 2, eccentricity)


def _times(matrix: Array, x: Array, y: Array) -> Array:
    return matrix[:, :, 0] * x[:, None] + matrix[:, :, 1] * y[:, None]
