"""Waves times polynomials on grids of points: a spectral method's ansatz with very many numbers."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinnlab.errors import ConfigurationError, check_list
from pinnlab.networks.checks import positive_int
from pinnlab.networks.on_products import Places
from pinnlab.numerics.tensor_sums import grid_sum

_BLOCK = 1 << 20
"""Numbers that unrelated points take at a time, in each derivative."""


@final
class ProductSeries(nn.Module):
    r"""All products of waves in the periodic coordinates and polynomials in the last one, `V f(x)`.

    The functions are `w_k(x) w_l(y) ... p_j(t)`: `w` are one and the cosines and sines of whole numbers of waves, of
    mean square one; `p_0` is one, and `p_j` the integral of the Legendre polynomial of degree j - 1, zero where t
    begins. Only V is trained, from zero but for the constants, in which the network is linear. On a `SpaceTimeGrid`
    sums are done coordinate by coordinate: at 132 x 132 places and 6 times, two sums of 83,000 functions take 2 ms of a
    core, with a Laplacian and a first derivative 25 ms. At unrelated points each point takes one sum over all of them.

    For fine structures on a periodic domain, in short windows of time. There are too many numbers for a matrix, and
    none is needed: the derivatives of the `p_j` by t are orthogonal, so that the conjugate gradients of
    `LeastSquares(matrix_free=True)` take some tens of iterations in a window in which the solution changes little.

    Source: Canuto, Hussaini, Quarteroni, Zang, "Spectral Methods: Fundamentals in Single Domains" (Springer, 2006),
    chapter 2.

    Args:
        inputs: the number of coordinates, scaled to [-1, 1]; the last one, mostly time, has the polynomials.
        outputs: the number of unknowns.
        waves: for each of the other coordinates the largest number of waves per interval. A grid should have at least
            twice as many places, and one.
        degree: the highest degree of the polynomials. A grid should have at least as many times.

    Raises:
        ConfigurationError: a number is not positive, or there is not one number of waves for each coordinate but one.
    """

    on_grids = True

    def __init__(self, inputs: int, outputs: int, *, waves: Sequence[int] = (16,), degree: int = 4) -> None:
        super().__init__()
        check_list("", waves=waves)
        most = [positive_int(f"waves[{i}]", number) for i, number in enumerate(waves)]
        if not most or len(most) != inputs - 1:
            raise ConfigurationError(
                f"waves: must be one number for each coordinate but the last, {inputs - 1}, got {most}"
            )
        self.place_columns, self._degree = inputs - 1, positive_int("degree", degree)
        for i, number in enumerate(most):
            counted = torch.arange(1, number + 1, dtype=torch.get_default_dtype())
            self.register_buffer(f"numbers_{i}", counted, persistent=False)
        self.last = _Amplitudes(positive_int("outputs", outputs), [degree + 1, *(2 * number + 1 for number in most)])

    def forward(self, x: Tensor, places: Places = None) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`.

        Args:
            x: time by time, if `places` is given.
            places: how many places along each of the other coordinates; default: nothing is known of it.
        """
        core = self.last()
        if places is None:
            rows = max(_BLOCK // math.prod(core.shape[:-1]), 1)
            if x.ndim < 2 or len(x) <= rows:
                return self._at_points(core, x)
            return torch.cat([self._at_points(core, x[k : k + rows]) for k in range(0, len(x), rows)])
        functions = [functools.partial(self._waves, i=i) for i in range(self.place_columns)]
        return grid_sum(core, x, (x.shape[0] // math.prod(places), *places), [self._polynomials, *functions])

    def _at_points(self, core: Tensor, x: Tensor) -> Tensor:
        last = self.place_columns - 1
        found = F.linear(self._waves(x[..., last], last), core.flatten(0, -2)).unflatten(-1, tuple(core.shape[:-1]))
        for i in reversed(range(last)):  # behind outputs, polynomials and waves of the coordinates before
            found = (found * self._waves(x[..., i], i).unflatten(-1, (*[1] * (i + 2), -1))).sum(-1)
        return (found * self._polynomials(x[..., last + 1]).unsqueeze(-2)).sum(-1)

    def _waves(self, y: Tensor, i: int) -> Tensor:
        """One, cosines and sines of a coordinate, `(n, 2 waves + 1)`."""
        column = y.unsqueeze(-1)
        angle = column * (math.pi * getattr(self, f"numbers_{i}"))
        return torch.cat([column * 0.0 + 1.0, math.sqrt(2) * torch.cos(angle), math.sqrt(2) * torch.sin(angle)], -1)

    def _polynomials(self, z: Tensor) -> Tensor:
        """One, and integrals of Legendre polynomials from -1 on, whose derivatives have one size, `(n, degree + 1)`."""
        column = z.unsqueeze(-1)
        legendre = [column * 0.0 + 1.0, column]
        for k in range(1, self._degree):
            legendre.append(((2 * k + 1) * column * legendre[-1] - k * legendre[-2]) / (k + 1))
        integrals = [(legendre[k] - legendre[k - 2]) / math.sqrt(2 * k - 1) for k in range(2, self._degree + 1)]
        return torch.cat([legendre[0], column + 1.0, *integrals], -1)


class _Amplitudes(nn.Module):
    """The trained numbers, one for each function and output."""

    def __init__(self, outputs: int, shape: Sequence[int]) -> None:
        super().__init__()
        self._shape, count = tuple(shape), math.prod(shape)
        self.weight = nn.Parameter(torch.zeros(outputs, count))
        nn.init.uniform_(self.weight[:, :1], -(count**-0.5), count**-0.5)  # the constant, as a linear layer's bias

    def forward(self) -> Tensor:
        """`(outputs, functions of the last coordinate, of the first, of the second, ...)`."""
        return self.weight.unflatten(-1, self._shape)
