"""Where pieces of curves meet: exact formulas for lines and circles, roots of one polynomial for ellipses."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from pinnlab.domains.curves import Array, Curves, Index

CLOSE = 1e-9
"""What counts as the same point, relative to the size of the curves; far above rounding errors."""

Meeting = tuple[int, float, int, float]
"""A piece and a parameter on it, and another one of the other curves, that are the same point."""


def crossings(one: Curves, other: Curves, slack: float) -> list[Meeting]:
    """All points in which pieces of two sets meet; where they run along each other, the ends of the common part.

    Args:
        one: pieces.
        other: other ones, or the same.
        slack: the distance that counts as none.
    """
    found: list[Meeting] = []
    for i, j in zip(*_near(one, other, slack), strict=True):
        a, b = one.take(np.array([i])), other.take(np.array([j]))
        for p, q in _meet(a, b, slack):
            for u in _inside(a, p, slack):
                found.extend((int(i), u, int(j), v) for v in _inside(b, q, slack))
    return found


def _near(one: Curves, other: Curves, slack: float) -> tuple[Index, Index]:
    """The pairs of pieces whose bounding boxes meet."""
    (low, high), (other_low, other_high) = one.corners(), other.corners()
    meet = np.ones((len(one), len(other)), dtype=bool)
    for k in (0, 1):
        meet &= low[:, None, k] <= other_high[:, k] + slack
        meet &= other_low[:, k] <= high[:, None, k] + slack
    rows, columns = np.nonzero(meet)
    return rows, columns


def _inside(piece: Curves, p: float, slack: float) -> list[float]:
    """A parameter if it lies on the piece, snapped to an end that is close; of an arc, all turns of it that do."""
    size = float(piece.lengths()[0])
    if piece.sweep[0] == 0.0:
        candidates: Iterable[float] = (p,)
    else:  # p counts from the arc's first angle; whole turns are the same place
        turn = 2 * math.pi / abs(float(piece.sweep[0]))
        p = math.fmod(p, turn)
        candidates = (p - turn, p, p + turn)
    snap = slack / size
    return sorted({min(max(q, 0.0), 1.0) for q in candidates if -snap <= q <= 1 + snap})


def _meet(a: Curves, b: Curves, slack: float) -> list[tuple[float, float]]:
    """Pairs of parameters on the whole lines and ellipses of two pieces."""
    if a.straight[0] and b.straight[0]:
        return _lines(a, b, slack)
    if a.straight[0]:
        return _line_and_ellipse(a, b)
    if b.straight[0]:
        return [(p, q) for q, p in _line_and_ellipse(b, a)]
    return _ellipses(a, b, slack)


def _lines(a: Curves, b: Curves, slack: float) -> list[tuple[float, float]]:
    d, e, gap = a.along[0], b.along[0], b.start[0] - a.start[0]
    cross = float(d[0] * e[1] - d[1] * e[0])
    if abs(cross) > 1e-12 * math.hypot(*d) * math.hypot(*e):
        return [(float(gap[0] * e[1] - gap[1] * e[0]) / cross, float(gap[0] * d[1] - gap[1] * d[0]) / cross)]
    if abs(float(gap[0] * d[1] - gap[1] * d[0])) > slack * math.hypot(*d):
        return []
    onto_a = [(float((gap + q * e) @ d / (d @ d)), q) for q in (0.0, 1.0)]
    onto_b = [(p, float((p * d - gap) @ e / (e @ e))) for p in (0.0, 1.0)]
    return onto_a + onto_b


def _line_and_ellipse(line: Curves, arc: Curves) -> list[tuple[float, float]]:
    inverse = np.linalg.inv(arc.matrix[0])
    w, v = inverse @ (line.start[0] - arc.start[0]), inverse @ line.along[0]
    # |w + p v| = 1, seen from the line's foot, the point nearest to the centre, where no digits cancel.
    foot = -float(w @ v) / float(v @ v)
    rest = 1.0 - float(np.square(w + foot * v).sum())
    if rest < -1e-12:
        return []
    half = math.sqrt(max(rest, 0.0) / float(v @ v))
    return [(p, _parameter(arc, w + p * v)) for p in sorted({foot - half, foot + half})]


def _ellipses(a: Curves, b: Curves, slack: float) -> list[tuple[float, float]]:
    if _same_ellipse(a, b, slack):
        onto_a = [(_parameter_of(a, end[0]), q) for end, q in zip(b.ends, (0.0, 1.0), strict=True)]
        onto_b = [(p, _parameter_of(b, end[0])) for end, p in zip(a.ends, (0.0, 1.0), strict=True)]
        return onto_a + onto_b
    inverse = np.linalg.inv(b.matrix[0])
    w, n = inverse @ (a.start[0] - b.start[0]), inverse @ a.matrix[0]
    angles = _roots(w, n)
    return [
        (float((angle - a.first[0]) / a.sweep[0]), _parameter(b, w + n @ np.array([math.cos(angle), math.sin(angle)])))
        for angle in angles
    ]


def _same_ellipse(a: Curves, b: Curves, slack: float) -> bool:
    """Whether two arcs lie on one ellipse."""
    quadratic = [m.matrix[0] @ m.matrix[0].T for m in (a, b)]
    size = math.sqrt(float(np.abs(quadratic[0]).max()))
    return bool(np.abs(a.start - b.start).max() <= slack and np.abs(quadratic[0] - quadratic[1]).max() <= slack * size)


def _roots(w: Array, n: Array) -> list[float]:
    """The angles at which `|w + N (cos, sin)| = 1`, a trigonometric polynomial of degree 2."""
    g, h = n.T @ n, 2 * n.T @ w
    constant = float(w @ w) - 1 + (g[0, 0] + g[1, 1]) / 2
    double, both = complex((g[0, 0] - g[1, 1]) / 2, -g[0, 1]), complex(h[0], -h[1])
    scale = abs(constant) + abs(both) + abs(double)
    if abs(double) <= 1e-14 * scale:  # two circles
        if abs(constant) > abs(both) * (1 + 1e-12) or both == 0:
            return []
        middle, half = math.atan2(h[1], h[0]), math.acos(max(-1.0, min(1.0, -constant / abs(both))))
        return [middle - half, middle + half]
    roots = np.roots([double / 2, both / 2, constant, both.conjugate() / 2, double.conjugate() / 2])
    angles = np.angle(roots[np.abs(np.abs(roots) - 1) < 1e-5])
    for _ in range(4):
        e, t = np.stack([np.cos(angles), np.sin(angles)]), np.stack([-np.sin(angles), np.cos(angles)])
        value, slope = np.square(w[:, None] + n @ e).sum(0) - 1, 2 * ((w[:, None] + n @ e) * (n @ t)).sum(0)
        step = np.divide(value, slope, out=np.zeros_like(value), where=np.abs(slope) > 1e-7 * scale)
        angles = angles - np.clip(step, -1e-3, 1e-3)
    value = np.square(w[:, None] + n @ np.stack([np.cos(angles), np.sin(angles)])).sum(0) - 1
    return [float(angle) for angle in angles[np.abs(value) < 1e-9 * (1 + scale)]]


def _parameter(arc: Curves, direction: Array) -> float:
    """The parameter of an arc where it has a direction of the unit circle, before whole turns are taken off."""
    return float((math.atan2(direction[1], direction[0]) - arc.first[0]) / arc.sweep[0])


def _parameter_of(arc: Curves, point: Array) -> float:
    return _parameter(arc, np.linalg.inv(arc.matrix[0]) @ (point - arc.start[0]))
