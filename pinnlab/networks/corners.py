"""Random features for domains with corners: sines of distance and direction at each corner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinnlab.errors import ConfigurationError, check_list
from pinnlab.networks.checks import positive, positive_int
from pinnlab.networks.holes import table

_TINY = 1e-16
"""Added to the square of a distance, so that a corner itself has a value."""


@final
class CornerFeatures(nn.Module):
    r"""A linear layer on frozen random sines of the place as a corner of the domain sees it.

    At a corner solutions are sums of terms r^a f(angle), with exponents a that are no whole numbers, which sines of the
    coordinates can only follow with very many of them. All such terms are smooth functions of log r and of the
    direction d / r, with d the position relative to the corner and r = |d|. So here are sines of (log r, d / r), times
    r^power; nothing of the exponents need be known but the lowest. What is smooth at the corner is left to others: take
    the sum with `RandomFeatures` (`FeatureSum`). Only the last layer is trained: `LeastSquares` solves for it.

    The idea is that of singular functions in finite elements (Strang and Fix, An Analysis of the Finite Element Method,
    1973, chapter 8), with random sines in place of those of the equation.

    Args:
        inputs: the number of coordinates, scaled to [-1, 1].
        outputs: the number of unknowns.
        corners: their places in the scaled coordinates; if they are fewer than the coordinates, the others, such as
            time, stand beside direction and distance.
        sizes: the unit of length at each corner, one list of numbers for each: how far it reaches, in scaled
            coordinates, along each of them. They undo the scaling, which changes angles.
        powers: the exponent of r before the sines of each unknown: the lowest of its terms, or below it.
        count: the number of sines for each corner. A sum of four such terms around a corner of 270 degrees is fitted
            to 1e-3 with 80 and to 1e-4 with 120 (root mean square, r from 2e-3 to 2).
        scale: their typical angular wave number in d / r; 1 to 2 did best there, for 3 errors are three times as large.
        log_scale: and in log r; 0.35 to 0.5 did best.

    Raises:
        ConfigurationError: a number is out of its range, or lists differ in length.
    """

    corners: Tensor
    sizes: Tensor
    powers: Tensor
    total: Tensor
    directions: Tensor
    phases: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        corners: Sequence[Sequence[float]],
        sizes: Sequence[Sequence[float]],
        powers: Sequence[float],
        count: int = 120,
        scale: float = 1.5,
        log_scale: float = 0.4,
    ):
        super().__init__()
        own = (table("corners", corners), table("sizes", sizes))
        if own[0].shape != own[1].shape or own[0].shape[1] > positive_int("inputs", inputs):
            raise ConfigurationError(
                f"sizes: must be like corners, with at most {inputs} numbers for each corner, got "
                f"{tuple(own[1].shape)} beside {tuple(own[0].shape)}"
            )
        if not bool((own[1] > 0).all()):
            raise ConfigurationError("sizes: must be positive")
        check_list("", powers=powers)
        if len(powers) != positive_int("outputs", outputs):
            raise ConfigurationError(f"powers: {list(powers)} must be {outputs}, one for each unknown")
        self.register_buffer("corners", own[0])
        self.register_buffer("sizes", own[1])
        self.register_buffer("powers", torch.tensor([float(power) for power in powers]))
        self.register_buffer("total", torch.ones(1, own[0].shape[1]), persistent=False)
        shape = (len(own[0]), positive_int("count", count))
        scales = torch.full((inputs + 1,), float(positive("scale", scale)))
        scales[0] = positive("log_scale", log_scale)
        self.register_buffer("directions", scales * torch.randn(*shape, inputs + 1))
        self.register_buffer("phases", 2 * math.pi * torch.rand(shape))
        self._norm = 1 / math.sqrt(shape[0] * count)
        self.last = nn.ModuleList(nn.Linear(count, outputs, bias=False) for _ in own[0])

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        space, layers = self.corners.shape[1], list(self.last)
        values = self._of_corner(x, 0, space, layers[0])
        for k in range(1, len(layers)):
            values = values + self._of_corner(x, k, space, layers[k])
        return values

    def _of_corner(self, x: Tensor, k: int, space: int, last: nn.Module) -> Tensor:
        away = (x[..., :space] - self.corners[k]) / self.sizes[k]
        square = F.linear(away * away, self.total) + _TINY
        seen = torch.cat([0.5 * torch.log(square), away * square**-0.5, x[..., space:]], -1)
        sines = torch.sin(F.linear(seen, self.directions[k], self.phases[k]))
        values: Tensor = last(self._norm * sines)
        return torch.exp(torch.log(square) * (0.5 * self.powers)) * values
