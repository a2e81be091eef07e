"""The deep operator network: functions go in beside places, and the solution for that function comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn

from pinnlab.networks.activations import Activation
from pinnlab.networks.activations import activation as activation_named
from pinnlab.networks.checks import places_beside, positive_int, widths
from pinnlab.networks.embeddings import Embedding
from pinnlab.networks.linear import glorot
from pinnlab.networks.mlp import MLP
from pinnlab.networks.on_products import Places


@final
class DeepONet(nn.Module):
    """The unstacked DeepONet: an inner product of a branch's view of the function and a trunk's view of the place.

    `u(a)(x) = sum_r b_r(a) t_r(x) + bias`, with a branch of its own last layer for each unknown and one trunk for all.

    The last columns of the input are the function: its coefficients in the basis of a `FunctionSpace`, the last factor
    of the domain. Its values at sensors would be a linear map of them, which the branch's first layer has already. The
    other columns are the place. What is constant there (the branch, if no derivative by a coefficient is asked for)
    costs no derivatives. An empty `branch` makes the operator linear in the function, which is all that a linear
    equation needs. Of functions times places each function goes through the branch once and each place through the
    trunk once, see `OnProducts`.

    Source: Lu, Jin, Pang, Zhang, Karniadakis, "Learning nonlinear operators via DeepONet based on the universal
    approximation theorem of operators" (Nature Machine Intelligence 3, 2021), section 2.

    Args:
        inputs: the number of coordinates, those of the function too, scaled to [-1, 1].
        outputs: the number of unknowns; all share the trunk.
        modes: how many of the coordinates are the function.
        branch: the widths of the branch's hidden layers; none: a linear map.
        trunk: the widths of the trunk's hidden layers.
        rank: how many products are summed up, the width of both nets' last layer.
        activation: see `activation`; `tanh` because it is smooth and bounded.
        embedding: what the place goes through first, the trunk's features, such as a `PeriodicEmbedding`.

    Raises:
        ConfigurationError: a size is not positive, `modes` leaves no place, or there is no such activation.
    """

    on_grids = False

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        modes: int,
        branch: Sequence[int] = (40, 40),
        trunk: Sequence[int] = (40, 40),
        rank: int = 40,
        activation: Activation = "tanh",
        embedding: Callable[[int], Embedding] | None = None,
    ):
        super().__init__()
        self.last_layers = "last", "trunk.last"
        self.place_columns = places_beside(modes, inputs, " for the trunk")
        self.outputs = positive_int("outputs", outputs)
        self.activation = activation_named(activation)
        sizes = (modes, *(widths("branch", branch) if branch else ()))
        self.branch = nn.ModuleList(glorot(a, b) for a, b in pairwise(sizes))
        self.trunk = MLP(
            self.place_columns, positive_int("rank", rank), hidden=trunk, activation=activation, embedding=embedding
        )
        self.last = glorot(sizes[-1], outputs * rank)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, places: Places = None) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`.

        Args:
            x: function by function, if `places` is given.
            places: how many places each function has, the same for all of them; default: nothing is known of it.
        """
        place, function = x[..., : self.place_columns], x[..., self.place_columns :]
        if places is None:
            return (self._weights(function) * self.trunk(place).unsqueeze(-2)).sum(-1) + self.bias
        (count,) = places
        weights = self._weights(function.unflatten(0, (-1, count))[:, 0])
        products = weights.transpose(0, 1) @ self.trunk(place[:count]).mT  # (outputs, functions, places)
        return products.flatten(1).mT + self.bias

    def features(self, x: Tensor, places: int) -> tuple[Tensor, Tensor]:
        """What the last layers of branch and trunk are given, of functions times places; see `InFactors`."""
        place, function = x[..., : self.place_columns], x[..., self.place_columns :]
        return self._hidden(function.unflatten(0, (-1, places))[:, 0]), self.trunk.features(place[:places])

    def _weights(self, function: Tensor) -> Tensor:
        """What the branch makes of functions, `(n, outputs, rank)`."""
        return self.last(self._hidden(function)).unflatten(-1, (self.outputs, -1))

    def _hidden(self, function: Tensor) -> Tensor:
        for layer in self.branch:
            function = self.activation(layer(function))
        return function
