"""Curves in the plane as a region: the boundary of a plane domain, or parts of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence, Set

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinnlab.domains import rules
from pinnlab.domains.base import Region, pick_part, shares_to_edges
from pinnlab.domains.curves import Array, Curves, Index
from pinnlab.domains.nearest import nearest
from pinnlab.domains.outline import Outline
from pinnlab.domains.rules import Rule
from pinnlab.errors import ConfigurationError

LOOKS = 64
"""Places of each piece at which a selection is looked at; a stretch between two of them may be missed."""
FEWEST = 2
"""Gauss points of a line at least, on which cubic polynomials are exact."""
ROUND = 16
"""Those of a whole turn, of an arc its part: what flows out of a small round hole is then exact to 1e-10."""
HALVINGS = 60
"""Until the place where a selection begins or ends is known to all digits."""


class PlaneCurves(Region):
    """Lines and arcs of circles and ellipses, exactly, by their length. `boundary()` of a plane domain builds it.

    Args:
        coordinates: the names of the two coordinates.
        curves: the pieces, one after the other, with the domain on their left.
    """

    unit_dim = 1

    def __init__(self, coordinates: Sequence[str], curves: Curves) -> None:
        self.coordinates = tuple(coordinates)
        self.curves = curves
        lengths = curves.lengths()
        self.measure = float(lengths.sum())
        self._edges = shares_to_edges(lengths.tolist())

    def pieces(self) -> Sequence[PlaneCurves]:
        """Each line and each arc by itself."""
        return [PlaneCurves(self.coordinates, self.curves.take(np.array([k]))) for k in range(len(self.curves))]

    def where(self, test: Callable[[Tensor, Tensor], Tensor]) -> PlaneCurves | None:
        """The parts at which a test of points and normals holds, cut where it begins and ends; None for none."""
        places = np.linspace(0, 1, LOOKS + 1)
        middles = (places[1:] + places[:-1]) / 2
        rows = np.repeat(np.arange(len(self.curves)), LOOKS)
        holds = self._tested(test, rows, np.tile(middles, len(self.curves))).reshape(-1, LOOKS)
        changes = [np.flatnonzero(np.diff(own)) for own in holds]
        piece = np.repeat(np.arange(len(self.curves)), [len(own) for own in changes])
        number = np.concatenate([np.empty(0, dtype=np.intp), *changes])
        low, high, first = middles[number], middles[number + 1], holds[piece, number]
        for _ in range(HALVINGS if len(piece) else 0):
            half = (low + high) / 2
            as_first = self._tested(test, piece, half) == first
            low, high = np.where(as_first, half, low), np.where(as_first, high, half)
        kept: list[tuple[int, float, float]] = []
        for k, own in enumerate(holds):
            cuts = [0.0, *high[piece == k].tolist(), 1.0]
            begins = bool(own[0])
            kept += [(k, a, b) for j, (a, b) in enumerate(itertools.pairwise(cuts)) if begins == (j % 2 == 0)]
        if not kept:
            return None
        chosen, begin, end = (np.array(column) for column in zip(*kept, strict=True))
        return PlaneCurves(self.coordinates, self.curves.take(chosen).part(begin, end))

    def _tested(self, test: Callable[[Tensor, Tensor], Tensor], rows: Index, p: Array) -> NDArray[np.bool_]:
        pieces = self.curves.take(rows)
        return test(torch.from_numpy(pieces.at(p)), torch.from_numpy(pieces.normals(p))).numpy()

    def _from_unit(self, unit: Tensor) -> Tensor:
        piece, share = pick_part(unit[:, 0].double().cpu(), self._edges)
        pieces = self.curves.take(piece.numpy())
        return torch.from_numpy(pieces.at(pieces.by_length(share.numpy()))).to(unit)

    def _quadrature(self, count: int) -> Rule:
        shares = self.curves.lengths() / self.measure
        fewest = np.maximum(np.ceil(ROUND * np.abs(self.curves.sweep) / (2 * math.pi)), FEWEST)
        counts = np.maximum(np.round(shares * count), fewest).astype(int)
        parts = []
        for k, share in enumerate(shares):
            nodes, weights = rules.gauss_line(int(counts[k]))
            unit = self._edges[k] + nodes * (self._edges[k + 1] - self._edges[k])
            parts.append((self.from_unit(unit.clamp(max=1 - 2**-53)), weights * share * self.measure))
        return rules.joined(parts)

    def _distance(self, points: Tensor) -> Tensor:
        return torch.from_numpy(nearest(numbers(points), self.curves).distance).to(points)

    def _normals(self, points: Tensor) -> Tensor:
        close = nearest(numbers(points), self.curves)
        return torch.from_numpy(self.curves.take(close.piece).normals(close.parameter)).to(points)

    def __repr__(self) -> str:
        return f"PlaneCurves({', '.join(self.coordinates)}; {self.curves.in_words()}, length {self.measure:.6g})"


def sides(coordinates: tuple[str, ...], outline: Outline, names: Set[str], value: float | None = None) -> PlaneCurves:
    """The boundary of a plane domain, or its sides whose normal has one coordinate only, or those at a value of it.

    Args:
        coordinates: of the domain.
        outline: its boundary.
        names: both coordinates, for all of it; or one.
        value: of the one coordinate.

    Raises:
        ConfigurationError: there is no such side.
    """
    if len(names) == 2:
        return PlaneCurves(coordinates, outline.curves)
    (name,) = names
    curves = outline.sides(coordinates.index(name), value)
    if not len(curves):
        what = f"boundary: no side is normal to {name}" if value is None else f"face: no side at {name} = {value:g}"
        raise ConfigurationError(f"{what}; use boundary(where=...)")
    return PlaneCurves(coordinates, curves)


def numbers(points: Tensor) -> Array:
    """Points as numpy float64, whatever and wherever they are."""
    return points.detach().double().cpu().numpy()
