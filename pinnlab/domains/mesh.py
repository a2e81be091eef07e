"""Bodies by their surfaces of triangles, as CAD programs write them, and meshes of tetrahedra, of mesh generators."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from pinnlab.domains.base import Region, checked_names
from pinnlab.domains.box import Box
from pinnlab.domains.curves import Array, Curves, Index
from pinnlab.domains.domain import Domain, Planar
from pinnlab.domains.outline import Outline
from pinnlab.domains.plane_curves import numbers
from pinnlab.domains.triangles import Triangles
from pinnlab.errors import ConfigurationError
from pinnlab.numerics.extras import GEOMETRY, needed

FACES = ((1, 2, 3), (0, 3, 2), (0, 1, 3), (0, 2, 1))
"""Of a tetrahedron of positive volume, seen against the clock from outside."""
BOX_SIDES = ((0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5))
"""The sides of a box, corners in the order of binary numbers with the first coordinate as the last digit."""


class Surface(Region):
    """Triangles in space, each in proportion to its area. `boundary()` of a mesh builds it.

    Args:
        coordinates: the names of the three coordinates.
        triangles: seen against the clock from where the normals lead.
    """

    unit_dim = 2

    def __init__(self, coordinates: Sequence[str], triangles: Triangles) -> None:
        self.coordinates = tuple(coordinates)
        self.triangles = triangles
        self.measure = float(triangles.areas.sum())
        self._simplices = Simplices(triangles.points, triangles.areas)

    def _from_unit(self, unit: Tensor) -> Tensor:
        return torch.from_numpy(self._simplices.map(numbers(unit))).to(unit)

    def _distance(self, points: Tensor) -> Tensor:
        return torch.from_numpy(self.triangles.nearest(numbers(points))[0]).to(points)

    def _normals(self, points: Tensor) -> Tensor:
        return torch.from_numpy(self.triangles.normals[self.triangles.nearest(numbers(points))[1]]).to(points)

    def __repr__(self) -> str:
        return f"Surface({', '.join(self.coordinates)}; {len(self.triangles)} triangles, area {self.measure:.6g})"


class Mesh(Domain):
    """A body in space that a closed surface of triangles bounds; perhaps cut into tetrahedra.

    Points are mapped from the unit cube onto the tetrahedra, in proportion to their volumes. Without tetrahedra they
    are those points of the box around it that are inside. Meshes and boxes combine exactly, by manifold3d.

    Args:
        coordinates: the names of the three coordinates.
        vertices: `(n, 3)`.
        triangles: `(m, 3)` numbers of vertices; all seen from outside in the same sense.
        tetrahedra: `(k, 4)` numbers of vertices, whose boundary the triangles are.

    Raises:
        ConfigurationError: the surface is not closed, or shapes are not as above.

    >>> corners = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    >>> round(Mesh(["x", "y", "z"], corners, [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]).measure, 6)
    0.166667
    """

    unit_dim = 3

    def __init__(self, coordinates: Sequence[str], vertices: Any, triangles: Any, tetrahedra: Any = None) -> None:
        self.coordinates = checked_names(coordinates)
        if self.dim != 3:
            raise ConfigurationError(f"coordinates: a mesh in space has three, got {self.dim}")
        places = np.asarray(vertices, dtype=np.float64)
        if places.ndim != 2 or places.shape[1] != 3 or not np.isfinite(places).all():
            raise ConfigurationError(f"vertices: expected (n, 3) finite numbers, got shape {places.shape}")
        surface = _closed(places, _numbered("triangles", triangles, 3, len(places)))
        low, high = surface.points.min((0, 1)), surface.points.max((0, 1))
        self.low, self.high = tuple(low.tolist()), tuple(high.tolist())
        self.triangles = surface if surface.volume() > 0 else surface.reversed()
        self.measure = self.triangles.volume()
        self._cells = None if tetrahedra is None else _numbered("tetrahedra", tetrahedra, 4, len(places))
        if self._cells is None:
            self._envelope = float((high - low).prod())
        else:
            points = places[self._cells]
            self._simplices = Simplices(points, np.abs(np.linalg.det(points[:, 1:] - points[:, :1])) / 6)

    @staticmethod
    def read(path: str | Path, coordinates: Sequence[str] | None = None) -> Domain:
        """A body from a file: a closed surface (STL, OBJ, PLY), or a mesh of tetrahedra, or of triangles in the plane.

        Args:
            path: of a format that meshio reads: .stl, .obj, .ply, .msh, .vtk, .vtu, .xdmf, .inp, ...
            coordinates: the names of the coordinates; default: x, y, z.

        Returns:
            A `Mesh`; of triangles in a plane z = constant the domain that they fill, which is a `Planar` one.

        Raises:
            ConfigurationError: meshio is missing or cannot read the file; there are no triangles and no tetrahedra; the
                surface is not closed.
        """
        meshio = needed("meshio", "Mesh.read", GEOMETRY)
        try:
            with np.errstate(over="ignore"):  # its look at whether an STL file is binary
                mesh = meshio.read(path)
        except (OSError, SystemExit, ValueError, meshio.ReadError) as error:
            raise ConfigurationError(f"path: {path} cannot be read by meshio ({error})") from error
        places = np.asarray(mesh.points, dtype=np.float64)
        cells = {kind: np.concatenate([b.data for b in mesh.cells if b.type == kind]) for kind in _kinds(mesh)}
        triangles = [cells[kind][:, :3] for kind in ("triangle", "triangle6") if kind in cells]
        triangles += [cells["quad"][:, rows] for rows in ([0, 1, 2], [0, 2, 3]) if "quad" in cells]
        tetrahedra = [cells[kind][:, :4] for kind in ("tetra", "tetra10") if kind in cells]
        if tetrahedra:
            corners = _oriented(places, np.concatenate(tetrahedra))
            return Mesh(coordinates or ("x", "y", "z"), places, _boundary(corners, FACES), corners)
        if not triangles:
            raise ConfigurationError(f"path: {path} has no triangles and no tetrahedra, but {', '.join(_kinds(mesh))}")
        if places.shape[1] == 2 or np.ptp(places[:, 2]) == 0:
            return _in_the_plane(coordinates or ("x", "y"), places[:, :2], np.concatenate(triangles))
        places, number = np.unique(places, axis=0, return_inverse=True)  # an STL file repeats each corner
        return Mesh(coordinates or ("x", "y", "z"), places, number.reshape(-1)[np.concatenate(triangles)])

    def inside(self, points: Tensor) -> Tensor:
        """Which points the surface surrounds."""
        return torch.from_numpy(self.triangles.inside(numbers(points))).to(points.device)

    def contains(self, points: Tensor, tolerance: float = 1e-9) -> Tensor:
        """Which points lie inside, or so close to the surface; see `Region.contains`."""
        found = self.inside(points)
        found[~found] = super().contains(points[~found], tolerance)
        return found

    def _candidates(self, unit: Tensor) -> tuple[Tensor, Tensor | None]:
        if self._cells is not None:
            return torch.from_numpy(self._simplices.map(numbers(unit))).to(unit), None
        low, high = unit.new_tensor(self.low), unit.new_tensor(self.high)
        points = low + unit * (high - low)
        return points, self.inside(points)

    def _distance(self, points: Tensor) -> Tensor:
        distance = points.new_zeros(len(points))
        outside = ~self.inside(points)
        distance[outside] = self.boundary().distance(points[outside])
        return distance

    def _boundary(self, names: frozenset[str]) -> Region:
        other = [k for k, name in enumerate(self.coordinates) if name not in names]
        return self._chosen((np.abs(self.triangles.normals[:, other]) <= 1e-9).all(1), f"with normal {sorted(names)}")

    def _face(self, name: str, value: float) -> Region:
        axis = self.coordinates.index(name)
        slack = 1e-9 * (self.high[axis] - self.low[axis])
        chosen = (np.abs(self.triangles.points[:, :, axis] - value) <= slack).all(1)
        return self._chosen(chosen, f"at {name} = {value:g}")

    def _chosen(self, rows: Any, which: str) -> Surface:
        if not rows.any():
            raise ConfigurationError(f"boundary: no triangle of {self!r} lies {which}; use where=...")
        return Surface(self.coordinates, self.triangles if rows.all() else self.triangles.take(rows))

    def _moved(self, matrix: Array, offset: Array) -> Domain:
        vertices = self.triangles.vertices @ matrix.T + offset
        return Mesh(self.coordinates, vertices, self.triangles.corners, self._cells)

    def _exactly(self, operation: str, one: Domain, other: Domain) -> Domain | None:
        """By manifold3d, where both are meshes or boxes."""
        meshes = [mesh for domain in (one, other) if (mesh := _as_mesh(domain)) is not None]
        if len(meshes) < 2:
            return None
        manifold = needed("manifold3d", "a mesh and another one", GEOMETRY)
        first, second = (manifold.Manifold(manifold.Mesh64(*mesh.triangles.numbered())) for mesh in meshes)
        result = first - second if operation == "-" else first + second if operation == "|" else first ^ second
        if result.is_empty():
            raise ConfigurationError(f"domain: {one!r} {operation} {other!r} is empty")
        mesh = result.to_mesh64()
        return Mesh(self.coordinates, mesh.vert_properties[:, :3], mesh.tri_verts.astype(np.intp))

    def __repr__(self) -> str:
        cells = "" if self._cells is None else f"{len(self._cells)} tetrahedra, "
        return f"Mesh({', '.join(self.coordinates)}; {cells}{len(self.triangles)} triangles, volume {self.measure:.6g})"


class Simplices:
    """Triangles or tetrahedra side by side, as the image of the unit square or cube.

    Neighbours in space are neighbours in the order in which the first number chooses among them, so that what a design
    spreads evenly stays so.

    Args:
        points: `(m, k + 1, d)` the corners of each.
        sizes: `(m,)` their areas or volumes.
    """

    def __init__(self, points: Array, sizes: Array) -> None:
        order = cKDTree(points.mean(1), leafsize=1).indices
        self._points = points[order]
        self._edges = np.concatenate([[0.0], sizes[order].cumsum() / sizes.sum()])

    def map(self, unit: Array) -> Array:
        """Points `(n, d)` for points `(n, k)` of the unit cube: spacings of sorted numbers are uniform weights."""
        part = np.searchsorted(self._edges[1:-1], unit[:, 0], side="right")
        left = np.clip((unit[:, 0] - self._edges[part]) / (self._edges[part + 1] - self._edges[part]), 0.0, 1.0)
        places = np.sort(np.concatenate([left[:, None], unit[:, 1:]], 1), 1)
        weights = np.diff(places, axis=1, prepend=0.0, append=1.0)
        return (weights[:, :, None] * self._points[part]).sum(1)


def _kinds(mesh: Any) -> list[str]:
    """The kinds of cells in a meshio mesh."""
    return list(dict.fromkeys(block.type for block in mesh.cells))


def _numbered(key: str, rows: Any, corners: int, vertices: int) -> Index:
    """Rows of numbers of vertices, checked."""
    found = np.asarray(rows)
    if found.ndim != 2 or found.shape[1] != corners or found.dtype.kind not in "iu" or not len(found):
        raise ConfigurationError(f"{key}: expected (m, {corners}) whole numbers, got {found.dtype} of {found.shape}")
    if found.min() < 0 or found.max() >= vertices:
        raise ConfigurationError(f"{key}: name vertices from 0 to {vertices - 1}, got {found.min()} to {found.max()}")
    return found.astype(np.intp)


def _closed(vertices: Array, corners: Index) -> Triangles:
    """Triangles without those of no area, checked to be a closed surface."""
    surface = Triangles(vertices, corners)
    size = float(np.ptp(vertices, axis=0).max())
    surface = surface.take((surface.areas > 1e-15 * size**2) & (np.diff(np.sort(corners, 1), axis=1) > 0).all(1))
    if (count := surface.open_edges()) or not len(surface):
        raise ConfigurationError(
            f"triangles: the surface is not closed, {count} edges have not one triangle on each side; repair it first, "
            "for example with trimesh.repair"
        )
    return surface


def _oriented(places: Array, corners: Index) -> Index:
    """Tetrahedra of positive volume, by exchanging two corners of the others."""
    points = places[corners]
    negative = np.linalg.det(points[:, 1:] - points[:, :1]) < 0
    return np.where(negative[:, None], corners[:, [1, 0, 2, 3]], corners)


def _boundary(cells: Index, faces: Sequence[Sequence[int]]) -> Index:
    """The faces that belong to one cell only."""
    every = np.concatenate([cells[:, list(face)] for face in faces])
    _, first, counts = np.unique(np.sort(every, 1), axis=0, return_index=True, return_counts=True)
    return every[np.sort(first[counts == 1])]


def _in_the_plane(coordinates: Sequence[str], places: Array, triangles: Index) -> Planar:
    """What triangles in the plane fill, by the edges of one triangle only."""
    (ax, ay), (bx, by), (cx, cy) = np.moveaxis(places[triangles], 0, -1)
    negative = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) < 0
    triangles = np.where(negative[:, None], triangles[:, ::-1], triangles)
    edges = _boundary(triangles, ((0, 1), (1, 2), (2, 0)))
    begin, end = places[edges[:, 0]], places[edges[:, 1]]
    zeros = np.zeros(len(edges))
    return Planar(coordinates, Outline(Curves(begin, end - begin, np.zeros((len(edges), 2, 2)), zeros, zeros)))


def _as_mesh(domain: Domain) -> Mesh | None:
    """A mesh or a box in space as a mesh; None of another domain."""
    if isinstance(domain, Box) and domain.dim == 3:
        ends = [(domain.low, domain.high)[bit] for bit in (0, 1)]
        vertices = [[ends[k & 1][0], ends[k >> 1 & 1][1], ends[k >> 2][2]] for k in range(8)]
        triangles = [[side[k] for k in half] for side in BOX_SIDES for half in ((0, 1, 2), (0, 2, 3))]
        return Mesh(domain.coordinates, vertices, triangles)
    return domain if isinstance(domain, Mesh) else None
