"""Families of functions of a few coefficients: what a `FunctionSpace` is made of."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pinnlab.domains.box import Box, Interval
from pinnlab.errors import ConfigurationError, check_positive
from pinnlab.numerics.constants import constant_like

_NODES = 100
"""Of the quadrature that finds the modes of a covariance: they are smooth, and converge faster than any power."""
_LEAST = 1e-8
"""Of the largest eigenvalue: below it modes are round-off."""
_ROUND_OFF = 1e-6
"""Of an interval's length, or of its ends where these are larger: so far beyond it a place may lie in float32."""


class Basis(ABC):
    """Functions of a coordinate, or two, of which a function of the space is a sum, each times its coefficient.

    Attributes:
        interval: where they live; of two coordinates a box.
        modes: how many there are.
        is_normal: whether coefficients are drawn from the standard normal distribution, else uniformly from [-1, 1].
        is_periodic: whether they go on outside of the interval, which is one period.
    """

    interval: Box
    modes: int
    is_normal: bool = True
    is_periodic: bool = False

    def __init__(self, interval: Box, modes: int, dim: int = 1) -> None:
        name = type(self).__name__
        if not isinstance(interval, Box if dim > 1 else Interval) or interval.dim != dim:
            kind = "an Interval" if dim == 1 else f"a Box of {dim} coordinates"
            raise ConfigurationError(f"{name}: interval must be {kind}, got {interval!r}")
        if isinstance(modes, bool) or not isinstance(modes, int) or modes < 1:
            raise ConfigurationError(f"{name}: modes must be a whole number >= 1, got {modes!r}")
        self.interval, self.modes = interval, modes

    @abstractmethod
    def functions(self, x: Any) -> Any:
        """The functions at `(n,)` places, `(n, modes)`; in torch operations, of a tensor or a jet.

        Of two coordinates the places are `(n, 2)`.
        """

    def check_cover(self, name: str, low: Sequence[float], high: Sequence[float]) -> None:
        """Refuses places where the functions are not defined; those of a periodic basis are everywhere.

        Args:
            name: of the space.
            low: the least value of each coordinate, such as a domain's.
            high: the largest.

        Raises:
            ConfigurationError: they lie beyond the interval by more than round-off.
        """
        ends = zip(self.interval.coordinates, low, high, self.interval.low, self.interval.high, strict=True)
        for coordinate, least, most, first, last in ends:
            margin = _ROUND_OFF * max(last - first, abs(first), abs(last))
            if not self.is_periodic and (least < first - margin or most > last + margin):
                raise ConfigurationError(
                    f"{name}: {coordinate} goes from {least:g} to {most:g}, and its {type(self).__name__} from "
                    f"{first:g} to {last:g}; give that an interval that covers all of it"
                )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.interval!r}, {self.modes} modes)"

    def _scaled(self, x: Any) -> Any:
        """The coordinate mapped to [-1, 1]."""
        low, high = self.interval.low[0], self.interval.high[0]
        return (x - 0.5 * (low + high)) * (2 / (high - low))


class Chebyshev(Basis):
    """Series of Chebyshev polynomials, `a(x) = amplitude * sum_k c_k T_k(x)`, each c_k uniform in [-1, 1].

    Source: Lu, Jin, Pang, Zhang, Karniadakis, "Learning nonlinear operators via DeepONet" (Nature Machine Intelligence
    3, 2021), section S1.

    Args:
        interval: where; mapped to [-1, 1].
        modes: how many polynomials, from T_0 on.
        amplitude: the largest that one of them can be.

    Raises:
        ConfigurationError: `modes` or `amplitude` is not positive.
    """

    is_normal = False

    def __init__(self, interval: Interval, modes: int = 8, amplitude: float = 1.0) -> None:
        super().__init__(interval, modes)
        check_positive("Chebyshev", amplitude=amplitude)
        self.amplitude = float(amplitude)

    def functions(self, x: Any) -> Any:
        """By the recursion T_{k+1} = 2 x T_k - T_{k-1}."""
        z = self._scaled(x)
        found = [1 + 0 * z, z]
        while len(found) < self.modes:
            found.append(2 * z * found[-1] - found[-2])
        return self.amplitude * torch.stack(found[: self.modes], -1)


class Fourier(Basis):
    """A periodic Gaussian random field: sines and cosines whose sizes fall with their frequency.

    The field has the covariance `scale^2 (-Laplacian + tau^2)^-smoothness`, so that the standard deviation of a wave of
    wave number w is `scale (w^2 + tau^2)^(-smoothness / 2)`; its mean over the interval is zero. The defaults are those
    of the Burgers' data of Li et al., "Fourier neural operator" (arXiv:2010.08895), section 5.1, whose constant, of
    standard deviation one, is left out.

    Args:
        interval: one period.
        modes: how many functions: cosine and sine of the first frequency, of the second, and so on.
        scale: the size of the field.
        tau: wave numbers below it are alike in size.
        smoothness: how fast they fall above it.

    Raises:
        ConfigurationError: a number is not positive.
    """

    is_periodic = True

    def __init__(
        self, interval: Interval, modes: int = 8, scale: float = 25.0, tau: float = 5.0, smoothness: float = 2.0
    ) -> None:
        super().__init__(interval, modes)
        check_positive("Fourier", scale=scale, tau=tau, smoothness=smoothness)
        self.scale, self.tau, self.smoothness = float(scale), float(tau), float(smoothness)
        length = interval.sides[0]
        numbers = 2 * math.pi / length * torch.arange(1, (modes + 1) // 2 + 1, dtype=torch.float64)
        # Of norm one in the mean square, times the deviation of each.
        sizes = math.sqrt(2 / length) * self.scale * (numbers.square() + self.tau**2) ** (-self.smoothness / 2)
        self._numbers, self._sizes = numbers, sizes.repeat_interleave(2)[:modes]
        self.waves = numbers.repeat_interleave(2)[:modes]
        """The wave number of each function, `(modes,)`."""

    def functions(self, x: Any) -> Any:
        """Cosine and sine by turns."""
        phase = (x - self.interval.low[0])[..., None] * constant_like(self._numbers, x)
        pairs = torch.stack([torch.cos(phase), torch.sin(phase)], -1).flatten(-2)
        return pairs[..., : self.modes] * constant_like(self._sizes, x)


class KarhunenLoeve(Basis):
    """A Gaussian random field of the covariance `deviation^2 exp(-(x - y)^2 / (2 length^2))`, by its largest modes.

    They are the eigenfunctions of the covariance times the roots of their eigenvalues (Karhunen and Loeve), so that
    independent standard normal coefficients give the field, but for the modes that are left out. Found by Nystrom's
    method: the eigenvectors at Gauss-Legendre nodes, carried to any place by the covariance itself.

    Args:
        interval: where.
        modes: how many. For lengths of 0.2 of the interval ten leave out a share of 2e-6 of the variance.
        length: the correlation length.
        deviation: the field's standard deviation.

    Raises:
        ConfigurationError: a number is not positive, or there are not so many modes above round-off.
    """

    def __init__(self, interval: Interval, modes: int = 10, length: float = 0.2, deviation: float = 1.0) -> None:
        super().__init__(interval, modes)
        check_positive("KarhunenLoeve", length=length, deviation=deviation)
        self.length, self.deviation = float(length), float(deviation)
        z, w = np.polynomial.legendre.leggauss(_NODES)
        low, high = interval.low[0], interval.high[0]
        nodes, weights = low + 0.5 * (high - low) * (z + 1), 0.5 * (high - low) * w
        covariance = np.exp(-0.5 * ((nodes[:, None] - nodes) / length) ** 2)
        root = np.sqrt(weights)
        values, vectors = np.linalg.eigh(root[:, None] * covariance * root)
        values, vectors = values[::-1][:modes], vectors[:, ::-1][:, :modes]
        enough = int((values > _LEAST * values[0]).sum())
        if enough < modes:
            raise ConfigurationError(
                f"KarhunenLoeve: modes: only {enough} of a length of {length:g} are above round-off; ask for no more"
            )
        vectors = vectors * np.sign(vectors.sum(0) + 1e-3 * vectors[-1])  # one of the two signs, on every machine
        self.variance = float(values.sum() / (high - low))
        """The share of the field's variance that the modes have."""
        self._nodes = torch.from_numpy(nodes)
        # sqrt(l) phi(x), and phi(x) = sum_q w_q K(x, x_q) phi(x_q) / l
        self._weights = torch.from_numpy(deviation * root[:, None] * vectors / np.sqrt(values))

    def functions(self, x: Any) -> Any:
        """By Nystrom's formula."""
        apart = (x[..., None] - constant_like(self._nodes, x)) * (1 / self.length)
        return torch.exp(-0.5 * (apart * apart)) @ constant_like(self._weights, x)


class Cosines(Basis):
    """A Gaussian random field on a rectangle: products of cosines whose sizes fall with their frequency.

    The field has the covariance `(-Laplacian + tau^2)^-smoothness`, up to a factor, with no slope across the edge; its
    mean over the rectangle is zero. That is the field of the Darcy flow's data of Li et al., "Fourier neural operator"
    (arXiv:2010.08895), section 5.2, on the unit square.

    Args:
        interval: the rectangle, a `Box` of two coordinates.
        modes: how many functions, those of the lowest frequencies.
        deviation: the field's standard deviation, the root of its mean square over the rectangle.
        tau: wave numbers below it are alike in size.
        smoothness: how fast they fall above it.

    Raises:
        ConfigurationError: a number is not positive.
    """

    def __init__(
        self, interval: Box, modes: int = 8, deviation: float = 1.0, tau: float = 3.0, smoothness: float = 2.0
    ) -> None:
        super().__init__(interval, modes, dim=2)
        check_positive("Cosines", deviation=deviation, tau=tau, smoothness=smoothness)
        self.deviation, self.tau, self.smoothness = float(deviation), float(tau), float(smoothness)
        most = range(modes + 1)
        sides = torch.tensor(interval.sides, dtype=torch.float64)
        pairs = math.pi * torch.tensor([(i, j) for i in most for j in most], dtype=torch.float64) / sides
        squares = pairs.square().sum(1)
        order = squares.argsort(stable=True)[1 : modes + 1]  # without the constant
        self._low = torch.tensor(interval.low, dtype=torch.float64)
        self._numbers, squares = pairs[order], squares[order]
        sizes = (squares + self.tau**2) ** (-self.smoothness / 2)
        self._sizes = (
            self.deviation * sizes / sizes.norm() * 2 ** (0.5 * (self._numbers > 0).sum(1, dtype=torch.float64))
        )

    def functions(self, x: Any) -> Any:
        """The products at `(n, 2)` places."""
        phases = (x - constant_like(self._low, x))[..., None, :] * constant_like(self._numbers, x)
        waves = torch.cos(phases)
        return waves[..., 0] * waves[..., 1] * constant_like(self._sizes, x)
