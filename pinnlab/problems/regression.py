"""Regression of a sum of sines: no differential equation, the playground of spectral bias."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError, check_list
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Dirichlet


class Regression1D(Problem):
    """A sum of sines on [-1, 1], given by its values: u(x) = sum of a_k sin(pi k x).

    Gradient descent learns the low frequencies first (Rahaman et al., arXiv 1806.08734).

    Args:
        frequencies: the wave numbers k > 0.
        amplitudes: their factors a_k; one for all when empty.

    Raises:
        ConfigurationError: no frequency, one that is not positive, or another number of amplitudes.
    """

    def __init__(self, frequencies: Sequence[int] = (1, 4, 8), amplitudes: Sequence[float] = ()) -> None:
        check_list("problem", frequencies=frequencies, amplitudes=amplitudes)
        if not frequencies:
            raise ConfigurationError("problem.frequencies: is empty; give at least one wave number")
        if amplitudes and len(amplitudes) != len(frequencies):
            raise ConfigurationError(f"problem.amplitudes: {len(amplitudes)} values for {len(frequencies)} frequencies")
        self.frequencies = tuple(checks.positive("frequencies", k) for k in frequencies)
        self.amplitudes = tuple(checks.number("amplitudes", a) for a in amplitudes or (1.0,) * len(frequencies))
        x = Interval("x", -1, 1)
        super().__init__(domain=x, unknowns=("u",), conditions={"data": Dirichlet(x, u=self.target)})

    def target(self, x: Tensor) -> Tensor:
        """The sum of sines."""
        terms = [a * torch.sin(math.pi * k * x) for k, a in zip(self.frequencies, self.amplitudes, strict=True)]
        return torch.stack(terms).sum(0)

    def reference(self) -> Exact:
        """The target itself."""
        return Exact(self.target)
