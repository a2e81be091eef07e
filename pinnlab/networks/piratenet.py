"""PirateNet: physics-informed residual adaptive networks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import final

import torch
from torch import Tensor, nn

from pinnlab.errors import ConfigurationError
from pinnlab.networks.activations import Activation
from pinnlab.networks.activations import activation as activation_named
from pinnlab.networks.checks import positive_int
from pinnlab.networks.embeddings import Embedding, FourierFeatures, embed
from pinnlab.networks.linear import dense, glorot


@final
class PirateNet(nn.Module):
    """A residual network that starts linear in its embedding and grows deep as it trains.

    Every block has three layers and two gates, and its skip weight `alpha` starts at zero: the block is
    then the identity, however many there are, and the network is `W e(x) + b` for the embedding `e`.
    So deep networks train like shallow ones at first, and `last_layer_least_squares` starts
    them from data or from a condition in one solve.

    Source: Wang, Li, Chen, Perdikaris, "PirateNets: physics-informed deep learning with residual adaptive
    networks" (arXiv:2402.00326), section 4.

    Args:
        inputs: the number of coordinates, scaled to [-1, 1].
        outputs: the number of unknowns.
        width: the number of neurons of the gates and within the blocks. The default (with two blocks, about
            8,500 parameters) is far below the paper's 256, so that dense quasi-Newton matrices still fit.
        blocks: the number of residual blocks, of three layers each.
        activation: see `activation`; `tanh` as in the paper.
        embedding: what the coordinates go through first, and the width of the residual stream. By default
            random Fourier features, as in the paper, as many as make the stream `width` wide.
        factorised: whether gates and blocks use random weight factorisation; the last layer never does.

    Raises:
        ConfigurationError: a size is not positive, or there is no such activation.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 32,
        blocks: int = 2,
        activation: Activation = "tanh",
        embedding: Callable[[int], Embedding] | None = None,
        factorised: bool = False,
    ):
        super().__init__()
        positive_int("width", width)
        positive_int("blocks", blocks)
        self.activation = activation_named(activation)
        self.embedding = embed(inputs, embedding or partial(FourierFeatures, features=(width + 1) // 2))
        stream = self.embedding.outputs
        self.gate_u = dense(stream, width, factorised)
        self.gate_v = dense(stream, width, factorised)
        self.blocks = nn.ModuleList(_AdaptiveBlock(stream, width, self.activation, factorised) for _ in range(blocks))
        self.last = glorot(stream, positive_int("outputs", outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        return self.last(self._stream(x))

    @torch.no_grad()
    def last_layer_least_squares(self, points: Tensor, targets: Tensor) -> None:
        """Sets the last layer so that the network fits the targets best, in the sense of least squares.

        Of several best fits it takes the one with the smallest weights. At the start, when the blocks are
        identities, this is linear regression on the embedding (arXiv:2402.00326, section 4.2).

        Args:
            points: `(n, inputs)` coordinates as the network receives them.
            targets: `(n, outputs)` values there.

        Raises:
            ConfigurationError: the shapes do not belong together.
        """
        expected = (len(points), self.last.out_features)
        if targets.shape != expected:
            raise ConfigurationError(f"targets must have the shape {expected}, not {tuple(targets.shape)}")
        stream = self._stream(points)
        # Without the means the bias is not counted among the weights to be kept small.
        shift, offset = stream.mean(0), targets.mean(0)
        # pinv, not lstsq: on CUDA torch has only the driver that wants full rank.
        weight = (torch.linalg.pinv(stream - shift) @ (targets - offset)).T
        self.last.weight.copy_(weight)
        self.last.bias.copy_(offset - weight @ shift)

    def _stream(self, x: Tensor) -> Tensor:
        x = self.embedding(x)
        u, v = self.activation(self.gate_u(x)), self.activation(self.gate_v(x))
        difference = u - v
        for block in self.blocks:
            x = block(x, v, difference)
        return x


@final
class _AdaptiveBlock(nn.Module):
    """Three layers with two gates, added to the stream with the trainable weight `alpha`."""

    def __init__(self, stream: int, width: int, activation: Callable[[Tensor], Tensor], factorised: bool):
        super().__init__()
        self.activation = activation
        self.first = dense(stream, width, factorised)
        self.second = dense(width, width, factorised)
        self.third = dense(width, stream, factorised)
        self.alpha = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, v: Tensor, difference: Tensor) -> Tensor:
        # With difference = u - v, v + z * difference is the gate z u + (1 - z) v.
        h = v + self.activation(self.first(x)) * difference
        h = v + self.activation(self.second(h)) * difference
        h = self.activation(self.third(h))
        return x + self.alpha * (h - x)
