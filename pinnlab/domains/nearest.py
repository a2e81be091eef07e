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
HOLLOWS = 3
"""Of these the most from which it does."""


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
    """The best of the places that Newton's method finds from the best starts that are better than their neighbours.

    There are up to two nearest places on two sides of a thin ellipse, and two ends, which a whole one has side by side.
    """
    starts = np.linspace(0, 1, STARTS)
    place = arc.take(np.zeros(STARTS, dtype=np.intp)).at(starts)
    squares = ((points[:, None] - place) ** 2).sum(-1)
    beside = np.pad(squares, ((0, 0), (1, 1)), constant_values=np.inf)
    hollows = np.where(squares <= np.minimum(beside[:, :-2], beside[:, 2:]), squares, np.inf)
    chosen = np.argpartition(hollows, HOLLOWS, axis=1)[:, :HOLLOWS]
    found = np.stack([_from_start(points, arc, starts[k], squares[np.arange(len(k)), k]) for k in chosen.T])
    return np.take_along_axis(found[..., 0], found[..., 1].argmin(0)[None], 0)[0]


def _from_start(points: Array, arc: Curves, start: Array, square: Array) -> Array:
    """The parameter that Newton's method finds near a start, whose squared distance is known; and the one there."""
    arcs, p = arc.take(np.zeros(len(points), dtype=np.intp)), start
    step = 1 / (STARTS - 1)
    low, high = np.maximum(p - step, 0.0), np.minimum(p + step, 1.0)
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
    found = ((arcs.at(p) - points) ** 2).sum(1)
    return np.where((found <= square)[:, None], np.stack([p, found], -1), np.stack([start, square], -1))
