"""Gradient-enhanced residuals: what vanishes in a region has derivatives that vanish there too.

Adding their squares to the loss makes one point say more (gradient-enhanced PINNs, Yu et al., arXiv 2111.02801; for
given targets it is Sobolev training, Czarnecki et al., arXiv 1706.04859). A residual is a pointwise function of the
coordinates and of the unknowns' derivatives, so that the chain rule gives the total derivative: d/dx r = r_x + sum over
u_a of (dr/du_a) u_ax. The engine computes u_ax with the rest; the factors come from one backward pass through the
residual's own formula, not through the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real

import torch
from torch import Tensor
from torch.func import vjp

from pinnlab.derivatives import MultiIndex, Partials, Wanted, downward_closure
from pinnlab.derivatives.multi_index import joined
from pinnlab.errors import ConfigurationError, check_names, unknown

Pointwise = Callable[[Tensor, Partials], Sequence[Tensor]]
"""Equations as a function of points `(n, d)` and of the unknowns there: `(n,)` each, row i from row i only."""


WEIGHT = 0.01
"""The factor of squared derivatives where none is given: it evens out a wave of number 10."""


@dataclass(frozen=True)
class Enhancement:
    """The derivatives of a condition's residuals that its loss has besides the residuals.

    The loss is then the mean over points of r^2 + the sum of weight * (derivative of r)^2. Derivatives count
    as more equations at the same points: Jacobian rows, kernels and gradients have them too.

    Args:
        weights: the factor of each squared derivative, relative to the squared residual, by sorted columns of the
            coordinates; none for no enhancement. A wave of number k in the residual is k times as large in its
            derivative, k^2 times in its second one, so that a weight near 1 leaves the residual itself little say;
            0.01, and 0.0001 for a second derivative, even out k = 10. Which one is best depends on the problem (Yu et
            al.).

    Raises:
        ConfigurationError: a weight is not a finite number >= 0.
    """

    weights: Mapping[MultiIndex, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for weight in self.weights.values():
            if isinstance(weight, bool) or not isinstance(weight, Real) or not 0 <= weight < math.inf:
                raise ConfigurationError(
                    f"enhance_weight: must be a number >= 0 (0 leaves derivatives out), got {weight!r}"
                )

    @property
    def derivatives(self) -> tuple[MultiIndex, ...]:
        """Sorted columns of the coordinates, for each derivative."""
        return tuple(self.weights)

    @classmethod
    def of(
        cls, names: Iterable[str] | Mapping[str, float], weight: float, coordinates: Sequence[str], key: str = "enhance"
    ) -> Enhancement:
        """The enhancement by named derivatives.

        Args:
            names: coordinates, or several one-letter ones in a word, as `"xx"`; none for no enhancement. A mapping has
                the weight of each.
            weight: of all, where `names` has none.
            coordinates: the names of the columns of the points.
            key: what to name in an error.

        Raises:
            ConfigurationError: a derivative is not by the coordinates, or has two weights, or a weight is not a finite
                number >= 0.
        """
        check_names(key, names, coordinates[0])
        given = names if isinstance(names, Mapping) else dict.fromkeys(names, weight)
        enhancement = cls({_multi_index(name, coordinates, key): factor for name, factor in given.items()})
        if isinstance(names, Mapping) and len(enhancement.weights) < len(names):
            raise ConfigurationError(f"{key}: a derivative has two weights in {dict(names)}; keep one name of each")
        return cls({index: factor for index, factor in enhancement.weights.items() if factor > 0})

    def wanted(self, plain: Wanted) -> Wanted:
        """What the engine has to compute for residuals that by themselves want `plain`.

        Laplacians fall apart into second derivatives, because a derivative of a Laplacian has no channel of its own.
        """
        if not self.weights:
            return plain
        if plain.samples:
            sample = min(plain.samples, key=lambda sample: sample.name)
            what = "sample" if sample.is_random else "the trace"
            raise ConfigurationError(f"enhance: {sample.name} has no derivatives; leave out {what}, or enhance")
        # The residual may use the unknown's value, which nobody records; its first derivatives come along anyway.
        used = {(), *plain.partials, *((i, i) for axes in plain.laplacians for i in axes)}
        shifts = ((), *downward_closure(self.weights))
        return Wanted(frozenset(joined(index, shift) for index in used for shift in shifts) - {()})

    def rows(self, equations: Pointwise, points: Tensor, computed: Partials) -> list[Tensor]:
        """The derivatives of every equation times the root of their weight, `(n,)` each: by derivative, then equation.

        Args:
            equations: the residuals.
            points: `(n, d)`.
            computed: what `wanted` asks for.
        """
        parts = []
        for index, weight in self.weights.items():
            derivative = equations
            for column in index:
                derivative = total_derivative(derivative, column)
            parts += [math.sqrt(weight) * part for part in derivative(points, computed)]
        return parts


def total_derivative(equations: Pointwise, column: int) -> Pointwise:
    """The equations' derivative by a coordinate, with the unknowns moving along.

    Args:
        equations: they read no Laplacian that is computed as one channel.
        column: of the coordinate.

    Returns:
        A function of the same kind; for every derivative that the equations read it reads one that is an order higher.
    """

    def derivative(points: Tensor, computed: Partials) -> list[Tensor]:
        own = {(): computed.value, **computed.partials}
        # Derivatives whose own ones were not computed are not read by the equations: they are there for others.
        rates = {index: own[up] for index in own if (up := joined(index, (column,))) in own}

        def evaluate(at: Tensor, known: dict[MultiIndex, Tensor]) -> tuple[Tensor, ...]:
            everything = {**own, **known}
            return tuple(equations(at, Partials(everything.pop(()), everything, {})))

        # Reverse mode, because torch's forward mode makes the number of points a constant of a compiled graph.
        values, pull_back = vjp(evaluate, points, {index: own[index] for index in rates})[:2]
        zeros = [torch.zeros_like(value) for value in values]
        parts = []
        for k, value in enumerate(values):
            by_point, by_unknown = pull_back((*zeros[:k], torch.ones_like(value), *zeros[k + 1 :]))
            terms = [(by_unknown[index] * rate).sum(-1) for index, rate in rates.items()]
            parts.append(by_point[:, column] + torch.stack(terms).sum(0))
        return parts

    return derivative


def _multi_index(name: str, coordinates: Sequence[str], key: str) -> MultiIndex:
    letters = [name] if name in coordinates else list(str(name))
    if not letters or not set(letters) <= set(coordinates):
        raise unknown(f"derivative in {key}", str(name), coordinates)
    return tuple(sorted(coordinates.index(letter) for letter in letters))
