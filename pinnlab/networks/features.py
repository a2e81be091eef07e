"""Random features: networks of which only the last layer is trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, final, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinnlab.networks.checks import column_of, positive, positive_int
from pinnlab.networks.embeddings import Embedding, embed


@runtime_checkable
class Rescalable(Protocol):
    """A network with a scale that can be chosen once it is there, see `ScaleSearch`."""

    def rescale(self, scale: float) -> None:
        """Takes another scale, and changes nothing else."""
        ...


@final
class RandomFeatures(nn.Module):
    r"""A linear layer on frozen random sines, `V sin(scale W x + b) / sqrt(count) + v`.

    W is standard normal and b uniform on [0, 2 pi]; both are buffers. Only V and v are trained, in which the network
    is linear, so that a linear problem is solved by one step of `LeastSquares`. With enough features smooth problems
    come to 1e-10 and below in seconds; how many are enough grows with the wave numbers and with the dimension.

    Source: random features as in Rahimi and Recht (NIPS 2007); for differential equations, in this form, FastLSQ
    (arXiv:2602.10541).

    Args:
        inputs: the number of coordinates, scaled to [-1, 1].
        outputs: the number of unknowns.
        count: the number of sines.
        scale: their typical angular wave number on [-1, 1]. It should be somewhat above the solution's own: far below
            it the sines cannot be told apart in float64, far above it they are too rough to fit between the points.
            `ScaleSearch` finds it.
        embedding: what the coordinates go through first, for instance a `PeriodicEmbedding`.

    Raises:
        ConfigurationError: a size or the scale is not positive.
    """

    directions: Tensor
    phases: Tensor
    scale: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        count: int = 1000,
        scale: float = 5.0,
        embedding: Callable[[int], Embedding] | None = None,
    ):
        super().__init__()
        self.embedding = embed(inputs, embedding)
        shape = (positive_int("count", count), self.embedding.outputs)
        self.register_buffer("directions", torch.randn(shape))
        self.register_buffer("phases", 2 * math.pi * torch.rand(count))
        self.register_buffer("scale", torch.tensor(float(positive("scale", scale))))
        self._norm = 1 / math.sqrt(count)
        self.last = nn.Linear(count, positive_int("outputs", outputs))

    @torch.no_grad()
    def rescale(self, scale: float) -> None:
        """Gives the same random directions another scale.

        Raises:
            ConfigurationError: it is not positive.
        """
        self.scale.fill_(positive("scale", scale))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        return self.last(self._norm * torch.sin(F.linear(self.embedding(x), self.scale * self.directions, self.phases)))


@final
class PeriodicFeatures(nn.Module):
    r"""Sines that are periodic in one coordinate: `V sin(pi k x + scale W y + b) / sqrt(count) + v`, V and v trained.

    The wave numbers k are whole: 0 to `waves`, each of them `each` times. W is standard normal and b uniform on
    [0, 2 pi]; both are buffers. Only V and v are trained, V from zero, in which the network is linear. For waves and
    fronts that move on a periodic interval, in short windows of time: `LeastSquares` takes two or three
    steps in each, also where the equation is not linear.

    Args:
        inputs: the number of coordinates, scaled to [-1, 1].
        outputs: the number of unknowns.
        column: the periodic coordinate, from 0.
        waves: the highest wave number, in waves per interval. It should be where the solution's spectrum ends: an error
            is as large as what is left out, times what the equation's highest derivative makes of it.
        each: how many sines have the same wave number. Two for every coefficient of a polynomial in time that the
            wave's amplitude would need.
        scale: the typical angular wave number in the other coordinates. Small ones make sines that are all but
            polynomials, which is what a short window needs: on the first window of `kdv_windows`, with 32 waves and 10
            sines of each, the error was 5e-2 with 2, 2e-5 with 0.7 and 3e-7 with 0.3; with 12 of each 4e-8 with 0.3 and
            7e-10 with 0.15.

    Raises:
        ConfigurationError: a size or the scale is not positive, or there is no such column.
    """

    numbers: Tensor
    directions: Tensor
    phases: Tensor

    def __init__(
        self, inputs: int, outputs: int, *, column: int = 0, waves: int = 20, each: int = 12, scale: float = 0.2
    ):
        super().__init__()
        column_of("column", column, inputs)
        whole = torch.arange(positive_int("waves", waves) + 1).repeat_interleave(positive_int("each", each))
        numbers, directions = (
            torch.zeros(len(whole), inputs),
            positive("scale", scale) * torch.randn(len(whole), inputs),
        )
        numbers[:, column], directions[:, column] = whole.to(numbers), 0.0
        # Whole numbers survive a cast of the buffer; pi, kept apart, stays exact in float64.
        self.register_buffer("numbers", numbers)
        self.register_buffer("directions", directions)
        self.register_buffer("phases", 2 * math.pi * torch.rand(len(whole)))
        self._norm = 1 / math.sqrt(len(whole))
        self.last = nn.Linear(len(whole), positive_int("outputs", outputs))
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        return self.last(self._norm * torch.sin(F.linear(x, math.pi * self.numbers + self.directions, self.phases)))
