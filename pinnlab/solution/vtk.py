"""A solution as files for ParaView: on a user's mesh, or on the cells of a regular grid; over time as a series."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pinnlab.derivatives.fields import TIME
from pinnlab.domains import Domain, function_spaces
from pinnlab.errors import ConfigurationError
from pinnlab.numerics.extras import needed
from pinnlab.reporting.files import whole
from pinnlab.solution.functions import within_whatever_function
from pinnlab.solution.sampling import AnySolution, Array, Samples, at_points, axes_of

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

Part = tuple[Array, Cells]
"""Nodes `(n, k)` in space, and cells between them."""


def write_vtk(solution: AnySolution, path: Path, mesh: Any = None, sides: Mapping[str, Any] | None = None) -> Path:
    """Writes the solution over space; with time one file for each time, and a `.pvd` that lists them.

    Args:
        solution: what to write.
        path: ends with `.vtu`, or `.pvd` for a series.
        mesh: a `meshio.Mesh`, or a file that meshio reads; default: the cells of a regular grid that lie in the domain,
            at each time those that do so then. Times at which none does are left out.
        sides: of the grid, and the times, as for `on_grid`; of an operator the function, too.

    Returns:
        The file to open: the `.pvd` of a series.

    Raises:
        ConfigurationError: space has more than three dimensions; the mesh or the ending does not fit; a side is given
            beside a mesh; an operator's function is missing, or there are several.
    """
    if path.suffix not in (".vtu", ".pvd"):
        raise ConfigurationError(f"to_vtk: {path.name} must end with .vtu")
    meshio, sides = needed("meshio", "to_vtk"), dict(sides or {})
    names = solution.problem.coordinates
    axes = axes_of(solution.problem, {TIME: TIMES, **sides} if TIME in names else sides)
    function = _function(solution.problem.domain, axes)
    space = _space(name for name in names if name not in function)
    times = axes[TIME].tolist() if TIME in names else [None]
    if mesh is None:
        parts = _of_grid(solution, {name: axes[name] for name in space}, times, function)
    elif extra := [name for name in sides if name in space]:
        raise ConfigurationError(f"to_vtk: {extra[0]} is given by the mesh; leave it out")
    else:
        parts = zip(times, itertools.repeat(_of_mesh(mesh, space, meshio)), strict=False)
    frames: list[Path] = []
    series: list[float] = []
    for t, (places, cells) in parts:
        frame = path.with_suffix(".vtu") if t is None else path.with_name(f"{path.stem}_{len(frames):04d}.vtu")
        _write(meshio, frame, places, cells, at_points(solution, _points(names, places, t, function)).values)
        frames.append(frame)
        series += [] if t is None else [t]
    if not frames:
        raise ConfigurationError("to_vtk: no cell of the grid lies in the domain; use a finer grid")
    return _write_series(path.with_suffix(".pvd"), frames, series) if series else frames[0]


def write_points(samples: Samples, domain: Domain, path: Path) -> Path:
    """Writes samples at points as single vertices in space; time and a function's coefficients are values of each.

    Args:
        samples: at points.
        domain: that they are of.
        path: of the file.

    Raises:
        ConfigurationError: space has more than three dimensions.
    """
    meshio, columns = needed("meshio", "to_vtk"), samples.columns()
    functions = {name for space in function_spaces(domain) for name in space.coordinates}
    space = _space(name for name in samples.axes if name not in functions)
    places = np.stack([columns[name] for name in space], -1)
    values = {name: column for name, column in columns.items() if name not in space}
    _write(meshio, path, places, [("vertex", np.arange(len(places))[:, None])], values)
    return path


def _space(names: Iterable[str]) -> list[str]:
    """The coordinates but for the time.

    Raises:
        ConfigurationError: ParaView has not so many.
    """
    space = [name for name in names if name != TIME]
    if not 1 <= len(space) <= 3:
        raise ConfigurationError(f"to_vtk: needs one to three coordinates of space, not {len(space)}")
    return space


def _function(domain: Domain, axes: Mapping[str, Array]) -> dict[str, float]:
    """The coefficients of the function that an operator's solution is written for; none of another solution.

    Raises:
        ConfigurationError: not each of them has one value.
    """
    for space in function_spaces(domain):
        if any(len(axes[name]) != 1 for name in space.coordinates):
            raise ConfigurationError(
                f"to_vtk: {space.name}: needs one function, as solution.to_vtk('u.vtu', {space.name}=...); for points "
                f"(--points) their {space.coordinates[0]} to {space.coordinates[-1]} say which"
            )
    return {name: float(axes[name][0]) for space in function_spaces(domain) for name in space.coordinates}


def _points(names: Sequence[str], places: Array, t: float | None, function: Mapping[str, float]) -> torch.Tensor:
    """Places `(n, k)` at a time as points `(n, d)`."""
    columns, given = iter(places.T), {TIME: t, **function}
    return torch.from_numpy(
        np.stack([np.full(len(places), given[name]) if name in given else next(columns) for name in names], -1)
    )


def _of_grid(
    solution: AnySolution, axes: Mapping[str, Array], times: Sequence[float | None], function: Mapping[str, float]
) -> Iterator[tuple[float | None, Part]]:
    """At each time those cells of a grid in space whose corners all lie in the domain; no time at which none does.

    They are put together anew only where others do: most domains are the same at all times.
    """
    places = np.stack([column.reshape(-1) for column in np.meshgrid(*axes.values(), indexing="ij")], -1)
    kind, cells = _cells([len(axis) for axis in axes.values()])
    known: tuple[Array, Part] | None = None
    for t in times:
        points = _points(solution.problem.coordinates, places, t, function)
        inside = within_whatever_function(solution.problem.domain, points).numpy()
        if known is None or not np.array_equal(known[0], inside):
            kept = cells[inside[cells].all(-1)]
            used, renumbered = np.unique(kept, return_inverse=True)
            known = inside, (places[used], [(kind, renumbered.reshape(kept.shape))])
        if len(known[1][0]):
            yield t, known[1]


def _cells(shape: Sequence[int]) -> tuple[str, NDArray[np.intp]]:
    """The kind of a grid's cells, and the numbers of their corners."""
    numbers = np.arange(math.prod(shape)).reshape(shape)
    wide = [i for i in range(numbers.ndim) if numbers.shape[i] > 1]
    kind, corners = CELLS[len(wide)]
    found = []
    for corner in corners:
        slices = [slice(None)] * numbers.ndim
        for axis, end in zip(wide, corner, strict=True):
            slices[axis] = slice(1, None) if end else slice(None, -1)
        found.append(numbers[tuple(slices)].reshape(-1))
    return kind, np.stack(found, -1)


def _of_mesh(mesh: Any, space: list[str], meshio: Any) -> Part:
    """A user's mesh."""
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
