"""Points chosen by a score: which of many candidates are taken, and which of the present points stay.

Pure functions of scores `(n,)`, mostly the size of the residual at each point; they return row numbers. Random
choices take their generator, and are made on the CPU, so that every process and device chooses the same.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

GATE_START, GATE_END = -0.5, 1.5
"""Where the causal gate starts (all but closed at t = 0) and ends (open at t = 1), in units of the time span."""


def density(residual: Tensor, exponent: float, floor: float, cap: float | None = None) -> Tensor:
    """The unnormalised density of points p ~ |r|^k / mean|r|^k + c (Wu et al., arXiv 2207.10289, eq. 2).

    Args:
        residual: `(n,)` size of the residual at candidate points.
        exponent: k; 0 is uniform, larger values concentrate more.
        floor: c; how much of the uniform density stays.
        cap: the largest density, in multiples of the uniform one; default: no limit.
    """
    tiny = torch.finfo(residual.dtype).tiny
    powers = (residual.abs() / residual.abs().max().clamp_min(tiny)) ** exponent  # of 1 at most: none is infinite
    found = powers / powers.mean().clamp_min(tiny) + floor
    return found if cap is None else capped(found, cap)


def capped(weights: Tensor, cap: float) -> Tensor:
    """Weights of which none exceeds `cap` times their mean: the largest are cut down to one level.

    The level t solves t = cap mean(min(w, t)); it is found by going through the sorted weights. Where fewer than a
    part 1 / cap of them are positive there is no such level, and all positive ones become alike.

    Args:
        weights: `(n,)` not negative.
        cap: above 1.
    """
    falling = torch.sort(weights, descending=True).values
    count, cut = len(weights), torch.arange(len(weights), dtype=weights.dtype)
    rest = falling.flip(0).cumsum(0).flip(0)  # the sum of those that are not cut, if the `cut` largest are
    levels = cap * rest / (count - cap * cut)
    holds = (cap * cut < count) & (falling <= levels)
    level = levels[holds][0] if bool(holds.any()) else falling[-1]
    if float(level) > 0:
        return weights.clamp_max(level)
    return (weights > 0).to(weights.dtype)


def draw_by_weight(weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draws different rows in proportion to their weights: RAD where all points are drawn, RAR-D where some are added.

    Args:
        weights: `(n,)` not negative, on the CPU; where all are 0, all rows are alike.
        count: how many of the n rows.
        generator: the only source of randomness.

    Returns:
        `(count,)` row numbers.
    """
    usable = weights if bool((weights > 0).any()) else torch.ones_like(weights)
    return torch.multinomial(usable, count, generator=generator)


def largest(score: Tensor, count: int) -> Tensor:
    """The rows with the largest scores, RAR-G (Lu et al., arXiv 1907.04502); of equal ones the first.

    Args:
        score: `(n,)`.
        count: how many of the n rows.

    Returns:
        `(count,)` row numbers, the largest score first.
    """
    return torch.sort(score, descending=True, stable=True).indices[:count]


def above_mean(score: Tensor) -> Tensor:
    """The rows that R3 retains: those whose score exceeds the mean (Daw et al., arXiv 2207.02338, algorithm 1).

    Never all of them, and none where all are equal.

    Args:
        score: `(n,)` size of the residual at the present points, times the gate if there is one.

    Returns:
        Row numbers in ascending order.
    """
    mean = torch.maximum(score.mean(), score.min())  # that of equal scores may be rounded to below them
    return torch.nonzero(score > mean).flatten()


def causal_gate(time: Tensor, position: float, steepness: float) -> Tensor:
    """The gate g(t) = (1 - tanh(alpha (t - gamma))) / 2 of causal R3: 1 where time has come, 0 in the future.

    Args:
        time: `(n,)` in units of the time span: 0 at its start, 1 at its end.
        position: gamma, where the gate is half open; from `GATE_START` to `GATE_END`.
        steepness: alpha.
    """
    return 0.5 * (1 - torch.tanh(steepness * (time - position)))


def advanced(position: float, gated: float, tolerance: float, distance: float) -> float:
    """Moves the causal gate: gamma + eta exp(-eps L), at most to `GATE_END`.

    Args:
        position: gamma.
        gated: L, the mean of g(t) r^2 over the points.
        tolerance: eps; the gate waits as long as L is large compared to 1 / eps.
        distance: eta, how far it moves when L is 0.
    """
    return min(position + distance * math.exp(-tolerance * gated), GATE_END)
