"""The point of some curves that is nearest to each of many points."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pinnlab.domains.curves import Array, Curves, Index

CHUNK = 2_000_000
"""Pairs of a point and a piece that are looked at together: some 100 MB."""
STARTS = 65
"""Places of an elliptic arc from the best of which Newton's method sets out."""


class Nearest(NamedTuple):
    """For each point the distance, the number of the piece and the parameter on it, `(n,)` each."""

    distance: Array
    piece: Index
    parameter: Array


def nearest(points: Array, curves: Curves) -> Nearest:
    """Finds the nearest point of some curves; of equally near pieces the first.

    Args:
        points: `(n, 2)`.
        curves: one piece or more.
    """
    size = max(CHUNK // len(curves), 1)
    pieces = [_nearest(points[k : k + size], curves) for k in range(0, max(len(points), 1), size)]
    return Nearest(*(np.concatenate(column) for column in zip(*pieces, strict=True)))


def _nearest(points: Array, curves: Curves) -> Nearest:
    p = np.empty((len(points), len(curves)))
    eccentricity = curves.axes()[1]
    lines, round_ = curves.straight, ~curves.straight & (eccentricity < 1e-14)
    other = ~lines & ~round_
    p[:, lines] = _on_lines(points, curves.take(lines))
    p[:, round_] = _on_circles(points, curves.take(round_))
    for k in np.flatnonzero(other):
        p[:, k] = _on_ellipse(points, curves.take(np.array([k])))
    squares = _squares(points, curves, p)
    piece = squares.argmin(1)
    rows = np.arange(len(points))
    return Nearest(np.sqrt(squares[rows, piece]), piece, p[rows, piece])


def _squares(points: Array, curves: Curves, p: Array) -> Array:
    """The squared distances `(n, m)` to each piece at its parameter `(n, m)`."""
    angle = curves.first + p * curves.sweep
    cosine, sine = np.cos(angle), np.sin(angle)
    total = np.zeros_like(p)
    for axis in (0, 1):
        place = curves.start[:, axis] + p * curves.along[:, axis]
        place = place + curves.matrix[:, axis, 0] * cosine + curves.matrix[:, axis, 1] * sine
        total += (points[:, axis, None] - place) ** 2
    return total


def _on_lines(points: Array, lines: Curves) -> Array:
    d = lines.along
    along = points @ d.T - (lines.start * d).sum(1)
    return np.clip(along / (d * d).sum(1), 0.0, 1.0)


def _on_circles(points: Array, circles: Curves) -> Array:
    inverse = np.linalg.inv(circles.matrix)
    seen = points[:, None] - circles.start
    x, y = (inverse[:, k, 0] * seen[..., 0] + inverse[:, k, 1] * seen[..., 1] for k in (0, 1))
    # Both the angle and the sweep seen in the arc's own sense, so that it covers [0, |sweep|].
    turn = np.mod((np.arctan2(y, x) - circles.first) * np.sign(circles.sweep), 2 * math.pi)
    sweep = np.abs(circles.sweep)
    beyond = turn > sweep  # then the nearer end: the one that is passed by less
    end = np.where(turn - sweep < 2 * math.pi - turn, 1.0, 0.0)
    return np.where(beyond, end, turn / sweep)


def _on_ellipse(points: Array, arc: Curves) -> Array:
    starts = np.linspace(0, 1, STARTS)
    place = arc.take(np.zeros(STARTS, dtype=np.intp)).at(starts)
    best = ((points[:, None] - place) ** 2).sum(-1).argmin(1)
    arcs, p = arc.take(np.zeros(len(points), dtype=np.intp)), starts[best]
    low, high = np.maximum(p - starts[1], 0.0), np.minimum(p + starts[1], 1.0)
    for _ in range(60):  # Newton's method for the root of the distance's slope, safeguarded by bisection
        offset, speed = arcs.at(p) - points, arcs.velocity(p)
        slope = (offset * speed).sum(1)
        high, low = np.where(slope > 0, p, high), np.where(slope > 0, low, p)
        bend = (speed * speed).sum(1) - (offset * (arcs.at(p) - arcs.start)).sum(1) * arcs.sweep**2
        with np.errstate(divide="ignore", invalid="ignore"):
            new = p - slope / bend
        new = np.where((new > low) & (new < high), new, (low + high) / 2)
        if np.abs(new - p).max(initial=0.0) < 1e-16:
            break
        p = new
    return np.where(((arcs.at(p) - points) ** 2).sum(1) <= _end_squares(points, arcs, best), p, starts[best])


def _end_squares(points: Array, arcs: Curves, best: Index) -> Array:
    return ((arcs.at(np.linspace(0, 1, STARTS)[best]) - points) ** 2).sum(1)
