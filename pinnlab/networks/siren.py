"""Networks of sines."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn

from pinnlab.networks.checks import positive, positive_int, widths
from pinnlab.networks.embeddings import Embedding, embed
from pinnlab.networks.narrowing import first_neurons


@final
class SIREN(nn.Module):
    """A network of sines, `sin(w (W x + b))`, whose initialisation keeps all layers alike.

    With weights of the first layer in U(-1/inputs, 1/inputs) and of the others in
    U(-sqrt(6/width)/w, sqrt(6/width)/w), the arguments of the sines in every layer but the first have a
    variance of about one, at any depth. Biases are U(-1/sqrt(inputs), 1/sqrt(inputs)) of their layer.

    Source: Sitzmann et al., "Implicit neural representations with periodic activation functions"
    (arXiv:2006.09661), section 3.2.

    Args:
        inputs: the number of coordinates, scaled to [-1, 1].
        outputs: the number of unknowns.
        hidden: the widths of the hidden layers.
        first_frequency: w of the first layer, the typical angular wave number on [-1, 1]. The paper's 30 is
            made for images; in a PINN the residual of an equation of order p starts out with its p-th
            power and swamps the other terms. On Poisson's equation in two dimensions with wave
            numbers up to 3 pi, Adam and then L-BFGS reached relative errors of 0.005 to 0.012 anywhere
            from 1 to 10, the least at 5, and did not train at all with 30 (two seeds each).
        hidden_frequency: w of the other layers. It cancels in the weights that are drawn, so that
            it mainly multiplies the step of a first-order optimizer (it also divides the initial output).
            The default of 1 leaves steps to the optimizer; the paper uses 30.
        embedding: what the coordinates go through first, for instance a `PeriodicEmbedding`.

    Raises:
        ConfigurationError: a size or a frequency is not positive.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden: Sequence[int] = (20, 20, 20),
        first_frequency: float = 5.0,
        hidden_frequency: float = 1.0,
        embedding: Callable[[int], Embedding] | None = None,
    ):
        super().__init__()
        positive("first_frequency", first_frequency)
        positive("hidden_frequency", hidden_frequency)
        self.embedding = embed(inputs, embedding)
        sizes = (self.embedding.outputs, *widths("hidden", hidden))
        self.frequencies = (first_frequency, *[hidden_frequency] * (len(sizes) - 2))
        bounds = (1 / sizes[0], *[math.sqrt(6 / size) / hidden_frequency for size in sizes[1:]])
        self.hidden = nn.ModuleList(
            _uniform(a, b, bound) for (a, b), bound in zip(pairwise(sizes), bounds[:-1], strict=True)
        )
        self.last = _uniform(sizes[-1], positive_int("outputs", outputs), bounds[-1])

    def narrowed(self, tensors: Mapping[str, Tensor], width: int) -> dict[str, Tensor]:
        """The tensors of the network's first `width` neurons in every hidden layer, see `Narrowable`."""
        return first_neurons(tensors, width, entries=("hidden.0",))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        x = self.embedding(x)
        for layer, frequency in zip(self.hidden, self.frequencies, strict=True):
            x = torch.sin(frequency * layer(x))
        return self.last(x)


def _uniform(inputs: int, outputs: int, bound: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.uniform_(layer.weight, -bound, bound)
    nn.init.uniform_(layer.bias, -1 / math.sqrt(inputs), 1 / math.sqrt(inputs))
    return layer
