"""Samples of a solution as files: NumPy's, NetCDF, CSV, and points for ParaView."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from pinnlab.errors import ConfigurationError
from pinnlab.numerics.extras import needed
from pinnlab.numerics.tables import read_columns
from pinnlab.reporting.files import whole
from pinnlab.solution.sampling import Samples

FORMATS: Mapping[str, str] = MappingProxyType({"npz": ".npz", "netcdf": ".nc", "vtk": ".vtu", "csv": ".csv"})
"""Names of formats, with the endings of their files."""


def dataset(samples: Samples, attributes: Mapping[str, str | float]) -> Any:
    """An `xarray.Dataset`: of a grid with the coordinates as dimensions, of points with one dimension `point`."""
    xarray = needed("xarray", "grid")
    if samples.is_grid:
        dimensions = tuple(samples.axes)
        return xarray.Dataset(
            {name: (dimensions, value) for name, value in samples.values.items()}, samples.axes, dict(attributes)
        )
    columns = {name: ("point", column) for name, column in samples.axes.items()}
    return xarray.Dataset({k: ("point", v) for k, v in samples.values.items()}, columns, dict(attributes))


def write_netcdf(samples: Samples, attributes: Mapping[str, str | float], path: Path) -> Path:
    """Writes NetCDF-4, which xarray, ParaView, MATLAB and others read."""
    for package in ("h5netcdf", "h5py"):
        needed(package, "to_netcdf")
    table = dataset(samples, attributes)
    return whole(path, lambda part: table.to_netcdf(part, engine="h5netcdf"))


def write_npz(samples: Samples, path: Path) -> Path:
    """Writes NumPy's format: of a grid one `(k,)` axis for each coordinate, unknowns `(k1, ..., kd)`."""

    def write(part: Path) -> None:
        # As `numpy.savez` does, whose own arguments would be no names for arrays.
        with zipfile.ZipFile(part, "w") as archive:
            for name, array in {**samples.axes, **samples.values}.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.asanyarray(array))

    return whole(path, write)


def write_csv(samples: Samples, path: Path) -> Path:
    """Writes a line for each point, with names in the first one, and all digits of a float64."""
    columns = samples.columns()
    table = np.stack(list(columns.values()), -1)
    names = ",".join(columns)
    return whole(path, lambda part: np.savetxt(part, table, "%.17g", ",", header=names, comments=""))


def read_points(path: Path, coordinates: tuple[str, ...]) -> np.ndarray:
    """The points `(n, d)` of a CSV file.

    Args:
        path: a line for each point. A first line with names says which column is which, and others are left out;
            without one the columns are the coordinates in their order.
        coordinates: their d names.

    Raises:
        ConfigurationError: it cannot be read, or is not such a file.
    """
    points = read_columns(path, coordinates, "points", headless=True)
    if not len(points):
        raise ConfigurationError(f"points: {path} has no point in it")
    return points
