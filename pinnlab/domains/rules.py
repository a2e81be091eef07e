"""Quadrature on the unit cube: nodes `(q, dim)` in [0, 1), and weights `(q,)` that add up to 1; in float64."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

Rule = tuple[Tensor, Tensor]

FEWEST = 4
"""Gauss points along a side at least: with fewer, so many quasi-random points are as good as their products."""

MOST = 256
"""Gauss points of one rule: those are found in 10 ms, 3,000 in seconds, and 100,000 would need 80 GB."""


def gauss(dim: int, count: int) -> Rule | None:
    """The product of Gauss-Legendre rules with about `count` nodes; None where a side would have too few."""
    return product([gauss_line(per_side(dim, count))] * dim) if pays(dim, count) else None


def gauss_line(count: int) -> Rule:
    """Gauss-Legendre points: polynomials up to degree `2 count - 1` are integrated exactly.

    More than `MOST` are those of parts of equal length: to find n of them takes a matrix of n by n numbers.
    """
    parts = -(-count // MOST)
    nodes, weights = np.polynomial.legendre.leggauss(-(-count // parts))
    starts = np.arange(parts)[:, None]
    places = (starts + (nodes / 2 + 0.5)) / parts
    return torch.from_numpy(places.reshape(-1))[:, None], torch.from_numpy(np.tile(weights / (2 * parts), parts))


def circle(count: int) -> Rule:
    """Equally spaced nodes: of functions that are periodic and smooth they take the mean to all digits."""
    nodes = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return nodes[:, None], torch.full((count,), 1 / count, dtype=torch.float64)


def sobol(dim: int, count: int) -> Rule:
    """Scrambled Sobol' points with equal weights; a power of two of them, at least `count`, because those are even."""
    number = 1 << (count - 1).bit_length()
    nodes = torch.quasirandom.SobolEngine(dim, scramble=True, seed=0).draw(number, dtype=torch.float64)
    below_one = 1.0 - torch.finfo(torch.float64).eps / 2
    return nodes.clamp(max=below_one), torch.full((number,), 1 / number, dtype=torch.float64)


def product(parts: Sequence[Rule]) -> Rule:
    """All combinations of the nodes of several rules, side by side, and the products of their weights."""
    numbers = torch.cartesian_prod(*(torch.arange(len(weights)) for _, weights in parts)).reshape(-1, len(parts))
    columns = [nodes[k] for (nodes, _), k in zip(parts, numbers.T, strict=True)]
    factors = [weights[k] for (_, weights), k in zip(parts, numbers.T, strict=True)]
    return torch.cat(columns, 1), functools.reduce(torch.mul, factors)


def joined(parts: Sequence[Rule]) -> Rule:
    """The rule for a union of regions that meet in no area of their own."""
    return torch.cat([nodes for nodes, _ in parts]), torch.cat([weights for _, weights in parts])


def pays(dim: int, count: int) -> bool:
    """Whether a product of rules has enough nodes along each side; always in up to three dimensions."""
    return dim <= 3 or per_side(dim, count) >= FEWEST


def per_side(dim: int, count: int) -> int:
    """The largest number whose power `dim` is at most `count`."""
    side = round(count ** (1 / dim))
    return max(side - 1 if side**dim > count else side, 1)
