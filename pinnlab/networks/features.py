"""Random features: a network of which only the last layer is trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, final, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinnlab.networks.checks import positive, positive_int
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
