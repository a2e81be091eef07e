"""Hats that need not vanish on the boundary, cut off by it: with quadratures inside of the domain and along it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pinnlab.domains import Box, Domain, PlaneCurves, Region
from pinnlab.errors import ConfigurationError
from pinnlab.samplers import Sobol

_ON = 1e-7
"""Distance from a part of the boundary, in widths of a cell, within which a place counts as on it."""
_CURVED = 9
"""Times as many nodes as a whole cell has one that is cut: curves, and lines across it, need them."""
_LOOKED_AT = 2**10
"""Points of each piece of the boundary by which it is found which cells it crosses."""
_LEAST = 0.1
"""Of the integral of a whole hat: what the boundary leaves of one counts as no less. A sliver of a hat would weigh its
flux without bound."""


@dataclass(frozen=True)
class Hats:
    """Test functions, each with its quadratures.

    Attributes:
        places: `(k, d)` a point in the support of each.
        inside: `(k, q, 2 d + 1)` nodes, weights of the value, weights of each slope.
        along: for each part of the boundary `(k, q, 2 d + 1)`: nodes, weights of the value, outward normals.
    """

    places: Tensor
    inside: Tensor
    along: list[Tensor]


@dataclass(frozen=True)
class _Cell:
    """What of a cell lies in the domain: `(q, d + 1)` nodes and weights, along each part `(q, 2 d + 1)` normals, too.

    Attributes:
        shut: `(s, d)` nodes on the rest of the boundary, on which test functions vanish.
    """

    inside: Tensor
    along: list[Tensor]
    shut: Tensor


def hats(domain: Domain, numbers: Sequence[int], points: int, parts: Sequence[Region]) -> Hats:
    """All hats on a regular grid over the bounding box that vanish on the boundary but for some parts of it.

    A hat is scaled to an integral of 1; what is left of less than a tenth of it, to less. Cells that the boundary cuts
    are exact in the plane where it is one of lines and arcs; elsewhere they are left out, with the hats on them.

    Args:
        domain: where.
        numbers: of cells in each direction.
        points: Gauss points of each cell in each direction.
        parts: of the boundary.

    Raises:
        ConfigurationError: there is none, or none of them is other than zero on one of the parts.
    """
    grid = [np.linspace(a, b, n + 1) for a, b, n in zip(domain.low, domain.high, numbers, strict=True)]
    width = torch.tensor([axis[1] - axis[0] for axis in grid], dtype=torch.float64)
    cutter = _Cutter(domain, points, parts, _ON * float(width.min()))
    cells = {index: cutter.cell(_box(domain, grid, index)) for index in itertools.product(*map(range, numbers))}
    found = []
    for index in itertools.product(*(range(n + 1) for n in numbers)):
        steps = itertools.product(*[(i - 1, i) for i in index])
        around = [cells[step] for step in steps if step in cells]
        corner = torch.tensor([axis[i] for axis, i in zip(grid, index, strict=True)], dtype=torch.float64)
        if (hat := _hat(corner, width, around)) is not None:
            found.append(hat)
    if not found:
        raise ConfigurationError(f"Weak: no test function fits into {domain!r}; raise cells")
    insides, alongs = zip(*found, strict=True)
    blocks = [_padded([along[j] for along in alongs], domain.dim) for j in range(len(parts))]
    for part, block in zip(parts, blocks, strict=True):
        if not bool(block[:, :, domain.dim].any()):
            raise ConfigurationError(
                f"Weak: boundary: no test function reaches {part!r}; raise cells (curved boundaries have terms in the "
                "plane only)"
            )
    places = torch.stack([_middle(domain, rows[:, : domain.dim]) for rows in insides])
    return Hats(places, _padded(list(insides), domain.dim), blocks)


def _hat(corner: Tensor, width: Tensor, around: Sequence[_Cell | None]) -> tuple[Tensor, list[Tensor]] | None:
    """One test function; None where it would not vanish on the rest of the boundary, or cannot be integrated."""
    known = [cell for cell in around if cell is not None]
    if len(known) < len(around) or any((_values(cell.shut, corner, width) > _ON).any() for cell in known):
        return None
    d, rows = len(corner), torch.cat([cell.inside for cell in known])
    nodes, weights = rows[:, :d], rows[:, d]
    values = _values(nodes, corner, width)
    integral = float((weights * values).sum())
    if integral <= 0:
        return None
    scale = max(integral, _LEAST * float(width.prod()))
    weights = weights / scale
    sides = 1 - (nodes - corner).abs() / width
    slopes = [
        -torch.sign(nodes[:, k] - corner[k]) / width[k] * torch.cat([sides[:, :k], sides[:, k + 1 :]], 1).prod(1)
        for k in range(d)
    ]
    inside = torch.cat([nodes, (weights * values)[:, None], weights[:, None] * torch.stack(slopes, -1)], 1)
    along = []
    for blocks in zip(*(cell.along for cell in known), strict=True):
        block = torch.cat(blocks)
        factor = _values(block[:, :d], corner, width) / scale
        along.append(torch.cat([block[:, :d], (block[:, d] * factor)[:, None], block[:, d + 1 :]], 1))
    return inside, along


def _box(domain: Domain, grid: Sequence[np.ndarray], index: tuple[int, ...]) -> Box:
    ends = [[float(axis[i + k]) for axis, i in zip(grid, index, strict=True)] for k in (0, 1)]
    return Box(list(domain.coordinates), *ends)


def _middle(domain: Domain, nodes: Tensor) -> Tensor:
    """The mean of the nodes, or where the domain has a hole there, the node next to it."""
    mean = nodes.mean(0)
    return mean if bool(domain.inside(mean[None])) else nodes[(nodes - mean).square().sum(1).argmin()]


def _values(nodes: Tensor, corner: Tensor, width: Tensor) -> Tensor:
    return (1 - (nodes - corner).abs() / width).clamp_min(0.0).prod(1)


def _padded(blocks: Sequence[Tensor], d: int) -> Tensor:
    """Blocks of rows as one tensor: those that are short have their first row, or the first of all, without weight."""
    most = max(max(map(len, blocks)), 1)
    spare = next((block[:1] for block in blocks if len(block)), torch.zeros(1, 2 * d + 1, dtype=torch.float64))
    filled = []
    for block in blocks:
        row = (block[:1] if len(block) else spare).clone()
        row[:, d:] = 0.0
        filled.append(torch.cat([block, row.expand(most - len(block), -1)]))
    return torch.stack(filled)


class _Cutter:
    """Cuts cells of a grid by the boundary of a domain."""

    def __init__(self, domain: Domain, points: int, parts: Sequence[Region], near: float) -> None:
        self.domain, self.points, self.parts, self._near = domain, points, parts, near
        self.boundary = domain.boundary()
        sides = [b - a for a, b in zip(domain.low, domain.high, strict=True)]
        self._curved = domain.outline is not None and not math.isclose(domain.measure, math.prod(sides))
        self._no_nodes = torch.empty(0, domain.dim, dtype=torch.float64)
        self._no_side = torch.empty(0, 2 * domain.dim + 1, dtype=torch.float64)
        pieces = () if domain.outline is not None else self.boundary.pieces()
        self._edge = torch.cat([self._no_nodes, *(Sobol().sample(piece, _LOOKED_AT, seed=0) for piece in pieces)])

    def cell(self, box: Box) -> _Cell | None:
        """What of a box lies in the domain; None where that is not known exactly."""
        nothing = [self._no_side] * len(self.parts)
        center = torch.tensor([[(a + b) / 2 for a, b in zip(box.low, box.high, strict=True)]], dtype=torch.float64)
        piece: Domain = box
        if float(self.boundary.distance(center)) > math.dist(box.low, box.high) / 2 * (1 + _ON):
            inside = bool(self.domain.inside(center))
            rule = self._inside(box) if inside else torch.empty(0, self.domain.dim + 1, dtype=torch.float64)
            return _Cell(rule, nothing, self._no_nodes)
        if self._curved:
            try:
                piece = self.domain & box
            except ConfigurationError:  # they have nothing in common
                return _Cell(torch.empty(0, self.domain.dim + 1, dtype=torch.float64), nothing, self._no_nodes)
        rule = self._inside(piece)
        if self._is_crossed(box) or not bool(self.domain.contains(rule[:, : self.domain.dim]).all()):
            return None
        return _Cell(rule, [self._along(piece, part) for part in self.parts], self._shut(piece))

    def _is_crossed(self, box: Box) -> bool:
        """Whether a boundary that cannot cut a box exactly goes through it: a hole may lie between the nodes."""
        low, high = (self._edge.new_tensor(corner) for corner in (box.low, box.high))
        return bool(((self._edge > low + self._near) & (self._edge < high - self._near)).all(1).any())

    def _inside(self, piece: Domain) -> Tensor:
        """Nodes and weights; more of them in a piece that has curves, or is made of several."""
        count = self.points**piece.dim
        if not isinstance(piece, Box) and piece.outline is not None:
            count *= _CURVED
            while piece.outline.rule(count) is None:
                count *= 2
        nodes, weights = piece.quadrature(count)
        return torch.cat([nodes, weights[:, None]], 1)

    def _along(self, piece: Domain, part: Region) -> Tensor:
        """Nodes, weights and normals of what of a piece's boundary lies on a part of the domain's."""
        d, outline = piece.dim, piece.outline
        if outline is not None:  # cut where the part ends; short curves have as many nodes as long ones
            try:
                side = piece.boundary(on=part)
            except ConfigurationError:  # nothing lies there
                return self._no_side
            assert isinstance(side, PlaneCurves)
            curves = [side.curves.take(np.array([k])) for k in range(len(side.curves.lengths()))]
            parts: list[Region] = [PlaneCurves(side.coordinates, curve) for curve in curves]
            return torch.cat([_with_normals(curve, curve.quadrature(2 * self.points)) for curve in parts])
        side = piece.boundary()
        found = _with_normals(side, side.quadrature(2 * d * self.points ** (d - 1)))
        return found[part.distance(found[:, :d]) <= self._near]

    def _shut(self, piece: Domain) -> Tensor:
        """Nodes on the rest of the boundary."""
        nodes = self._along(piece, self.boundary)[:, : piece.dim]
        return nodes[torch.stack([part.distance(nodes) > self._near for part in self.parts]).all(0)]


def _with_normals(side: Region, rule: tuple[Tensor, Tensor]) -> Tensor:
    nodes, weights = rule
    return torch.cat([nodes, weights[:, None], side.normals(nodes)], 1)
