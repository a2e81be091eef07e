"""Networks of atoms: waves under Gaussian windows."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinnlab.networks.checks import positive, positive_int


@final
class Gabor(nn.Module):
    """A sum of waves under Gaussian windows: `u(x) = sum_k c_k exp(-|a_k (x - m_k)|^2 / 2) cos(w_k x + p_k)`.

    Centres m, widths 1 / a (one for each coordinate), wave vectors w, phases p and amplitudes c are trained. Every
    atom has its own place and frequency, so that a step changes the solution where it has to. With Gauss-Newton a sum
    of 1,024 such atoms holds the record for Poisson's equation in five dimensions (arXiv 2607.02194).

    Args:
        inputs: the number of coordinates, scaled to [-1, 1].
        outputs: the number of unknowns; all are sums of the same atoms.
        atoms: how many; each has `3 inputs + 1 + outputs` parameters.
        frequency: standard deviation of the wave numbers at the start, on [-1, 1].
        width: of the windows at the start. 1 lets each see most of the domain.

    Raises:
        ConfigurationError: a size, the frequency or the width is not positive.
    """

    ones: Tensor

    def __init__(self, inputs: int, outputs: int, *, atoms: int = 64, frequency: float = 2.0, width: float = 1.0):
        super().__init__()
        shape = (positive_int("atoms", atoms), positive_int("inputs", inputs))
        positive("frequency", frequency)
        positive("width", width)
        self.centers = nn.Parameter(torch.empty(shape).uniform_(-1.0, 1.0))
        self.inverse_widths = nn.Parameter(torch.full(shape, 1.0 / width))
        self.waves = nn.Parameter(torch.empty(shape).normal_(0.0, frequency))
        self.phases = nn.Parameter(torch.empty(atoms).uniform_(-torch.pi, torch.pi))
        self.register_buffer("ones", torch.ones(1, inputs), persistent=False)
        self.last = nn.Linear(atoms, positive_int("outputs", outputs))
        nn.init.normal_(self.last.weight, 0.0, atoms**-0.5)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        # |a (x - m)|^2 as a^2 x^2 - 2 a^2 m x + a^2 m^2: two matrix products, whatever the number of atoms.
        squares = self.inverse_widths * self.inverse_widths
        weighted = squares * self.centers
        constant = F.linear(weighted * self.centers, self.ones)[:, 0]
        distance = F.linear(x * x, squares, constant) - 2 * F.linear(x, weighted)
        return self.last(torch.exp(-0.5 * distance) * torch.cos(F.linear(x, self.waves, self.phases)))
