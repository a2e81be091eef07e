"""`Solution`: a trained trial function with its problem, and nothing of the training."""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from pinnlab.derivatives import Partials, Wanted, partials
from pinnlab.derivatives.attributes import index_by
from pinnlab.domains import Domain, Region
from pinnlab.errors import ConfigurationError, unknown
from pinnlab.networks.scaling import network_in_words
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.problems.base import Problem
from pinnlab.problems.coefficients import by_number
from pinnlab.problems.given import Function
from pinnlab.solution import drawing, exporting, files, sampling, vtk
from pinnlab.solution.as_given import only_unknown
from pinnlab.solution.expressions import evaluate
from pinnlab.solution.functions import with_functions
from pinnlab.solution.integrals import integral_of
from pinnlab.solution.measured import errors_of, residual_of
from pinnlab.solution.places import Places, coordinates_of, places_in
from pinnlab.solution.quantity import Quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PathLike = str | os.PathLike[str]
Home = tuple[str, Region] | None

BLOCK = 65_536
"""Points that are evaluated at a time: a layer of 100 neurons takes 50 MB in float64."""


class Trained(Protocol):
    """What a solution is taken from: a `PINN`."""

    problem: Problem
    trial: Trial
    system: ResidualSystem


class Solution:
    """A trained solution: evaluate it, derive it, put it on a grid, draw it, write it, export it.

    It keeps a copy of the trial function: further training of the module does not change it. Unknowns are attributes,
    `solution.u(x=0.5, t=1.0)`; where a method has the name already, `solution["grid"]`. See `Quantity` for what can be
    given and what comes back.

    Args:
        model: a `PINN`, trained or loaded.
        run: where it comes from, for tables and files.
    """

    __slots__ = ("problem", "run", "system", "trial")  # nothing that `Readings` of a problem with it would follow

    def __init__(self, model: Trained, run: str | None = None) -> None:
        self.problem: Problem = model.problem
        self.run = run
        # Problems are shared: they may hold large tables, and nobody trains them.
        self.trial: Trial = (
            copy.deepcopy(model.trial, {id(p): p for p in model.trial.problems()}).requires_grad_(False).eval()
        )
        self.system = ResidualSystem(self.problem, self.trial, model.system.engine)

    # ---------------------------------------------------------------------------- evaluate

    def __call__(self, points: Any = None, /, **coordinates: Any) -> Any:
        """All unknowns at `(n, d)` points, `(n, m)`; at coordinates by name, with one more axis at the end."""
        return Quantity("the solution", self, self._unknowns)(points, **coordinates)

    def __getitem__(self, name: str) -> Quantity:
        """An unknown by its name.

        Raises:
            ConfigurationError: there is none of that name.
        """
        if name not in self.problem.unknowns:
            raise unknown(f"quantity of {self.problem.name}", name, self.problem.unknowns)
        column, own = self.problem.unknowns.index(name), coordinates_of(self.problem, name)
        return Quantity(name, self, lambda points: self._unknowns(points)[:, column], own, name, of=name)

    def __getattr__(self, name: str) -> Quantity:
        if name in self.__slots__ or name not in self.problem.unknowns:
            raise AttributeError(f"a Solution has no attribute {name!r}, nor is that an unknown of its problem")
        return self[name]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.problem.unknowns})

    def derivative(self, name: str, /, *by: str, points: Any = None, **coordinates: Any) -> Any:
        """A partial derivative of an unknown.

        Args:
            name: of the unknown.
            by: coordinates to differentiate by, as `"x", "x"`.
            points: `(n, d)`.
            coordinates: by name, in place of points; those on which the unknown depends are enough.

        Returns:
            Its values; without points or coordinates a `Quantity` to call with them.

        Raises:
            ConfigurationError: a name is unknown.
        """
        column = self.problem.unknowns.index(drawing.chosen_unknown(self, name))
        index, own = index_by(by, self.problem.coordinates), coordinates_of(self.problem, name)
        wanted = Wanted(frozenset({index} if index else ()))

        def compute(block: Tensor) -> Tensor:
            found = self._derivatives(block, wanted)
            return (found.partials[index] if index else found.value)[:, column]

        quantity = Quantity(f"{name} by {', '.join(by)}", self, functools.partial(_in_blocks, compute), own, of=name)
        return quantity if points is None and not coordinates else quantity(points, **coordinates)

    def evaluate(self, expression: Callable[..., Any], points: Any = None, /, **coordinates: Any) -> Any:
        """The values of an expression, such as `lambda u, x: u.x * x`.

        Args:
            expression: takes unknowns (as fields, with their derivatives), coordinates, coefficients and `points` by
                name, as a residual does; in torch operations.
            points: `(n, d)`.
            coordinates: by name, in place of points.

        Returns:
            One number for each point; for an expression that gives several, with one more axis at the end.

        Raises:
            ConfigurationError: it asks for a name that is not there, or gives no number for each point.
        """
        found = functools.partial(evaluate, self.problem, self._derivatives, self.system.coefficient_values())
        return Quantity("an expression", self, functools.partial(found, expression))(points, **coordinates)

    def residual(self, condition: str, points: Any = None, /, **coordinates: Any) -> Any:
        """The residual of a condition, without its weight.

        Args:
            condition: its name, as `"pde"`.
            points: `(n, d)`, on the condition's region; none for a condition that brings its own (observations, means).
            coordinates: by name, in place of points.

        Returns:
            One number for each point; of several equations `(n, k)`.

        Raises:
            ConfigurationError: there is no such condition, or points are given or missing against its kind.
        """
        return residual_of(self, condition, points, coordinates)

    def integral(self, region: Region, function: Callable[..., Any], /, points: int | None = None, **at: Any) -> Any:
        """The integral of an expression over a region: a drag, a flux, an energy.

        Args:
            region: of all coordinates or of some, as a disk; a domain, a boundary or a part of one.
            function: as in `evaluate`, such as `lambda u: u.x**2`; on a boundary of `normal`, `(n, d)`, too.
            points: about how many, see `Region.quadrature`. Default: 256 on a line, 16,384 elsewhere.
            at: the values of the coordinates that the region leaves open, as `t=0.5`; a function as in a call.

        Returns:
            A number; of a function that gives several an array of as many.

        Raises:
            ConfigurationError: a coordinate is missing or unknown, or the function does not fit, as in `evaluate`.
        """
        return integral_of(self, region, function, points, at)

    def as_given(self, name: str, domain: Domain) -> Function:
        """The only unknown as data of another problem, see `Given`; of several give one, as `solution.u`."""
        return self[only_unknown(self.problem, name)].as_given(name, domain)

    @property
    def coefficients(self) -> dict[str, float]:
        """The coefficients that an inverse problem found, by name (`k.0`, `k.1` of a vector); empty without any."""
        return by_number(self.system.coefficient_values())

    def errors(self, points: Any = 20_000) -> dict[str, float]:
        """The relative L2 error of each unknown that has a reference, where it lives; empty where none is known.

        Args:
            points: `(n, d)`, or about how many of the problem's own (`Problem.evaluation_points`); of an operator the
                error is the mean over its held-out functions then.
        """
        return errors_of(self, points)

    # -------------------------------------------------------------------------- take along

    def grid(self, **sides: Any) -> Any:
        """The solution on a regular grid, as an `xarray.Dataset`.

        It holds each unknown, and `reference_<unknown>` where a reference is known. Outside of a domain that is no box,
        and where an unknown does not live, they are NaN; one of fewer coordinates is repeated along the others.
        Attributes say whose solution it is and how large its error.

        Args:
            sides: for each coordinate how many values, or the values: `grid(x=200, t=[0.0, 0.5])`. Default: as many as
                make about 40,000 points. Of an operator one function by its name, as in a call.

        Raises:
            ConfigurationError: a coordinate is unknown, the grid too large, or xarray not installed.
        """
        return files.dataset(sampling.on_grid(self, sides), self.attributes())

    def to_netcdf(self, path: PathLike, **sides: Any) -> Path:
        """Writes `grid` as NetCDF; returns the path."""
        return files.write_netcdf(sampling.on_grid(self, sides), self.attributes(), Path(path))

    def to_npz(self, path: PathLike, **sides: Any) -> Path:
        """Writes the grid for NumPy: an axis for each coordinate, and unknowns in its shape; returns the path."""
        return files.write_npz(sampling.on_grid(self, sides), Path(path))

    def to_csv(self, path: PathLike, points: Any = None, **sides: Any) -> Path:
        """Writes a line for each point of a grid, or for each of `(n, d)` points; returns the path."""
        if points is not None and sides:
            raise ConfigurationError(f"to_csv: {min(sides)} is given by the points; leave it out")
        samples = sampling.on_grid(self, sides) if points is None else self.samples(points)
        return files.write_csv(samples, Path(path))

    def to_vtk(self, path: PathLike, mesh: Any = None, **sides: Any) -> Path:
        """Writes the solution over space for ParaView; over time as a series of files with a `.pvd` to open.

        Args:
            path: ends with `.vtu`.
            mesh: a `meshio.Mesh`, or a file that meshio reads; default: a regular grid in the domain.
            sides: of the grid as in `grid`, and `t` for the times; of an operator one function by its name.

        Returns:
            The file to open.

        Raises:
            ConfigurationError: space has more than three dimensions, the mesh does not fit, or meshio is not installed.
        """
        return vtk.write_vtk(self, Path(path), mesh, sides)

    def plot(self, unknown: str | None = None, points: int = 20_000) -> Figure:
        """A figure of an unknown (default: the first) beside its reference, on about so many points."""
        return drawing.figure_of(self, unknown, points)

    def movie(
        self,
        path: PathLike,
        over: str = "t",
        unknown: str | None = None,
        frames: int = 60,
        seconds: float = 5.0,
        dpi: int = 120,
    ) -> Path:
        """Writes a movie over one coordinate, `.gif` or `.mp4`; see `drawing.write_movie`."""
        return drawing.write_movie(self, Path(path), over, unknown, frames, seconds, dpi)

    def export(self, path: PathLike) -> Path:
        """Writes the function `(n, d) -> (n, m)` for use without pinnlab: `.pt2` (`torch.export.load`) or `.onnx`."""
        low, high = (self._like.new_tensor(corner) for corner in (self.problem.domain.low, self.problem.domain.high))
        example = low + (high - low) * torch.linspace(0.1, 0.9, 5).to(low)[:, None]
        return exporting.export(self.trial, example, Path(path))

    def samples(self, points: Any) -> sampling.Samples:
        """The solution, and the reference where it is known, at `(n, d)` points: columns by name."""
        return sampling.at_points(self, self._places(points, {}).points.to("cpu", torch.float64))

    def attributes(self) -> dict[str, str | float]:
        """What a file should say about the solution: problem, network, run, errors."""
        errors = {f"relative_l2_{name}": error for name, error in self.errors().items()}
        origin = {} if self.run is None else {"run": self.run}
        return {"problem": self.problem.name, "network": self._network(), **origin, **errors, **self.coefficients}

    def __repr__(self) -> str:
        problem, found = self.problem, ", ".join(f"{k} = {v:.6g}" for k, v in self.coefficients.items())
        lines = {"domain": repr(problem.domain), "network": self._network(), "found": found, "from": self.run}
        head = f"Solution of {problem.name}: {', '.join(problem.unknowns)} of {', '.join(problem.coordinates)}"
        return "\n".join([head, *(f"  {key:8} {line}" for key, line in lines.items() if line)])

    # ----------------------------------------------------------------------------- details

    @property
    def _like(self) -> Tensor:
        return next(self.trial.parameters())

    def _network(self) -> str:
        return f"{network_in_words(self.trial.network)}, {str(self._like.dtype).removeprefix('torch.')}"

    def _places(self, points: Any, coordinates: dict[str, Any], home: Home = None, filled: bool = False) -> Places:
        named = with_functions(self.problem.domain, coordinates)
        return places_in(self.problem.domain, self._like, points, named, home, filled)

    def _unknowns(self, rows: Tensor) -> Tensor:
        return _in_blocks(self.trial, rows)

    def _derivatives(self, rows: Tensor, wanted: Wanted) -> Partials:
        return partials(self.trial, rows, wanted, engine=self.system.engine)


def _in_blocks(function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """A function of points, a bounded number of them at a time."""
    return torch.cat([function(block) for block in rows.split(BLOCK)]) if len(rows) > BLOCK else function(rows)
