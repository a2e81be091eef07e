"""Where errors are measured and figures drawn: held-out points, and for operators held-out functions."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from pinnlab.domains import Domain, FunctionSpace, Product, function_spaces
from pinnlab.domains.functions import function_columns
from pinnlab.problems.unknowns import Unknown, with_regions
from pinnlab.samplers import Sobol, UniformRandom

HELD_OUT_FUNCTIONS = 100
"""Enough that the mean of their errors is known to about a tenth of it."""
LEAST_PLACES = 25
"""For each of them, however few points are asked for: with fewer a grid in space and time would have one time only."""


def evaluation_points(domain: Domain, count: int, unknowns: Iterable[Unknown]) -> Tensor:
    """About `count` points `(n, d)` of a domain, always the same ones, and some where its unknowns live.

    With spaces of functions among its factors: at about `count / 100` points each of 100 functions, drawn from their
    distribution, one after the other; then those where unknowns live, with these functions in turns.
    """
    return with_regions(unknowns, _in_domain(domain, count), count, function_columns(domain))


def _in_domain(domain: Domain, count: int) -> Tensor:
    spaces = function_spaces(domain)
    if not spaces:
        return _places(domain, count)
    functions = torch.cat(
        [UniformRandom().sample(space, HELD_OUT_FUNCTIONS, seed=17 + k) for k, space in enumerate(spaces)], 1
    )
    others = [factor for factor in getattr(domain, "factors", ()) if not isinstance(factor, FunctionSpace)]
    places = _places(Product(*others), max(count // HELD_OUT_FUNCTIONS, LEAST_PLACES))
    columns = dict(zip([name for factor in others for name in factor.coordinates], places.T, strict=True))
    names = [name for space in spaces for name in space.coordinates]
    n, p = len(functions), len(places)
    found = {name: column.repeat(n) for name, column in columns.items()}
    found |= {name: functions[:, i].repeat_interleave(p) for i, name in enumerate(names)}
    return torch.stack([found[name] for name in domain.coordinates], -1)


def _places(domain: Domain, count: int) -> Tensor:
    """A regular grid for up to two coordinates, cut to the domain; else a Sobol' set."""
    low, high = domain.low, domain.high
    if len(low) > 2:
        return Sobol().sample(domain, count, seed=0)
    share = domain.measure / math.prod(b - a for a, b in zip(low, high, strict=True))
    count = math.ceil(count * max(1.0, 0.5 / share))  # at least half as many as asked for lie inside
    sides = [count] if len(low) == 1 else [math.isqrt(2 * count) | 1, math.isqrt(count // 2) | 1]
    axes = [torch.linspace(a, b, s, dtype=torch.float64) for a, b, s in zip(low, high, sides, strict=True)]
    grid = torch.stack([g.reshape(-1) for g in torch.meshgrid(*axes, indexing="ij")], -1)
    return grid[domain.contains(grid)]
