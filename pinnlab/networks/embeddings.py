"""Embeddings: fixed maps of the scaled coordinates that come before a network's first layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinnlab.errors import ConfigurationError, check_list, check_real
from pinnlab.networks.checks import column_of, positive, positive_int
from pinnlab.numerics.lens import LensMap


class Embedding(nn.Module):
    """A module that maps `(n, inputs)` to `(n, outputs)` and says how wide its result is."""

    outputs: int


@final
class Identity(Embedding):
    """The embedding that changes nothing.

    Args:
        inputs: the number of coordinates.
    """

    def __init__(self, inputs: int):
        super().__init__()
        self.outputs = positive_int("inputs", inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the `(n, inputs)` coordinates as they are."""
        return x


@final
class FourierFeatures(Embedding):
    """Random Fourier features `[cos(B x), sin(B x)]` with a fixed `B ~ N(0, scale^2)`.

    They give the network the frequencies that plain networks learn last (spectral bias). There is no
    factor 2 pi in front of `B x`, so `scale` is the typical angular wave number on [-1, 1]: the paper on
    PINN training recommends 1 to 10.

    Source: Tancik et al., "Fourier features let networks learn high frequency functions in low
    dimensional domains" (arXiv:2006.10739); for PINNs, Wang, Sankaran, Wang, Perdikaris, "An expert's
    guide to training physics-informed neural networks" (arXiv:2308.08468).

    Args:
        inputs: the number of coordinates.
        features: the number of random waves; the result has twice as many columns. The default of 64
            suits layers of about a hundred neurons.
        scale: the standard deviation of the wave numbers. The default of 1 is the low end, because too
            high a scale makes the residual's high derivatives noise at the start.
        embedding: what comes first, for instance a `PeriodicEmbedding`, which the features inherit.
        columns: which columns (of the embedding's output, if there is one) get features; the others pass
            through. Default: all. Time often oscillates faster than space and then wants features of its own
            (Wang, Wang, Perdikaris, arXiv:2012.10047).

    Raises:
        ConfigurationError: `features` or `scale` is not positive, or there is no such column.
    """

    frequencies: Tensor

    def __init__(
        self,
        inputs: int,
        *,
        features: int = 64,
        scale: float = 1.0,
        embedding: Callable[[int], Embedding] | None = None,
        columns: Sequence[int] | None = None,
    ):
        super().__init__()
        self.embedding = embed(inputs, embedding)
        width = self.embedding.outputs
        waving = range(width) if columns is None else columns
        check_list("", columns=waving)
        if not waving or any(not 0 <= c < width for c in waving):
            raise ConfigurationError(f"columns: {list(waving)} must name some of the columns 0 to {width - 1}")
        self.columns = list(waving)
        self.passing = [c for c in range(width) if c not in self.columns]
        self.outputs = 2 * positive_int("features", features) + len(self.passing)
        waves = positive("scale", scale) * torch.randn(features, len(self.columns))
        self.register_buffer("frequencies", waves)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`: all cosines, all sines, then the columns that pass through."""
        x = self.embedding(x)
        # Slices, because indexing with a list makes a tensor of indices, which cannot be compiled under vmap.
        waving = torch.cat([x[..., k : k + 1] for k in self.columns], -1) if self.passing else x
        phase = F.linear(waving, self.frequencies)
        return torch.cat([torch.cos(phase), torch.sin(phase), *(x[..., k : k + 1] for k in self.passing)], -1)


@final
class PeriodicEmbedding(Embedding):
    """Makes any network periodic in some coordinates: `x -> cos(pi k x), sin(pi k x)`, k = 1..harmonics.

    The coordinates are scaled to [-1, 1], so the period is exactly the width of the domain, and every
    derivative is periodic too: boundary conditions of this kind need no loss term.

    Source: Dong, Ni, "A method for representing periodic functions and enforcing exactly periodic
    boundary conditions with deep neural networks" (arXiv:2007.07442).

    Args:
        inputs: the number of coordinates.
        columns: which of them are periodic, from 0; the others pass through.
        harmonics: how many multiples of the base frequency. The default of 1 is enough for the network
            to build the higher ones from.

    Raises:
        ConfigurationError: `columns` is empty, out of range or repeats itself, or `harmonics` is not >= 1.
    """

    harmonics: Tensor

    def __init__(self, inputs: int, *, columns: Sequence[int], harmonics: int = 1):
        super().__init__()
        positive_int("inputs", inputs)
        positive_int("harmonics", harmonics)
        self.columns = _columns(columns, inputs)
        self.others = tuple(k for k in range(inputs) if k not in self.columns)
        self.outputs = 2 * harmonics * len(self.columns) + len(self.others)
        # Whole numbers survive a cast of the buffer; pi, kept apart, stays exact in float64.
        waves = torch.zeros(len(self.columns), harmonics, inputs)
        for row, column in enumerate(self.columns):
            waves[row, :, column] = torch.arange(1, harmonics + 1).to(waves)
        self.register_buffer("harmonics", waves.reshape(-1, inputs), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`: cosines, sines, then the columns that pass through."""
        phase = math.pi * F.linear(x, self.harmonics)
        rest = [x[..., k : k + 1] for k in self.others]
        return torch.cat([torch.cos(phase), torch.sin(phase), *rest], -1)


@final
class Stretch(Embedding):
    """Multiplies each coordinate by a factor of its own: for solutions that vary much faster along one of them.

    The first frequencies of `SIREN`, `RandomFeatures` and `FourierFeatures` are alike in all directions. Stretched
    coordinates make them unlike. With waves `sin(m pi x) sin(n pi y)` on a square, factors in the proportion
    of m to n have a thousand random sines do what a hundred thousand would have to.

    Args:
        inputs: the number of coordinates.
        factors: one for each of them.
        embedding: what comes first, for instance the `Root` of a time; factors are then of its columns.

    Raises:
        ConfigurationError: there is another number of factors, or one is not positive.
    """

    factors: Tensor

    def __init__(self, inputs: int, *, factors: Sequence[float], embedding: Callable[[int], Embedding] | None = None):
        super().__init__()
        self.embedding = embed(inputs, embedding)
        self.outputs = self.embedding.outputs
        check_list("", factors=factors)
        if len(factors) != self.outputs:
            raise ConfigurationError(f"factors: {list(factors)} must be {self.outputs}, one for each coordinate")
        self.register_buffer("factors", torch.tensor([float(positive("factors", factor)) for factor in factors]))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        return self.embedding(x) * self.factors


@final
class Kink(Embedding):
    """Adds the column |x - at|: what follows is smooth in it, and bends where x = at.

    For solutions whose slope jumps at a place that is known, as at the interface of two materials. The equation has to
    see the bend, by a condition on the fluxes or in weak form.

    Args:
        inputs: the number of coordinates.
        column: which of them x is.
        at: where it bends, in coordinates scaled to [-1, 1]; 0 is the middle of the domain.

    Raises:
        ConfigurationError: there is no such column, or `at` is not between -1 and 1.
    """

    def __init__(self, inputs: int, *, column: int = 0, at: float = 0.0):
        super().__init__()
        self.outputs = positive_int("inputs", inputs) + 1
        check_real("", at=at)
        if not -1 < at < 1:
            raise ConfigurationError(f"at: must be between -1 and 1, the ends of the scaled coordinate, got {at}")
        self.column, self.at = column_of("column", column, inputs), float(at)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, inputs + 1)`."""
        return torch.cat([x, (x[..., self.column : self.column + 1] - self.at).abs()], -1)


@final
class Root(Embedding):
    """Takes the root of a coordinate from its lower end: what follows is smooth in it, and steep at that end.

    For solutions that grow as the root of the time, as heat that is let in at once. The interval [-1, 1] is mapped onto
    itself. Derivatives by the coordinate are infinite at the end itself: no condition may ask for them there, and an
    equation inside should be multiplied by the root.

    Args:
        inputs: the number of coordinates.
        column: which of them.

    Raises:
        ConfigurationError: there is no such column.
    """

    def __init__(self, inputs: int, *, column: int):
        super().__init__()
        self.outputs = positive_int("inputs", inputs)
        self.column = column_of("column", column, inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, inputs)`."""
        k = self.column
        root = math.sqrt(2) * torch.sqrt(1 + x[..., k : k + 1]) - 1
        return torch.cat([x[..., :k], root, x[..., k + 1 :]], -1)


@final
class Graded(Embedding):
    """Looks at one coordinate by the logarithm of the distance from a place: for layers at an end of the domain.

    x becomes log(1 + |x - at| / width), scaled to [-1, 1], so that what follows varies by steps of `width` near the
    place and slowly elsewhere. Where it is not an end of the domain, the result bends there.

    Args:
        inputs: the number of coordinates.
        column: which of them x is.
        at: the place, in coordinates scaled to [-1, 1].
        width: of the layer, in the same units.

    Raises:
        ConfigurationError: there is no such column, `at` is not in [-1, 1], or the width is not positive.
    """

    def __init__(self, inputs: int, *, column: int = 0, at: float = 1.0, width: float = 0.01):
        super().__init__()
        self.outputs = positive_int("inputs", inputs)
        check_real("", at=at)
        if not -1 <= at <= 1:
            raise ConfigurationError(f"at: must be in [-1, 1], the range of the scaled coordinate, got {at}")
        self.column, self.at, self.width = (
            column_of("column", column, inputs),
            float(at),
            float(positive("width", width)),
        )
        self._range = math.log1p((1 + abs(at)) / width)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, inputs)`."""
        k = self.column
        away = (x[..., k : k + 1] - self.at).abs() / self.width
        graded = torch.log1p(away) * (2 / self._range) - 1
        return torch.cat([x[..., :k], graded, x[..., k + 1 :]], -1)


@final
class GradedEnds(Embedding):
    """Looks at coordinates by logarithms of the distances from both ends: for layers along walls all around.

    x becomes log((1 + w + x) / (1 + w - x)), scaled to [-1, 1], with a width w for each coordinate, and is then
    multiplied by a factor, as in `Stretch`.

    Args:
        inputs: the number of coordinates.
        widths: of the layers at both ends of each coordinate, in coordinates scaled to [-1, 1]; 0 leaves it as it is.
        factors: one for each coordinate; 1 by default.

    Raises:
        ConfigurationError: there is another number of widths or factors, a width is negative, or a factor not positive.
    """

    factors: Tensor

    def __init__(self, inputs: int, *, widths: Sequence[float], factors: Sequence[float] | None = None):
        super().__init__()
        self.outputs = positive_int("inputs", inputs)
        own = [1.0] * inputs if factors is None else factors
        check_list("", widths=widths, factors=own)
        if len(widths) != inputs or any(width < 0 for width in widths):
            raise ConfigurationError(f"widths: {list(widths)} must be {inputs}, one >= 0 for each coordinate")
        if len(own) != inputs:
            raise ConfigurationError(f"factors: {list(own)} must be {inputs}, one for each coordinate")
        self.widths = tuple(float(width) for width in widths)
        self.register_buffer("factors", torch.tensor([float(positive("factors", factor)) for factor in own]))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, inputs)`."""
        columns = []
        for k, width in enumerate(self.widths):
            column = x[..., k : k + 1]
            if width:
                graded = torch.log(column + (1 + width)) - torch.log(1 + width - column)
                column = graded / math.log((2 + width) / width)
            columns.append(column)
        return torch.cat(columns, -1) * self.factors


@final
class Lens(Embedding):
    """Looks at one coordinate as through a lens: for a layer, a front or a shock that stays at a known place.

    What is as steep as 1 / width near the place is smooth for what follows, so that few waves or polynomials do: of the
    shock of `Burgers` with a viscosity of 0.01/pi 100 sines are left in place of some 900. Points should lie closer
    there as well: give the sampler `Focused` the same numbers.

    Source: without `periodic` the map of Tee and Trefethen, "A rational spectral collocation method with adaptively
    transformed Chebyshev grid points" (SIAM J. Sci. Comput. 28, 2006), section 4.2; with it that of Boyd, "The
    arctan/tan and Kepler-Burgers mappings for periodic solutions with a shock, front, or internal boundary layer"
    (J. Comput. Phys. 98, 1992).

    Args:
        inputs: the number of coordinates.
        column: which of them x is.
        at: the place, in coordinates scaled to [-1, 1].
        width: of the layer, in the same units. Where the layer is a hundred times thinner than the interval, 0.1 to 0.2
            is better than 0.01: what a lens makes large at the place it makes small elsewhere.
        periodic: whether what follows is periodic in this coordinate, as waves are, which a plain lens would not leave
            so. For sines between walls the place is the middle, 0, or a wall.

    Raises:
        ConfigurationError: there is no such column, `at` is not in [-1, 1], or the width is not positive.
    """

    def __init__(
        self, inputs: int, *, column: int = 0, at: float = 0.0, width: float = 0.1, periodic: bool = False
    ) -> None:
        super().__init__()
        self.outputs = positive_int("inputs", inputs)
        self.column, self.map = column_of("column", column, inputs), LensMap.checked(at, width, periodic)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, inputs)`."""
        k = self.column
        return torch.cat([x[..., :k], self.map.magnify(x[..., k : k + 1]), x[..., k + 1 :]], -1)


def embed(inputs: int, embedding: Callable[[int], Embedding] | None) -> Embedding:
    """Builds the embedding of that many coordinates; none at all is the `Identity`.

    Raises:
        ConfigurationError: what is given is no function of the number of inputs, or builds no module with `outputs`.
    """
    if isinstance(embedding, nn.Module) or (embedding is not None and not callable(embedding)):
        raise ConfigurationError(
            f"embedding: must build an Embedding from a number of inputs, not be {_one_line(embedding)}; give a class "
            "or functools.partial(FourierFeatures, scale=5.0)"
        )
    built = (embedding or Identity)(positive_int("inputs", inputs))
    if not isinstance(built, nn.Module) or not isinstance(getattr(built, "outputs", None), int):
        raise ConfigurationError(f"embedding: must build a module that says its `outputs`, not {_one_line(built)}")
    return built


def _one_line(value: object) -> str:
    return " ".join(repr(value).split())


def _columns(columns: Sequence[int], inputs: int) -> tuple[int, ...]:
    if not isinstance(columns, Sequence) or isinstance(columns, str) or len(columns) == 0:
        raise ConfigurationError(f"columns must list at least one column, such as [0], not {columns!r}")
    for column in columns:
        column_of("columns", column, inputs)
    if len(set(columns)) < len(columns):
        raise ConfigurationError(f"columns must not repeat themselves: {list(columns)}")
    return tuple(columns)
