"""Regression of a sum of sines, exact or with noise: no differential equation, the playground of spectral bias."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError, check_list, check_seed
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Condition, Dirichlet
from pinnlab.problems.observations import Observations


class Regression1D(Problem):
    """A sum of sines on [-1, 1], given by its values: u(x) = sum of a_k sin(pi k x).

    Gradient descent learns the low frequencies first (Rahaman et al., arXiv 1806.08734).

    By default the values are exact, at as many points as the run draws. With a `count` they are measurements at fixed
    points, with noise or without; errors are those against the sum itself.

    Args:
        frequencies: the wave numbers k > 0.
        amplitudes: their factors a_k; one for all when empty.
        noise: the standard deviation of a measurement; 0 for none.
        count: how many measurements there are, at equal distances; 0 for exact values at the points of the run.
        seed: of the noise.

    Raises:
        ConfigurationError: no frequency, one that is not positive, another number of amplitudes, or noise that is
            negative or without measurements.
    """

    def __init__(
        self,
        frequencies: Sequence[int] = (1, 4, 8),
        amplitudes: Sequence[float] = (),
        noise: float = 0.0,
        count: int = 0,
        seed: int = 0,
    ) -> None:
        check_list("problem", frequencies=frequencies, amplitudes=amplitudes)
        if not frequencies:
            raise ConfigurationError("problem.frequencies: is empty; give at least one wave number")
        if amplitudes and len(amplitudes) != len(frequencies):
            raise ConfigurationError(f"problem.amplitudes: {len(amplitudes)} values for {len(frequencies)} frequencies")
        self.frequencies = tuple(checks.positive("frequencies", k) for k in frequencies)
        self.amplitudes = tuple(checks.number("amplitudes", a) for a in amplitudes or (1.0,) * len(frequencies))
        self.noise, self.count = checks.non_negative("noise", noise), checks.integer("count", count, least=0)
        check_seed("problem", seed)
        if noise and not count:
            raise ConfigurationError("problem.count: noise is that of measurements; say how many there are")
        x = Interval("x", -1, 1)
        data = self._measured(seed) if count else Dirichlet(x, u=self.target)
        super().__init__(domain=x, unknowns=("u",), conditions={"data": data})

    def target(self, x: Tensor) -> Tensor:
        """The sum of sines."""
        terms = [a * torch.sin(math.pi * k * x) for k, a in zip(self.frequencies, self.amplitudes, strict=True)]
        return torch.stack(terms).sum(0)

    def reference(self) -> Exact:
        """The target itself."""
        return Exact(self.target)

    def _measured(self, seed: int) -> Condition:
        """The measurements, with the noise of a seed."""
        places = torch.linspace(-1, 1, self.count, dtype=torch.float64)
        drawn = torch.randn(self.count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        return Observations(places[:, None], u=self.target(places) + self.noise * drawn)
