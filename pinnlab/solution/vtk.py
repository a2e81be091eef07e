"""A solution as files for ParaView: on a user's mesh, or on the cells of a regular grid; over time as a series."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from pinnlab.derivatives.fields import TIME
from pinnlab.errors import ConfigurationError
from pinnlab.numerics.extras import needed
from pinnlab.solution.files import whole
from pinnlab.solution.sampling import Array, Function, Samples, at_points, axes_of

TIMES = 21
"""Files of a series when nobody says how many."""

_SQUARE = ((0, 0), (1, 0), (1, 1), (0, 1))

CELLS: Mapping[int, tuple[str, tuple[tuple[int, ...], ...]]] = MappingProxyType(
    {
        0: ("vertex", ((),)),
        1: ("line", ((0,), (1,))),
        2: ("quad", _SQUARE),
        3: ("hexahedron", tuple((*corner, z) for z in (0, 1) for corner in _SQUARE)),
    }
)
"""The cell of a grid for each number of dimensions, and its corners in VTK's order."""

Cells = list[tuple[str, Any]]
"""Kinds of cells with their corners `(cells, corners)`, as meshio has them."""


def write_vtk(solution: Function, path: Path, mesh: Any = None, sides: Mapping[str, Any] | None = None) -> Path:
    """Writes the solution over space; with time one file for each time, and a `.pvd` that lists them.

    Args:
        solution: what to write.
        path: ends with `.vtu`, or `.pvd` for a series.
        mesh: a `meshio.Mesh`, or a file that meshio reads; default: the cells of a regular grid that lie in the domain,
            at each time those that do so then. Times at which none does are left out.
        sides: of the grid, and the times, as for `on_grid`.

    Returns:
        The file to open: the `.pvd` of a series.

    Raises:
        ConfigurationError: space has more than three dimensions; the mesh or the ending does not fit; a side is given
            beside a mesh.
    """
    if path.suffix not in (".vtu", ".pvd"):
        raise ConfigurationError(f"to_vtk: {path.name} must end with .vtu")
    meshio, sides = needed("meshio", "to_vtk"), dict(sides or {})
    names = solution.problem.coordinates
    space = [name for name in names if name != TIME]
    if not 1 <= len(space) <= 3:
        raise ConfigurationError(f"to_vtk: needs one to three coordinates of space, not {len(space)}")
    axes = axes_of(solution.problem, {TIME: TIMES, **sides} if TIME in names else sides)
    times = axes[TIME].tolist() if TIME in names else [None]
    if mesh is None:
        found = [_cells(solution, axes if t is None else {**axes, TIME: np.array([t])}, space) for t in times]
    else:
        if extra := [name for name in sides if name != TIME]:
            raise ConfigurationError(f"to_vtk: {extra[0]} is given by the mesh; leave it out")
        found = [_of_mesh(mesh, space, meshio)] * len(times)
    shown = [(t, *part) for t, part in zip(times, found, strict=True) if part is not None]
    if not shown:
        raise ConfigurationError("to_vtk: no cell of the grid lies in the domain; use a finer grid")
    frames = []
    for k, (t, places, cells) in enumerate(shown):
        frame = path.with_suffix(".vtu") if t is None else path.with_name(f"{path.stem}_{k:04d}.vtu")
        columns = {name: places[:, i] for i, name in enumerate(space)}
        if t is not None:
            columns[TIME] = np.full(len(places), t)
        points = torch.from_numpy(np.stack([columns[name] for name in names], -1))
        _write(meshio, frame, places, cells, at_points(solution, points).values)
        frames.append(frame)
    series = [t for t, *_ in shown if t is not None]
    return _write_series(path.with_suffix(".pvd"), frames, series) if series else frames[0]


def write_points(samples: Samples, path: Path) -> Path:
    """Writes samples at points as single vertices in space; the time, if there is one, is a value of each.

    Raises:
        ConfigurationError: space has more than three dimensions.
    """
    meshio, columns = needed("meshio", "to_vtk"), samples.columns()
    space = [name for name in samples.axes if name != TIME]
    if not 1 <= len(space) <= 3:
        raise ConfigurationError(f"to_vtk: needs one to three coordinates of space, not {len(space)}")
    places = np.stack([columns[name] for name in space], -1)
    values = {name: column for name, column in columns.items() if name not in space}
    _write(meshio, path, places, [("vertex", np.arange(len(places))[:, None])], values)
    return path


def _cells(solution: Function, axes: Mapping[str, Array], space: list[str]) -> tuple[Array, Cells] | None:
    """Nodes `(n, k)` in space and cells of a grid, of those cells only whose corners all lie in the domain, if any."""
    grid = np.meshgrid(*axes.values(), indexing="ij")
    points = np.stack([g.reshape(-1) for g in grid], -1)
    inside = solution.problem.domain.contains(torch.from_numpy(points)).numpy()
    numbers = np.arange(len(points)).reshape([len(axes[name]) for name in axes if name != TIME])
    wide = [i for i in range(numbers.ndim) if numbers.shape[i] > 1]
    kind, corners = CELLS[len(wide)]
    found = []
    for corner in corners:
        slices = [slice(None)] * numbers.ndim
        for axis, end in zip(wide, corner, strict=True):
            slices[axis] = slice(1, None) if end else slice(None, -1)
        found.append(numbers[tuple(slices)].reshape(-1))
    cells = np.stack(found, -1)
    cells = cells[inside[cells].all(-1)]
    if not len(cells):
        return None
    used, renumbered = np.unique(cells, return_inverse=True)
    columns = [i for i, name in enumerate(axes) if name in space]
    return points[used][:, columns], [(kind, renumbered.reshape(cells.shape))]


def _of_mesh(mesh: Any, space: list[str], meshio: Any) -> tuple[Array, Cells]:
    """Nodes `(n, k)` in space and cells of a user's mesh."""
    if isinstance(mesh, (str, Path)):
        try:
            mesh = meshio.read(mesh)
        except (OSError, SystemExit, meshio.ReadError) as error:
            raise ConfigurationError(f"mesh: {mesh} cannot be read by meshio ({error})") from error
    if not isinstance(mesh, meshio.Mesh):
        raise ConfigurationError(f"mesh: must be a meshio.Mesh or a file, got {type(mesh).__name__}")
    nodes = np.asarray(mesh.points, dtype=np.float64)
    if nodes.shape[1] < len(space):
        raise ConfigurationError(f"mesh: has {nodes.shape[1]} coordinates, the problem needs {', '.join(space)}")
    return nodes[:, : len(space)], [(block.type, block.data) for block in mesh.cells]


def _write(meshio: Any, path: Path, places: Array, cells: Cells, values: Mapping[str, Array]) -> None:
    nodes = np.zeros((len(places), 3))  # VTK knows three dimensions only
    nodes[:, : places.shape[1]] = places
    file = meshio.Mesh(nodes, cells, point_data=dict(values))
    whole(path, lambda part: file.write(part))


def _write_series(path: Path, frames: list[Path], times: list[float]) -> Path:
    entries = "".join(
        f'    <DataSet timestep="{time!r}" part="0" file="{frame.name}"/>\n'
        for time, frame in zip(times, frames, strict=True)
    )
    text = (
        '<?xml version="1.0"?>\n<VTKFile type="Collection" version="0.1" byte_order="LittleEndian">\n'
        f"  <Collection>\n{entries}  </Collection>\n</VTKFile>\n"
    )
    return whole(path, lambda part: part.write_text(text))
