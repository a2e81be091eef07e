"""Waves in some coordinates times polynomials in the others: networks that are a spectral method's ansatz."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinnlab.errors import ConfigurationError, check_list
from pinnlab.networks.checks import column_of, positive, positive_int
from pinnlab.networks.embeddings import Embedding, embed


@final
class SpectralFeatures(nn.Module):
    r"""Sines and cosines in periodic coordinates times Chebyshev polynomials in the others, `V f(x)`.

    The functions are `cos(pi k y) T_j(z)` and `sin(pi k y) T_j(z)` with whole wave vectors k, up to the length `waves`
    (one of k and -k), and products T_j of Chebyshev polynomials, up to the total degree `degree`. Only V is trained,
    from zero but for the constants, in which the network is linear. `LeastSquares` finds it: for waves and fronts on
    a periodic domain, in short windows of time.

    They are what `PeriodicFeatures` draws at random, and better conditioned: random sines that are all but polynomials
    of a short window can hardly be told apart. In two windows of 0.005 of Kuramoto and Sivashinsky's equation, with 100
    waves, 983 numbers come to 9e-12, and 1,011 of random sines to 3e-8; and `LeastSquares` may take `normal` equations.

    Without a periodic coordinate, `columns=[]`, they are polynomials: in one coordinate the best there is for smooth
    solutions, layers and eigenvalues, on a `Grid` of points, a fifth of the degree's square. Other designs leave gaps
    at the ends, where polynomials bend most.

    Source: Canuto, Hussaini, Quarteroni, Zang, "Spectral Methods: Fundamentals in Single Domains" (Springer, 2006),
    chapters 2 and 3.

    Args:
        inputs: the number of coordinates, scaled to [-1, 1].
        outputs: the number of unknowns.
        columns: the periodic coordinates, from 0; there may be none.
        waves: the length of the largest wave vector, in waves per interval. It should be where the solution's spectrum
            ends.
        degree: the highest total degree of the polynomials.
        taper: by how much the degree is lower for the largest wave vector, as a share of it. Short waves are small, so
            that fewer digits of them are needed: 0.7 saves a third of all numbers.
        period: of the functions, in lengths of the interval. With 2 they are half waves, for what is zero or flat at
            two walls.
        embedding: what the coordinates go through before, into as many, such as a `Lens` for a front.

    Raises:
        ConfigurationError: a size or the period is not positive, the taper is not in [0, 1], there is no column, or the
            embedding has another number of columns.
    """

    numbers: Tensor
    phases: Tensor
    powers: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        columns: Sequence[int] = (0,),
        waves: int = 20,
        degree: int = 6,
        taper: float = 0.0,
        period: float = 1.0,
        embedding: Callable[[int], Embedding] | None = None,
    ):
        super().__init__()
        self.embedding = _same_columns(inputs, embedding)
        check_list("", columns=columns)
        periodic = [column_of("columns", column, inputs) for column in columns]
        if not isinstance(taper, (int, float)) or isinstance(taper, bool) or not 0 <= taper <= 1:
            raise ConfigurationError(f"taper: must be from 0 to 1, not {taper!r}")
        most = positive_int("degree", degree)
        self._periodic = sorted(set(periodic))
        self._others = [column for column in range(inputs) if column not in periodic]
        self._degree, self._turn = most, math.pi / positive("period", period)
        powers = _simplex(len(self._others), most)
        numbers: list[tuple[int, ...]] = []
        phases: list[float] = []
        places: list[int] = []
        for vector in _half_ball(len(self._periodic), positive_int("waves", waves)):
            own = round(most * (1 - taper * math.hypot(*vector) / waves))
            for shift in (0.5, 0.0) if any(vector) else (0.5,):  # a cosine is a sine, shifted by pi / 2
                places += [len(numbers) * len(powers) + k for k, power in enumerate(powers) if sum(power) <= own]
                numbers.append(vector)
                phases.append(shift)
        # Whole numbers survive a cast of the buffers; pi, kept apart, stays exact in float64.
        dtype = torch.get_default_dtype()
        self.register_buffer("numbers", torch.tensor(numbers, dtype=dtype), persistent=False)
        self.register_buffer("phases", torch.tensor(phases, dtype=dtype), persistent=False)
        self.register_buffer("powers", torch.tensor(powers, dtype=dtype).reshape(len(powers), -1), persistent=False)
        self.last = _Amplitudes(positive_int("outputs", outputs), places, (len(numbers), len(powers)))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        x, tables = self.embedding(x), self.last()
        if not self._others:
            return F.linear(self._waves(x), torch.cat([table.T for table in tables]))
        polynomials = _products(x, self._others, self.powers, self._degree)
        if not self._periodic:
            return F.linear(polynomials, torch.cat(tables))
        return _summed(self._waves(x), polynomials, tables)

    def _waves(self, x: Tensor) -> Tensor:
        """Cosines and sines, `(n, waves)`."""
        y = torch.cat([x[..., column].unsqueeze(-1) for column in self._periodic], -1)
        return torch.sin(F.linear(y, self._turn * self.numbers, math.pi * self.phases))


@final
class SineSeries(nn.Module):
    r"""Sines that are zero at both ends of some coordinates times Chebyshev polynomials in the others, `V f(x)`.

    The functions are `sin(pi k (y + 1) / 2) sin(pi l (z + 1) / 2) ... T_j(t)` with whole numbers of half waves, and
    products T_j of Chebyshev polynomials. What is zero on walls is so exactly, and for two coordinates there are a
    quarter as many functions as of `SpectralFeatures`. Only V is trained, from zero but for the first function, in
    which the network is linear. `LeastSquares` finds it, for equations that are not linear by Newton's method: for long
    times in short windows of time.

    The second derivatives of sines are zero at walls, too. Where those of the solution are not, the error falls slowly
    with the number of sines, and the residual hardly at all: `bends` is for such solutions. In a random medium
    (`RandomMediumHeat`) 549 sines, times polynomials, erred by 31 %, and 963 with bends by 0.4 %.

    Source: as of `SpectralFeatures`; for the polynomials beside sines Lanczos, "Discourse on Fourier Series" (1966).

    Args:
        inputs: the number of coordinates, scaled to [-1, 1].
        outputs: the number of unknowns.
        columns: the coordinates with walls, from 0.
        waves: for each of them the highest number of half waves. Where there are several, a quarter of an ellipse of
            them is taken.
        folds: for each of them the number of which all numbers of half waves are multiples: how many like parts the
            solution has between the walls, of changing sign. Default: 1.
        degree: the highest total degree of the polynomials.
        flat: whether there are cosines in place of sines: for solutions whose slope is zero at walls.
        bends: whether two polynomials are added to the sines, or cosines, of each coordinate, whose second derivatives
            (with `flat` the third) are not zero at the walls.
        embedding: what the coordinates go through before, into as many, such as a periodic `Lens` for a shock.

    Raises:
        ConfigurationError: a number is not positive, there is no such column, lists are not of one length, bends are
            asked for beside folds, or the embedding has another number of columns.
    """

    places: Tensor
    powers: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        columns: Sequence[int] = (0,),
        waves: Sequence[int] = (20,),
        folds: Sequence[int] | None = None,
        degree: int = 6,
        flat: bool = False,
        bends: bool = False,
        embedding: Callable[[int], Embedding] | None = None,
    ):
        super().__init__()
        self.embedding = _same_columns(inputs, embedding)
        check_list("", columns=columns, waves=waves, folds=folds or [])
        self._walled = [column_of("columns", column, inputs) for column in columns]
        own = [1] * len(columns) if folds is None else list(folds)
        for key, given in (("waves", waves), ("folds", own)):
            if not columns or len(given) != len(columns):
                raise ConfigurationError(f"{key}: must be one number for each of the columns {list(columns)}")
        most = [positive_int(f"waves[{i}]", number) for i, number in enumerate(waves)]
        steps = [positive_int(f"folds[{i}]", number) for i, number in enumerate(own)]
        self._others = [column for column in range(inputs) if column not in self._walled]
        self._degree, self._flat, self._bends = positive_int("degree", degree), flat, bends
        if any(step > top for step, top in zip(steps, most, strict=True)):
            raise ConfigurationError(f"folds: must be at most as many as waves, {most}, got {steps}")
        if bends and any(step > 1 for step in steps):
            raise ConfigurationError(f"bends: polynomials are not folded; leave out one of bends and folds, {steps}")
        lines = [list(range(0 if flat else step, top + 1, step)) for step, top in zip(steps, most, strict=True)]
        # Which function of its line each coordinate has: waves first, polynomials behind, of which none is left out.
        sizes = [[(k - line[0]) / top for k in line] + [0.0] * 2 * bends for line, top in zip(lines, most, strict=True)]
        places = [
            vector
            for vector in itertools.product(*(range(len(size)) for size in sizes))
            if sum(size[k] ** 2 for k, size in zip(vector, sizes, strict=True)) <= 1
        ]
        self._check_walls(inputs)
        powers, dtype = _simplex(len(self._others), self._degree), torch.get_default_dtype()
        for i, line in enumerate(lines):
            self.register_buffer(f"numbers_{i}", torch.tensor(line, dtype=dtype), persistent=False)
        self.register_buffer("places", torch.tensor(places, dtype=dtype), persistent=False)
        self.register_buffer("powers", torch.tensor(powers, dtype=dtype).reshape(len(powers), -1), persistent=False)
        count = len(places) * len(powers)
        self.last = _Amplitudes(positive_int("outputs", outputs), range(count), (len(places), len(powers)))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        x = self.embedding(x)
        waves = self._line(x, 0)
        for i in range(1, len(self._walled)):
            waves = waves * self._line(x, i)
        tables = self.last()
        if not self._others:
            return F.linear(waves, torch.cat([table.T for table in tables]))
        return _summed(waves, _products(x, self._others, self.powers, self._degree), tables)

    @torch.no_grad()
    def _check_walls(self, inputs: int) -> None:
        """Refuses an embedding that moves a wall, on which sines would not be zero any more."""
        for column in self._walled:
            ends = torch.zeros(2, inputs)
            ends[:, column] = torch.tensor([-1.0, 1.0])
            if not torch.allclose(self.embedding(ends)[:, column], ends[:, column], atol=1e-5):
                raise ConfigurationError(
                    f"embedding: moves the walls of column {column} from -1 and 1; a periodic Lens leaves them where "
                    "they are if its place is the middle, 0, or a wall"
                )

    def _line(self, x: Tensor, i: int) -> Tensor:
        """What each function has of one coordinate, `(n, waves)`."""
        z = x[..., self._walled[i]].unsqueeze(-1)
        angle = (z + 1.0) * (math.pi / 2 * getattr(self, f"numbers_{i}"))
        found = torch.cos(angle) if self._flat else torch.sin(angle)
        if self._bends:
            even, odd = (z**4 - 2.0 * z**2, z**3 - 3.0 * z) if self._flat else (1.0 - z**2, z - z**3)
            found = torch.cat([found, even, odd], -1)
        return found.index_select(-1, self.places[:, i].long())


def _same_columns(inputs: int, embedding: Callable[[int], Embedding] | None) -> Embedding:
    """The embedding of coordinates that stay coordinates."""
    built = embed(inputs, embedding)
    if built.outputs != inputs:
        raise ConfigurationError(
            f"embedding: {type(built).__name__} makes {built.outputs} columns of {inputs}; waves and polynomials need "
            "each coordinate as one, as Lens and Stretch leave it"
        )
    return built


class _Amplitudes(nn.Module):
    """The trained numbers, one for each function and output, as tables of waves by polynomials.

    A wave's polynomial is summed up before it is multiplied by the wave: there are many fewer waves than functions.
    """

    places: Tensor

    def __init__(self, outputs: int, places: Sequence[int], shape: tuple[int, int]) -> None:
        super().__init__()
        count = len(places)
        self.weight = nn.Parameter(torch.zeros(outputs, count))
        nn.init.uniform_(self.weight[:, :1], -(count**-0.5), count**-0.5)  # the constant, as a linear layer's bias
        self._shape = shape
        # Where each entry of a table stands among the numbers; behind the last where there is no such function.
        entries = torch.full((shape[0] * shape[1],), count)
        entries[list(places)] = torch.arange(count)
        self.register_buffer("places", entries.to(self.weight.dtype), persistent=False)

    def forward(self) -> list[Tensor]:
        """For each output `(waves, polynomials)`."""
        rows, places = [self.weight[k] for k in range(len(self.weight))], self.places.long()
        with_zero = [torch.cat([row, 0.0 * row[:1]]) for row in rows]
        # Not `index_select`, whose gradient a GPU adds up in any order.
        return [row[places].unflatten(0, self._shape) for row in with_zero]


def _summed(waves: Tensor, polynomials: Tensor, tables: Sequence[Tensor]) -> Tensor:
    """Waves times polynomials, each with its amplitude, added up: `(n, outputs)`."""
    return torch.cat([(waves * F.linear(polynomials, table)).sum(-1).unsqueeze(-1) for table in tables], -1)


def _products(x: Tensor, columns: Sequence[int], powers: Tensor, degree: int) -> Tensor:
    """Products of Chebyshev polynomials of some coordinates, `(n, products)`."""
    product: Tensor = _chebyshev(x[..., columns[0]], degree).index_select(-1, powers[:, 0].long())
    for i, column in enumerate(columns[1:], 1):
        product = product * _chebyshev(x[..., column], degree).index_select(-1, powers[:, i].long())
    return product


def _chebyshev(z: Tensor, degree: int) -> Tensor:
    """T_0 to T_degree at `(n,)`, `(n, degree + 1)`."""
    column = z.unsqueeze(-1)  # once: of each polynomial it took half of the time
    found, twice = [column * 0.0 + 1.0, column], 2.0 * column
    for _ in range(1, degree):
        found.append(twice * found[-1] - found[-2])
    return torch.cat(found, -1)


def _half_ball(dimension: int, radius: int) -> Iterator[tuple[int, ...]]:
    """Whole vectors up to a length, one of k and -k; the zero vector first."""
    yield (0,) * dimension
    for vector in itertools.product(range(-radius, radius + 1), repeat=dimension):
        first = next((number for number in vector if number), 0)
        if first > 0 and math.hypot(*vector) <= radius:
            yield vector


def _simplex(dimension: int, degree: int) -> list[tuple[int, ...]]:
    """Exponents whose sum is at most a degree."""
    return [powers for powers in itertools.product(range(degree + 1), repeat=dimension) if sum(powers) <= degree]
