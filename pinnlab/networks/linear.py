"""Linear layers: Glorot initialisation, plain or with random weight factorisation."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinnlab.networks.checks import positive_int


@final
class FactorisedLinear(nn.Module):
    r"""A linear layer with random weight factorisation, `y = diag(exp(s)) V x + b`.

    Every neuron has its own trainable scale `exp(s)`, which lets gradient descent find its own learning
    rate for each. The product `diag(exp(s)) V` is Glorot normal at the start, so that the function
    drawn does not depend on the factorisation, and the bias is zero.

    Source: Wang, Wang, Seidman, Perdikaris, "Random weight factorization improves the training of
    continuous neural representations" (arXiv:2210.01274), with s ~ N(1, 0.1^2).

    Args:
        inputs: the size of the last dimension of x.
        outputs: the size of the last dimension of y.
    """

    linear_in = ("direction", "bias")
    """The parameters in which the output is linear while the others stay, see `last_layer`."""

    def __init__(self, inputs: int, outputs: int):
        positive_int("inputs", inputs)
        positive_int("outputs", outputs)
        super().__init__()
        self.log_scale = nn.Parameter(torch.empty(outputs).normal_(mean=1.0, std=0.1))
        self.direction = nn.Parameter(nn.init.xavier_normal_(torch.empty(outputs, inputs)))
        self.bias = nn.Parameter(torch.zeros(outputs))
        with torch.no_grad():
            self.direction.div_(self.log_scale.exp().unsqueeze(-1))

    @property
    def weight(self) -> Tensor:
        """The product `diag(exp(s)) V` of shape `(outputs, inputs)`."""
        return torch.exp(self.log_scale).unsqueeze(-1) * self.direction

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(..., inputs)` to `(..., outputs)`."""
        return F.linear(x, self.weight, self.bias)


def glorot(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer with Glorot (Xavier) normal weights, variance `2 / (inputs + outputs)`, and zero bias.

    Source: Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010.
    """
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def dense(inputs: int, outputs: int, factorised: bool) -> nn.Module:
    """A `FactorisedLinear` layer or a plain one; both draw the same Glorot normal weights."""
    return FactorisedLinear(inputs, outputs) if factorised else glorot(inputs, outputs)
