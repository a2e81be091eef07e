"""The error by frequency: how much of it lies in which modes of the Laplacian, and how well those are known.

Networks learn low frequencies first (spectral bias; Rahaman et al., arXiv 1806.08734); the error in bands shows it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import eigsh
from torch import Tensor
from torchmetrics import Metric

from pinnlab.errors import ConfigurationError
from pinnlab.numerics.ordered_sums import add_by_number

BANDS: Mapping[str, int] = {"low": 0, "middle": 4, "high": 10}
"""The bands and the lowest wave number of each, in half waves across the domain; half a decade each."""
FLOOR = 1e-3
"""A band with less than this share of the reference's norm has nothing to be relative to."""
HIGHEST = 64
"""The last mode of a box that is told apart; all above it are one."""
HIGHEST_IRREGULAR = 12
"""The same on other domains, where modes have to be computed: about 90 in a disk, in a second."""
MOST_POINTS = 4000
"""A grid on such a domain is thinned to so many points; half a wave of the last mode still has four of them."""
END = 1e-8
"""What counts as equal at two ends, relative to the largest value: the accuracy of numerical references."""


@dataclass(frozen=True)
class ErrorByFrequency:
    """The mean squares of an error and of the reference, by wave number.

    Attributes:
        wave_numbers: `(k,)` half waves across the longest side of the domain, rising; the last one stands for all
            above it as well. The angular frequency is pi times this over that side's length.
        error: `(k,)` the error's mean square in each; see `LaplaceModes.energies`.
        reference: `(k,)` the reference's.
    """

    wave_numbers: Tensor
    error: Tensor
    reference: Tensor

    def by_mode(self) -> Tensor:
        """The relative error `(k,)` for each wave number, see `relative_to_band`."""
        return relative_to_band(self.error, self.reference)

    def by_band(self) -> dict[str, Tensor]:
        """The relative error, a scalar, in each of `BANDS` that has modes, see `relative_to_band`."""
        bands = self.gathered(list(BANDS.values()))
        names = {first: name for name, first in BANDS.items()}
        return dict(zip((names[int(first)] for first in bands.wave_numbers), bands.by_mode(), strict=True))

    def gathered(self, firsts: Sequence[int]) -> ErrorByFrequency:
        """The same for bands that begin at some wave numbers, rising from 0, and are named by those; no empty ones."""
        starts = self.wave_numbers.new_tensor(firsts)
        band = torch.bucketize(self.wave_numbers, starts, right=True) - 1
        there = band.unique()
        sums = [add_by_number(energy.new_zeros(len(starts)), band, energy) for energy in (self.error, self.reference)]
        return ErrorByFrequency(starts[there], *(energy[there] for energy in sums))


def relative_to_band(error: Tensor, reference: Tensor) -> Tensor:
    """The norm of the error in each band, relative to the reference's there; relative to the whole where it has none.

    1 means that a band is not learned at all. A band that holds less than `FLOOR` of the reference's norm is relative
    to that of the whole reference: of what does not belong there, it says how much it spoils the solution. (The choice
    depends on the reference only, so a curve over training has no jump.) A reference of zero leaves absolute errors.

    Args:
        error: `(k,)` mean squares of the error in the bands, or single modes.
        reference: `(k,)` those of the reference, in all there are.
    """
    whole = reference.sum()
    scale = torch.where(reference > FLOOR**2 * whole, reference, whole)
    return (error / torch.where(scale > 0, scale, torch.ones_like(scale))).sqrt()


def error_spectrum(
    prediction: Tensor, target: Tensor, points: Tensor, coordinates: Sequence[str]
) -> ErrorByFrequency | None:
    """The spectrum of an error on a regular grid.

    Args:
        prediction: u, `(n,)`.
        target: the reference u*, `(n,)`; it chooses the modes, see `laplace_modes`.
        points: `(n, d)`.
        coordinates: their d names.

    Returns:
        None if the points are no regular grid.

    Raises:
        ConfigurationError: shapes do not fit together.

    Examples:
        >>> x = torch.linspace(0, 1, 101, dtype=torch.float64)[:, None]
        >>> low, high = (torch.sin(k * math.pi * x[:, 0]) for k in (1, 12))
        >>> spectrum = error_spectrum(0.9 * low, low + 0.5 * high, x, ["x"])
        >>> {band: round(float(error), 3) for band, error in spectrum.by_band().items()}
        {'low': 0.1, 'middle': 0.0, 'high': 1.0}
    """
    if prediction.shape != target.shape:
        raise ConfigurationError(
            f"prediction, target: expected the same shape, got {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    modes = laplace_modes(points, coordinates, target)
    if modes is None:
        return None
    error, reference = modes.energies(prediction - target), modes.energies(target)
    return ErrorByFrequency(modes.wave_numbers.to(error.device), error, reference)


class LaplaceModes:
    """Modes of the Laplacian on a regular grid of points, gathered by wave number; `laplace_modes` makes them.

    Args:
        rows: the number of the point at each place of the grid, `(n_1, ..., n_s)` or `(n_1, ..., n_s, n_t)`.
        axes: the modes along each axis of space.
        time: whether there is an axis of time.
        highest: the last wave number that is told apart.
        count: of points, n.

    Attributes:
        wave_numbers: `(k,)` those that occur, rounded, rising; the last one stands for all above it as well.
        count: of points, n.
    """

    def __init__(self, rows: Tensor, axes: Sequence[Axis], time: bool, highest: int, count: int) -> None:
        self.rows, self.axes, self.time, self.count = rows, tuple(axes), time, count
        squares = torch.zeros((), dtype=torch.float64)
        for axis in axes:
            squares = squares[..., None] + axis.wave_numbers.square()
        rounded = squares.sqrt().reshape(-1).round().clamp(max=highest)
        self.wave_numbers, self._shell = torch.unique(rounded, return_inverse=True)

    def energies(self, values: Tensor) -> Tensor:
        """The mean square `(k,)` of values `(n,)` in the modes of each wave number, averaged over time; float64.

        Their sum is the mean square of the values, by the trapezoidal rule, where nothing is taken off the ends.

        Raises:
            ConfigurationError: there is not one value for each point.
        """
        if values.shape != (self.count,):
            raise ConfigurationError(f"values: expected ({self.count},), one for each point, got {tuple(values.shape)}")
        device = values.device
        grid = values.double()[self.rows.to(device)]
        if self.time:
            grid = grid * _trapezoid(grid.shape[-1]).to(device).sqrt()
        for number, axis in enumerate(self.axes):
            grid = axis.without_ends(grid.movedim(number, 0)).movedim(0, number)
        # The first axis goes, its modes come last; time, if any, has become the first axis in the end.
        coefficients = grid
        for axis in self.axes:
            coefficients = torch.tensordot(coefficients, axis.modes.to(device), dims=([0], [1]))
        squares = coefficients.square().sum(0) if self.time else coefficients.square()
        energy = squares.new_zeros(len(self.wave_numbers))
        add_by_number(energy, self._shell.to(device), squares.reshape(-1))
        # What is left of the values themselves: a difference of squares would be exact to half the digits only.
        resolved = coefficients
        for axis in self.axes:
            resolved = torch.tensordot(resolved, axis.modes.to(device), dims=([int(self.time)], [0]))
        resolved = resolved.movedim(0, -1) if self.time else resolved
        energy[-1] += (grid - resolved).square().sum()
        return energy


@dataclass(frozen=True)
class Axis:
    """Orthonormal modes along one axis of a grid.

    What does not fit the modes at the ends is taken off first, as a linear function: sines vanish there, and what is
    periodic has no jump. Else its tail, which decays like 1/k only, would hide the high modes (Lanczos, Discourse on
    Fourier Series, 1966). It counts as wave number 0.

    Attributes:
        modes: `(k, n)`, of values times the roots of `weights`; where a linear part is taken off, that comes first.
        wave_numbers: `(k,)` half waves across the longest side.
        weights: `(n,)` of the quadrature; they add up to 1, but for ends that are taken off.
        kind: `sine`, `periodic`, or `free` if nothing is taken off.
    """

    modes: Tensor
    wave_numbers: Tensor
    weights: Tensor
    kind: str

    def without_ends(self, values: Tensor) -> Tensor:
        """Values `(n, ...)` times the roots of the weights; the ends are those of the linear function instead."""
        weighted = self.weights.to(values.device).sqrt().reshape(-1, *[1] * (values.ndim - 1))
        if self.kind == "free":
            return values * weighted
        mean, slope = (values[0] + values[-1]) / 2, values[-1] - values[0]
        if self.kind == "periodic":
            mean = torch.zeros_like(mean)
        place = torch.linspace(-0.5, 0.5, len(values), dtype=values.dtype, device=values.device)
        rest = (values - mean - torch.tensordot(place[:, None], slope[None], dims=1)) * weighted
        # The ends are zero now, or both the same; in their places go the norms of both parts.
        if self.kind == "sine":
            rest[0] = mean
        rest[-1] = slope / math.sqrt(12)
        return rest


def laplace_modes(
    points: Tensor, coordinates: Sequence[str], reference: Tensor, linear: bool = True
) -> LaplaceModes | None:
    """The modes of the Laplacian that suit a reference, on the space part of a regular grid.

    In a box they are products of sines in coordinates at whose ends the reference vanishes, of sines and cosines where
    it is equal at both ends, and of cosines otherwise: so its odd, periodic or even continuation has no jump. An error
    that has one is freed of it first, see `Axis`. A last coordinate `t` beside others is time, and no direction of the
    modes.

    A grid in another domain has modes without a flow across the boundary: eigenvectors of the graph that joins
    neighbours on it (the finite-difference Laplacian), found by shift-invert Lanczos.

    Args:
        points: `(n, d)`, all points of the grid, or those of them inside of a domain.
        coordinates: the d names.
        reference: `(n,)` or `(n, m)`, of all unknowns that share the modes.
        linear: whether what does not fit the modes at the ends is taken off as a linear function. Without it the modes
            are orthonormal: what is large at the ends only, where high modes are not learned, does not count as low.

    Returns:
        None if the points are no regular grid, such as quasi-random ones.

    Raises:
        ConfigurationError: shapes do not fit together.
    """
    if points.ndim != 2 or points.shape[1] != len(coordinates) or len(reference) != len(points):
        raise ConfigurationError(
            f"points, reference: expected (n, {len(coordinates)}) and n values, got {tuple(points.shape)} and "
            f"{tuple(reference.shape)}"
        )
    axes, rows = _grid(points.detach().cpu().double())
    if rows is None or min(map(len, axes)) < 3 or not all(map(_is_even, axes)):
        return None
    timed = len(coordinates) > 1 and coordinates[-1] == "t"
    if (rows < 0).any():
        return _graph_modes(axes, rows, len(points)) if len(axes) == 2 and not timed else None
    values = reference.detach().cpu().double().reshape(len(points), -1)[rows]
    space = axes[:-1] if timed else axes
    longest = max(map(_length, space))
    found = [_axis(values.movedim(a, 0), _length(places) / longest, linear) for a, places in enumerate(space)]
    return LaplaceModes(rows, found, timed, HIGHEST, len(points))


class ErrorSpectrum(Metric):
    """The error of one unknown by wave number, gathered over batches and ranks.

    The state is the error at all points of the grid, zero at those that are not there yet: it adds over batches and
    ranks, so shards may be uneven. It is float64 whatever the default dtype is.

    Args:
        modes: of the grid.
        reference: `(n,)` the unknown's, at all points of the grid.
        kwargs: options of `torchmetrics.Metric`.
    """

    is_differentiable = True
    higher_is_better = False
    full_state_update = False

    error: Tensor

    def __init__(self, modes: LaplaceModes, reference: Tensor, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.modes = modes
        self.reference = modes.energies(reference)
        self.add_state("error", default=torch.zeros(modes.count, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor, rows: Tensor) -> None:
        """Adds points: u and u*, both `(m,)`, and their numbers `(m,)` in the grid."""
        if prediction.ndim != 1 or not prediction.shape == target.shape == rows.shape:
            raise ConfigurationError(
                "prediction, target, rows: expected the same shape (m,), "
                f"got {tuple(prediction.shape)}, {tuple(target.shape)} and {tuple(rows.shape)}"
            )
        self.error = add_by_number(self.error.clone(), rows, prediction.double() - target.double())

    def compute(self) -> Tensor:
        """The error's mean square `(k,)` for each wave number of the modes."""
        return self.modes.energies(self.error)

    def spectrum(self) -> ErrorByFrequency:
        """Error and reference by wave number; a collective, as `compute` is."""
        error = self.compute()
        return ErrorByFrequency(self.modes.wave_numbers.to(error.device), error, self.reference.to(error.device))


def _grid(points: Tensor) -> tuple[list[Tensor], Tensor | None]:
    """The places on each axis, and the numbers of the points on the grid of them, -1 where there is none."""
    found = [torch.unique(column, return_inverse=True) for column in points.T]
    axes = [places for places, _ in found]
    shape = tuple(map(len, axes))
    if math.prod(shape) > 4 * len(points):
        return axes, None
    rows = torch.full(shape, -1, dtype=torch.long)
    rows[tuple(index for _, index in found)] = torch.arange(len(points))
    return axes, rows


def _is_even(axis: Tensor) -> bool:
    steps = axis.diff()
    return bool(((steps - steps.mean()).abs() <= 1e-6 * steps.mean()).all())


def _length(axis: Tensor) -> float:
    return float(axis[-1] - axis[0])


def _trapezoid(count: int) -> Tensor:
    """The weights `(count,)` of the trapezoidal rule for a mean."""
    weights = torch.full((count,), 1 / (count - 1), dtype=torch.float64)
    weights[[0, -1]] /= 2
    return weights


def _axis(values: Tensor, length: float, linear: bool) -> Axis:
    """The modes of a reference `(n, ...)` along its first axis, whose length is relative to the longest.

    With a linear part where they do not fit at the ends, if asked for.
    """
    count = len(values)
    place = torch.linspace(0, math.pi, count, dtype=torch.float64)
    numbers = torch.arange(min(int(HIGHEST * length) + 1, count - 1), dtype=torch.float64)
    close = END * values.abs().amax()
    weights, ends = _trapezoid(count), []
    if (values[[0, -1]].abs() <= close).all():
        kind, ends, numbers = "sine", [0, -1], numbers[1:]
        modes = torch.sin(numbers[:, None] * place)
    elif ((values[0] - values[-1]).abs() <= close).all():
        kind, ends, numbers = "periodic", [-1], numbers[::2]
        weights[0] = weights[1]
        modes = torch.cat([torch.cos(numbers[:, None] * place), torch.sin(numbers[1:, None] * place)])
        numbers = torch.cat([numbers, numbers[1:]])
    else:
        kind, modes = "free", torch.cos(numbers[:, None] * place)
    weights[ends] = 0.0
    modes = modes * weights.sqrt()
    modes = modes / modes.norm(dim=1, keepdim=True)
    if not linear:
        return Axis(modes, numbers / length, weights, "free")
    rest = torch.zeros(len(ends), count, dtype=torch.float64)
    rest[range(len(ends)), ends] = 1.0
    return Axis(torch.cat([rest, modes]), torch.cat([torch.zeros(len(ends)), numbers]) / length, weights, kind)


def _graph_modes(axes: Sequence[Tensor], rows: Tensor, count: int) -> LaplaceModes:
    """The lowest modes of the graph that joins neighbours of a grid with gaps; its own rows come last."""
    while (rows >= 0).sum() > MOST_POINTS:
        axes, rows = [axis[::2] for axis in axes], rows[(slice(None, None, 2),) * rows.ndim]
    inside = rows >= 0
    own = rows[inside]
    number = np.full(rows.shape, -1)
    number[inside.numpy()] = np.arange(len(own))
    laplacian = sparse.csc_matrix((len(own), len(own)))
    for a, axis in enumerate(axes):
        pairs = np.stack([np.take(number, np.arange(k, len(axis) - 1 + k), a).ravel() for k in (0, 1)])
        one, other = pairs[:, (pairs >= 0).all(0)]
        ones = np.ones(len(one))
        joint = sparse.coo_matrix((ones, (one, other)), laplacian.shape)
        joint = joint + joint.T
        degree = sparse.diags(np.asarray(joint.sum(1)).ravel())
        laplacian = laplacian + (degree - joint) / float(axis.diff().mean()) ** 2
    length = max(map(_length, axes))
    area = len(own) * math.prod(float(axis.diff().mean()) for axis in axes)
    # Weyl's law for the plane, with a margin for the boundary's part.
    expected = area * (HIGHEST_IRREGULAR * math.pi / length) ** 2 / (4 * math.pi)
    wanted = int(min(1.3 * expected + 20, len(own) // 4))
    shift = -((0.1 * math.pi / length) ** 2)  # below the eigenvalue 0, where the matrix is singular
    eigenvalues, vectors = eigsh(laplacian, k=wanted, sigma=shift, v0=np.ones(len(own)))
    numbers = torch.from_numpy(np.sqrt(np.clip(eigenvalues, 0, None)) * length / math.pi)
    weights = torch.full((len(own),), 1 / len(own), dtype=torch.float64)
    space = Axis(torch.from_numpy(vectors.T.copy()), numbers, weights, "free")
    return LaplaceModes(own, [space], False, HIGHEST_IRREGULAR, count)
