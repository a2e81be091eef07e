"""Networks of sines."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn

from pinnlab.errors import unknown
from pinnlab.networks.checks import positive, positive_int, widths
from pinnlab.networks.embeddings import Embedding, embed
from pinnlab.networks.narrowing import first_neurons

_STARTS = ("uniform", "orthogonal", "glorot")


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
        trained_frequencies: whether w of each layer is trained, too, as exp of a parameter. For Gauss-Newton to the
            last digits (arXiv 2607.02194), which takes w = 1 at the start and orthogonal weights.
        start: the weights' distribution: `uniform` as above, `orthogonal` (rows or columns are, biases zero), or
            `glorot` (normal, biases zero).
        embedding: what the coordinates go through first, for instance a `PeriodicEmbedding`.

    Raises:
        ConfigurationError: a size or a frequency is not positive, or there is no such start.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden: Sequence[int] = (20, 20, 20),
        first_frequency: float = 5.0,
        hidden_frequency: float = 1.0,
        trained_frequencies: bool = False,
        start: str = "uniform",
        embedding: Callable[[int], Embedding] | None = None,
    ):
        super().__init__()
        positive("first_frequency", first_frequency)
        positive("hidden_frequency", hidden_frequency)
        self.embedding = embed(inputs, embedding)
        sizes = (self.embedding.outputs, *widths("hidden", hidden))
        if start not in _STARTS:
            raise unknown("start", start, _STARTS)
        frequencies = (first_frequency, *[hidden_frequency] * (len(sizes) - 2))
        self.frequencies = frequencies
        self.log_frequencies = None
        if trained_frequencies:
            self.log_frequencies = nn.Parameter(torch.tensor([math.log(w) for w in frequencies]))
        bounds = (1 / sizes[0], *[math.sqrt(6 / size) / hidden_frequency for size in sizes[1:]])
        self.hidden = nn.ModuleList(
            _layer(a, b, bound, start) for (a, b), bound in zip(pairwise(sizes), bounds[:-1], strict=True)
        )
        self.last = _layer(sizes[-1], positive_int("outputs", outputs), bounds[-1], start)

    def narrowed(self, tensors: Mapping[str, Tensor], width: int) -> dict[str, Tensor]:
        """The tensors of the network's first `width` neurons in every hidden layer, see `Narrowable`."""
        return first_neurons(tensors, width, entries=("hidden.0",))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        x = self.embedding(x)
        trained = self.log_frequencies
        for number, layer in enumerate(self.hidden):
            frequency = self.frequencies[number] if trained is None else torch.exp(trained[number])
            x = torch.sin(frequency * layer(x))
        return self.last(x)


def _layer(inputs: int, outputs: int, bound: float, start: str) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    if start == "uniform":
        nn.init.uniform_(layer.weight, -bound, bound)
        nn.init.uniform_(layer.bias, -1 / math.sqrt(inputs), 1 / math.sqrt(inputs))
        return layer
    draw = nn.init.orthogonal_ if start == "orthogonal" else nn.init.xavier_normal_
    draw(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
