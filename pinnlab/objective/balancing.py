"""How much each term of a loss, and each point, should weigh: the formulas. When they act is up to the callbacks.

The loss is the sum over conditions of w_i L_i. A term L_i is a condition's mean square times the user's own weight, so
that rules also correct an own weight that is far off; w_i is what a rule decides.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError, check_positive, check_real, check_whole
from pinnlab.numerics.ordered_sums import add_by_number

MOST = 1e8
"""No quotient is larger: a term whose gradient has vanished must not drown all others, and keeps its weight."""
TINY = 1e-100
"""A residual is zero below: float64 does not come near, and quotients stay finite."""


class AbstractLossTerms(ABC):
    """The terms of a loss as a rule may look at them; computed when asked for, the same on every rank.

    Attributes:
        weights: `(terms,)` the present w.
        equations: `(terms,)` which of the terms are those of differential equations; true or false.
    """

    weights: Tensor
    equations: Tensor

    @abstractmethod
    def values(self) -> Tensor:
        """The terms L `(terms,)` at the last evaluation; for nothing."""

    @abstractmethod
    def gradients(self) -> Tensor:
        """The gradients of the terms L, `(terms, n)`; one evaluation for each condition of the problem."""

    @abstractmethod
    def traces(self, max_rows: int) -> Tensor:
        """For each term the mean over its points of the squared norm of the residual's gradient, `(terms,)`.

        That is the mean of the diagonal of the term's block of the neural tangent kernel JJ', summed over its
        equations; from at most `max_rows` points of each condition. About one evaluation.
        """

    @abstractmethod
    def generator(self) -> torch.Generator:
        """A generator for one random decision, the same on all ranks and after a resume."""


class WeightRule(ABC):
    """How the weights of a loss's terms follow from the terms.

    A subclass supplies `update`; one with a memory also `reset`, `state_dict` and `load_state_dict`.

    Attributes:
        needs_equation: whether one of the terms has to be that of a differential equation.
    """

    needs_equation: ClassVar[bool] = False

    @abstractmethod
    def update(self, terms: AbstractLossTerms) -> Tensor:
        """The new weights `(terms,)`."""

    def reset(self) -> None:  # noqa: B027 most rules have no memory
        """Forgets everything: a run begins."""

    def state_dict(self) -> dict[str, Any]:
        """What the rule remembers, in primitives."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Continues from `state_dict`."""


class GradientNorm(WeightRule):
    """All terms pull equally: w_i = mean_j ||grad L_j|| / ||grad L_i||.

    A term whose gradient has vanished keeps its weight, and the mean is that of the others. Source: Wang, Sankaran,
    Wang, Perdikaris, arXiv 2308.08468, with the mean of the norms in place of their sum, so that equal terms have
    weight 1.

    Args:
        decay: the share of the old weight in the new one; 0.9 as there.

    Raises:
        ConfigurationError: `decay` is not in [0, 1).
    """

    def __init__(self, decay: float = 0.9) -> None:
        check_real("GradientNorm", decay=decay)
        self.decay = _share("GradientNorm.decay", decay)

    def update(self, terms: AbstractLossTerms) -> Tensor:
        """The new weights `(terms,)`; one evaluation for each condition."""
        return _equalised(terms.weights, terms.gradients().norm(dim=1), self.decay)


class LRA(WeightRule):
    """Learning-rate annealing: w_i = max|grad L_r| / mean|w_i grad L_i|, with r for the differential equations.

    Equations keep their weight 1; of several the gradients add up. Maximum and mean are those over the parameters.
    A term whose gradient has vanished keeps its weight, and where those of the equations have, all do. Source: Wang,
    Teng, Perdikaris, arXiv 2001.04536, algorithm 1.

    Args:
        decay: the share of the old weight in the new one; 0.9 as there.

    Raises:
        ConfigurationError: `decay` is not in [0, 1).
    """

    needs_equation: ClassVar[bool] = True

    def __init__(self, decay: float = 0.9) -> None:
        check_real("LRA", decay=decay)
        self.decay = _share("LRA.decay", decay)

    def update(self, terms: AbstractLossTerms) -> Tensor:
        """The new weights `(terms,)`; one evaluation for each condition."""
        gradients, weights = terms.gradients(), terms.weights
        top = gradients[terms.equations].sum(0).abs().max()
        pulls = weights * gradients.abs().mean(1)
        felt = (pulls > top / MOST) & (top > 0) & ~terms.equations
        return torch.where(felt, _blend(weights, top / pulls, self.decay), weights)


class NTKTrace(WeightRule):
    """All terms converge equally fast in the lazy regime: w_i = mean_j(mean diag K_jj) / mean diag K_ii.

    K_ii is the term's block of the neural tangent kernel JJ'; the traces are real ones, from rows of J. A term without
    a trace keeps its weight, and the mean is that of the others. Source: Wang, Yu, Perdikaris, arXiv 2007.14527, with
    means in place of sums, so that weights depend neither on numbers of points nor on the number of terms.

    Args:
        max_rows: points of each condition that the mean is taken over, evenly chosen. 200 give it to a few percent.
        decay: the share of the old weight in the new one. There is none in the source: a trace changes slowly.

    Raises:
        ConfigurationError: `max_rows` is below 1 or `decay` is not in [0, 1).
    """

    def __init__(self, max_rows: int = 200, decay: float = 0.0) -> None:
        check_whole("NTKTrace", least=1, max_rows=max_rows)
        check_real("NTKTrace", decay=decay)
        self.max_rows, self.decay = max_rows, _share("NTKTrace.decay", decay)

    def update(self, terms: AbstractLossTerms) -> Tensor:
        """The new weights `(terms,)`; about one evaluation."""
        return _equalised(terms.weights, terms.traces(self.max_rows), self.decay)


class ReLoBRaLo(WeightRule):
    """Relative loss balancing with random lookback: terms that fell less than others weigh more.

    With b(t, s) = m softmax(L(t) / (T L(s))) for m terms, the new weights are
    alpha (rho w + (1 - rho) b(t, 0)) + (1 - alpha) b(t, t - 1); t counts updates. They add up to m. For nothing: it
    needs no gradients. Source: Bischof, Kraus, arXiv 2110.09813, section 3.

    Args:
        alpha: the share of the past; 0.95.
        expected_rho: rho is drawn anew at each update, 1 with this probability and else 0, which looks back to the
            beginning; 0.99.
        temperature: T; small values favour the slowest term, large ones make all alike; 1.

    Raises:
        ConfigurationError: a number is out of its range.
    """

    def __init__(self, alpha: float = 0.95, expected_rho: float = 0.99, temperature: float = 1.0) -> None:
        check_real("ReLoBRaLo", alpha=alpha, expected_rho=expected_rho)
        check_positive("ReLoBRaLo", temperature=temperature)
        if not 0 <= expected_rho <= 1:
            raise ConfigurationError(f"ReLoBRaLo.expected_rho: must be in [0, 1], got {expected_rho}")
        self.alpha, self.expected_rho = _share("ReLoBRaLo.alpha", alpha), expected_rho
        self.temperature = temperature
        self._first: list[float] = []
        self._last: list[float] = []

    def update(self, terms: AbstractLossTerms) -> Tensor:
        """The new weights `(terms,)`; the first call only remembers the terms."""
        values = terms.values()
        if not self._last:
            self._first = self._last = values.tolist()
            return terms.weights
        first, last = values.new_tensor(self._first), values.new_tensor(self._last)
        self._last = values.tolist()
        rho = float(torch.rand((), generator=terms.generator(), dtype=torch.float64) < self.expected_rho)
        past = rho * terms.weights + (1 - rho) * self._balanced(values, first)
        return self.alpha * past + (1 - self.alpha) * self._balanced(values, last)

    def reset(self) -> None:
        """Forgets the terms seen before."""
        self._first, self._last = [], []

    def state_dict(self) -> dict[str, Any]:
        """The terms at the first and at the last update."""
        return {"first": self._first, "last": self._last}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from `state_dict`."""
        self._first, self._last = list(state["first"]), list(state["last"])

    def _balanced(self, values: Tensor, before: Tensor) -> Tensor:
        return len(values) * torch.softmax(_quotient(values, before) / self.temperature, 0)


class SoftAdapt(WeightRule):
    """Terms that fall slowest, or grow, weigh more: w = m softmax(beta s) for m terms.

    s_i = L_i(t) - L_i(t - 1), where t counts updates, or that over the sum of all |s_j|. The weights add up to m. For
    nothing: it needs no gradients. Source: Heydari, Thompson, Mehmood, arXiv 1912.12355, section 3.

    Args:
        beta: how much the slowest one is favoured; 0.1 as there.
        normalized: whether slopes are divided by the sum of their sizes. By default they are: those of a loss that has
            fallen to 1e-6 would make no difference.
        by_value: whether weights are in proportion to the terms, too (the paper's loss-weighted variant).

    Raises:
        ConfigurationError: `beta` is not a finite number.
    """

    def __init__(self, beta: float = 0.1, normalized: bool = True, by_value: bool = False) -> None:
        check_real("SoftAdapt", beta=beta)
        if not abs(beta) < float("inf"):
            raise ConfigurationError(f"SoftAdapt.beta: must be a finite number, got {beta}")
        self.beta, self.normalized, self.by_value = beta, normalized, by_value
        self._last: list[float] = []

    def update(self, terms: AbstractLossTerms) -> Tensor:
        """The new weights `(terms,)`; the first call only remembers the terms."""
        values = terms.values()
        before, self._last = self._last, values.tolist()
        if not before:
            return terms.weights
        slopes = values - values.new_tensor(before)
        if self.normalized:
            slopes = slopes / slopes.abs().sum().clamp_min(torch.finfo(slopes.dtype).tiny)
        weights = torch.softmax(self.beta * slopes, 0) * (values if self.by_value else 1)
        return len(values) * weights / weights.sum().clamp_min(torch.finfo(slopes.dtype).tiny)

    def reset(self) -> None:
        """Forgets the terms seen before."""
        self._last = []

    def state_dict(self) -> dict[str, Any]:
        """The terms at the last update."""
        return {"last": self._last}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from `state_dict`."""
        self._last = list(state["last"])


# ----------------------------------------------------------------------------- weights of points


def attention(weights: Tensor, residual: Tensor, decay: float, rate: float, times: int = 1) -> Tensor:
    """Residual-based attention: lambda <- gamma lambda + eta |r| / max|r|, where the weight of r^2 is lambda^2.

    Source: Anagnostopoulos et al., arXiv 2307.00379; the square, from the loss mean((lambda r)^2), as in the authors'
    code (github.com/soanagno/rba-pinns).

    Args:
        weights: `(n,)` lambda^2.
        residual: `(n,)` its size at the points.
        decay: gamma.
        rate: eta; lambda cannot exceed eta / (1 - gamma) for long.
        times: how often this is done, with the same residual.

    Returns:
        The new lambda^2, `(n,)`.
    """
    kept = decay**times
    gained = rate * times if decay == 1 else rate * (1 - kept) / (1 - decay)
    share = residual.abs() / residual.abs().max().clamp_min(torch.finfo(residual.dtype).tiny)
    return (kept * weights.sqrt() + gained * share).square()


def ascended(weights: Tensor, residual: Tensor, rate: float, power: int, normalized: bool) -> Tensor:
    """One step of gradient ascent on the loss mean(m(lambda) r^2) with the mask m(lambda) = lambda^power.

    lambda <- lambda + rate m'(lambda) r^2 / mean r^2; the division makes the rate independent of the loss's scale.
    Source: McClenny, Braga-Neto, arXiv 2009.04544, equations 5 to 8.

    Args:
        weights: `(n,)` the present m(lambda).
        residual: `(n,)` its size at the points.
        rate: of the ascent.
        power: of the mask.
        normalized: whether the weights are divided by their mean afterwards: then it stays 1.

    Returns:
        The new m(lambda), `(n,)`.
    """
    squares = residual.square()
    squares = squares / squares.mean().clamp_min(torch.finfo(squares.dtype).tiny)
    roots = weights ** (1 / power)
    raised = (roots + rate * power * roots ** (power - 1) * squares) ** power
    return raised / raised.mean() if normalized else raised


def causal(
    residual: Tensor, chunk: Tensor, chunks: int, tolerance: float, last: float = 1.0, initial: float = 0.0
) -> Tensor:
    """Weights that let a time count only when what is before it is solved: w_i = exp(-eps (L_0 + sum_{j<i} L_j)).

    L_j is the mean squared residual in chunk j of the interval, 0 in one without points, L_0 the loss of the initial
    conditions. Source: Wang, Sankaran, Perdikaris, arXiv 2203.07404, equation 3.4, with L_0 as in the authors' code.

    Args:
        residual: `(n,)` its size at the points.
        chunk: `(n,)` in which chunk each of them is, see `time_chunks`.
        chunks: how many there are.
        tolerance: eps; the larger, the better the times before have to be solved.
        last: the most that the last chunk weighs. Where it would be more, eps is as large as it takes, which makes
            w_i = last ** s_i with s_i the sum of what is before chunk i over that of what is before the last one.
        initial: L_0.

    Returns:
        `(chunks,)`, not increasing. The weight of a point is that of its chunk.
    """
    sums = add_by_number(residual.new_zeros(chunks), chunk, residual.square())
    counts = add_by_number(residual.new_zeros(chunks), chunk, torch.ones_like(residual))
    means = sums / counts.clamp_min(1)
    before = initial + means.cumsum(0) - means
    total = float(before[-1])
    if total > TINY:  # else all times are solved, and count alike
        tolerance = max(tolerance, -math.log(last) / total)
    return torch.exp(-tolerance * before)


def time_chunks(times: Tensor, low: float, high: float, chunks: int) -> Tensor:
    """In which of so many equal parts of an interval each of the times `(n,)` is, `(n,)`."""
    return ((times - low) / (high - low) * chunks).long().clamp(0, chunks - 1)


def _share(key: str, value: float) -> float:
    if not 0 <= value < 1:
        raise ConfigurationError(f"{key}: must be in [0, 1), got {value}")
    return value


def _blend(old: Tensor, new: Tensor, decay: float) -> Tensor:
    return decay * old + (1 - decay) * new


def _equalised(weights: Tensor, sizes: Tensor, decay: float) -> Tensor:
    """Weights `(n,)` that bring sizes `(n,)` to their mean, blended with the old; what has vanished keeps its own."""
    felt = sizes > sizes.max() / MOST
    return torch.where(felt, _blend(weights, sizes[felt].mean() / sizes, decay), weights)


def _quotient(top: Tensor, bottom: Tensor) -> Tensor:
    """The quotient, at most `MOST`; 0 / 0 is 0."""
    return top / torch.maximum(bottom, top / MOST).clamp_min(torch.finfo(bottom.dtype).tiny)
