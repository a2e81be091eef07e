"""The multilayer perceptron, and its variant with two gates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import final

from torch import Tensor, nn

from pinnlab.errors import ConfigurationError
from pinnlab.networks.activations import Activation
from pinnlab.networks.activations import activation as activation_named
from pinnlab.networks.checks import positive_int, widths
from pinnlab.networks.embeddings import Embedding, embed
from pinnlab.networks.linear import dense
from pinnlab.networks.narrowing import first_neurons


@final
class MLP(nn.Module):
    """The multilayer perceptron: linear layers with an activation in between.

    Weights are Glorot normal and biases zero at the start.

    Args:
        inputs: the number of coordinates, scaled to [-1, 1].
        outputs: the number of unknowns.
        hidden: the widths of the hidden layers. The default has about 900 parameters in two dimensions:
            enough for the classic problems and small enough for dense quasi-Newton matrices.
        activation: see `activation`; `tanh` because it is smooth and bounded.
        embedding: what the coordinates go through first.
        factorised: whether the layers use random weight factorisation (see `FactorisedLinear`); it helps
            first-order optimizers, whereas quasi-Newton methods have no need of it.

    Raises:
        ConfigurationError: a size is not positive, or there is no such activation.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden: Sequence[int] = (20, 20, 20),
        activation: Activation = "tanh",
        embedding: Callable[[int], Embedding] | None = None,
        factorised: bool = False,
    ):
        super().__init__()
        self.activation = activation_named(activation)
        self.embedding = embed(inputs, embedding)
        sizes = (self.embedding.outputs, *widths("hidden", hidden))
        self.hidden = nn.ModuleList(dense(a, b, factorised) for a, b in pairwise(sizes))
        self.last = dense(sizes[-1], positive_int("outputs", outputs), factorised)

    def narrowed(self, tensors: Mapping[str, Tensor], width: int) -> dict[str, Tensor]:
        """The tensors of the network's first `width` neurons in every hidden layer, see `Narrowable`."""
        return first_neurons(tensors, width, entries=("hidden.0",))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        return self.last(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """What the last layer is given, `(n, width)`."""
        x = self.embedding(x)
        for layer in self.hidden:
            x = self.activation(layer(x))
        return x


@final
class ModifiedMLP(nn.Module):
    """The perceptron with two gates: every hidden layer mixes two encodings of the input.

    With `U = phi(W_u x + b_u)` and `V = phi(W_v x + b_v)`, a hidden layer maps `h` to
    `z * U + (1 - z) * V` where `z = phi(W h + b)`. The products of inputs that this makes easy help with
    stiff gradients. Every hidden layer is gated, the first one too.

    Source: Wang, Teng, Perdikaris, "Understanding and mitigating gradient pathologies in
    physics-informed neural networks" (arXiv:2001.04536); gates on every layer as in arXiv:2308.08468.

    Args:
        inputs: the number of coordinates, scaled to [-1, 1].
        outputs: the number of unknowns.
        hidden: the widths of the hidden layers, all the same because the gates multiply each of them.
        activation: see `activation`; `tanh` because it is smooth and bounded.
        embedding: what the coordinates go through first.
        factorised: whether the layers, gates included, use random weight factorisation.

    Raises:
        ConfigurationError: a size is not positive, the widths differ, or there is no such activation.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden: Sequence[int] = (20, 20, 20),
        activation: Activation = "tanh",
        embedding: Callable[[int], Embedding] | None = None,
        factorised: bool = False,
    ):
        super().__init__()
        self.activation = activation_named(activation)
        self.embedding = embed(inputs, embedding)
        sizes = (self.embedding.outputs, *widths("hidden", hidden))
        if len(set(sizes[1:])) > 1:
            raise ConfigurationError(f"hidden must list equal widths for a gated network, not {list(hidden)}")
        self.gate_u = dense(sizes[0], sizes[1], factorised)
        self.gate_v = dense(sizes[0], sizes[1], factorised)
        self.hidden = nn.ModuleList(dense(a, b, factorised) for a, b in pairwise(sizes))
        self.last = dense(sizes[-1], positive_int("outputs", outputs), factorised)

    def narrowed(self, tensors: Mapping[str, Tensor], width: int) -> dict[str, Tensor]:
        """The tensors of the network's first `width` neurons in every hidden layer, see `Narrowable`."""
        return first_neurons(tensors, width, entries=("gate_u", "gate_v", "hidden.0"))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        x = self.embedding(x)
        u, v = self.activation(self.gate_u(x)), self.activation(self.gate_v(x))
        difference = u - v
        for layer in self.hidden:
            # v + z (u - v) is z u + (1 - z) v with one product instead of two.
            x = v + self.activation(layer(x)) * difference
        return self.last(x)
