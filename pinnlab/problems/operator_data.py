"""Paired functions: what goes into an operator and what comes out, as arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pinnlab.domains import FunctionSpace
from pinnlab.errors import ConfigurationError
from pinnlab.numerics.extras import needed
from pinnlab.numerics.tables import read_arrays
from pinnlab.problems.checks import finite, measured
from pinnlab.problems.observations import Observations


class OperatorData(Observations):
    """Solutions for given functions, at the same places for all of them: what a data-driven loss is made of.

    The residual at each pair of a function and a place is (u - output) / sigma, a condition like any other. The domain
    must have its `FunctionSpace` as the last factor.

    Args:
        inputs: `(n, modes)` the functions' coefficients in the basis of the space; with `space` and `sensors` their
            values `(n, s)` at the sensors, of which the nearest function of the space is taken.
        outputs: `(n, p)` the solution of each function at each place; of several unknowns a mapping by name.
        points: `(p, q)` the places, in the order of the domain's other coordinates; `(p,)` for a single one.
        weight: the factor in the loss.
        sigma: the standard deviation of the outputs' noise. By default the root mean square of the outputs (`None`), so
            that the loss is about the squared relative error.
        space: where the functions live; needed where they are given by values.
        sensors: `(s,)` where these values were taken, `(s, 2)` of functions of two coordinates.
        unknown: the name of the unknown, where there is one.

    Raises:
        ConfigurationError: arrays do not fit each other or are not finite.
    """

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        points: Any,
        weight: float = 1.0,
        sigma: float | None = None,
        space: FunctionSpace | None = None,
        sensors: Any = None,
        unknown: str = "u",
    ) -> None:
        functions, places = _array("inputs", inputs, 2), _array("points", points, None)
        places = places[:, None] if places.ndim == 1 else places
        if space is None and sensors is not None:
            raise ConfigurationError("OperatorData: inputs are values at sensors; give the space, too")
        if space is not None and sensors is None and functions.shape[1] != space.basis.modes:
            raise ConfigurationError(
                f"OperatorData: inputs must be the {space.basis.modes} coefficients of each function, got "
                f"{functions.shape[1]}; if they are values, give sensors"
            )
        if space is not None and sensors is not None:
            functions = space.coefficients(functions, _array("sensors", sensors, None))
        n, p = len(functions), len(places)
        values = {}
        for name, value in (outputs if isinstance(outputs, dict) else {unknown: outputs}).items():
            values[name] = _array(f"outputs {name}", value, 2)
            if values[name].shape != (n, p):
                raise ConfigurationError(
                    f"OperatorData: outputs must be ({n}, {p}), a row for each function and a column for each place, "
                    f"got {tuple(values[name].shape)}"
                )
        self.functions_given = n
        rows = torch.cat([places.repeat(n, 1), functions.repeat_interleave(p, 0)], 1)
        scale: Any = {name: float(v.square().mean().sqrt()) or 1.0 for name, v in values.items()}
        super().__init__(
            rows, weight, scale if sigma is None else sigma, **{name: v.reshape(-1) for name, v in values.items()}
        )

    @classmethod
    def read(  # type: ignore[override]  # other files
        cls, path: str | Path, **options: Any
    ) -> OperatorData:
        """From a file with arrays `inputs`, `outputs`, `points`, and perhaps `sensors`.

        Args:
            path: of the file: `.npz`, or HDF5 (`.h5`, `.hdf5`), with these names at its root.
            **options: the other arguments of the class.

        Raises:
            ConfigurationError: it is another file, cannot be read, or lacks one; h5py is missing for HDF5.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in (".npz", ".h5", ".hdf5"):
            raise ConfigurationError(f"OperatorData: {path} must be a file .npz, or of HDF5, .h5 or .hdf5")
        found = read_arrays(path, "OperatorData") if suffix == ".npz" else _hdf5(path)
        if missing := [name for name in ("inputs", "outputs", "points") if name not in found]:
            raise ConfigurationError(f"OperatorData: {path} has no {missing[0]}, but {', '.join(found)}")
        known: dict[str, Any] = {
            name: found[name] for name in ("inputs", "outputs", "points", "sensors") if name in found
        }
        return cls(**known, **options)


def _hdf5(path: str | Path) -> dict[str, Any]:
    """The arrays at the root of the file; groups are left out."""
    h5py = needed("h5py", "OperatorData.read")
    try:
        with h5py.File(path, "r") as file:
            return {name: values[()] for name, values in file.items() if isinstance(values, h5py.Dataset)}
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"OperatorData: {path} cannot be read: {' '.join(str(error).split())}") from error


def _array(key: str, values: Any, dimensions: int | None) -> Tensor:
    found = measured(f"OperatorData: {key}", values).double()
    if found.ndim not in ((1, 2) if dimensions is None else (dimensions,)) or not len(found):
        raise ConfigurationError(
            f"OperatorData: {key} has shape {tuple(found.shape)}; see the class for what it must be"
        )
    return finite(f"OperatorData: {key}", found)
