"""How far noise in the data moves what was found from them: standard errors from the Gauss-Newton matrix.

Around the minimum of the loss r'r, data that are off by e move the parameters by J+ e, with the pseudo-inverse of the
Jacobian J (Seber and Wild, Nonlinear Regression, 1989, section 2.1.2). The rows of an equation
have no noise: only those of the data count. What results is the scatter of the estimate that was really made, with its
weights, as far as the residual is linear over that distance.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pinnlab.objective.linearization import Linearization

CUTOFF = 1e-10
"""Eigenvalues of J'J below this share of the largest count as zero. Between 1e-16 and 1e-6 it hardly matters: a
direction that the rows do not see is one in which training does not move, either."""

UNSEEN = 1e-6
"""The share of a parameter that may lie in directions that the rows do not see: round-off leaves 1e-12 there."""


@torch.no_grad()
def standard_errors(
    linearization: Linearization, data: Sequence[str], columns: Sequence[int], fixed: Sequence[int] = ()
) -> Tensor | None:
    """The standard errors of some parameters.

    The noise is taken to be independent, and of the same size for all rows of a condition: the scatter of what is left
    of them, over the number of rows less the degrees of freedom that the fit spent on them.

    Args:
        linearization: the loss around its minimum, on all points.
        data: the names of the conditions whose targets were measured.
        columns: the places of the parameters in the flat vector.
        fixed: the places of parameters that the data do not move, such as one that a bound holds.

    Returns:
        `(len(columns),)`, in the parameters' own units, infinite where the rows do not determine a parameter; None
        where the fit has no fewer degrees of freedom than there are data, so that what is left of them says nothing
        about their noise. A collective.
    """
    whole, _ = linearization.gram()
    held = torch.tensor(fixed, dtype=torch.long, device=whole.device)
    whole = whole.index_fill(0, held, 0).index_fill(1, held, 0)
    own, units = list(columns), _units(whole.diagonal(), columns)
    values, vectors = torch.linalg.eigh(units[:, None] * whole * units)
    seen = values > CUTOFF * values[-1]
    values, vectors = values[seen], vectors[:, seen]
    squares = vectors[own].square()
    # What lies in the other directions, where their part of the inverse would be larger than that of these.
    lost = 1 - squares.sum(1) > UNSEEN + CUTOFF * values[-1:] * (squares / values).sum(1)
    vectors = units[:, None] * vectors
    # The columns of (J'J)+ that belong to the wanted parameters, (n, k).
    inverse = vectors @ (vectors[own] / values).T
    variance = values.new_zeros(len(columns))
    for name in data:
        rows = linearization.of_condition(name)
        gram, _ = rows.gram()
        spent = float(((gram @ vectors) * vectors).sum(0).div(values).sum())
        free = rows.shape[0] - spent
        if free < 0.5:
            return None
        variance += rows.residual().square().sum() / free * (inverse * (gram @ inverse)).sum(0)
    return variance.sqrt().masked_fill(lost, torch.inf)


def _units(squares: Tensor, columns: Sequence[int]) -> Tensor:
    """Units `(n,)` in which the rows see the wanted parameters as well as the best seen other one.

    A coefficient of some thousands would be lost below the cutoff otherwise.

    Args:
        squares: the diagonal of J'J.
        columns: the wanted parameters.
    """
    own, units = squares[list(columns)], torch.ones_like(squares)
    others = squares.clone()
    others[list(columns)] = 0
    largest = others.max() if bool(others.any()) else own.max()
    units[list(columns)] = torch.where(own > 0, (largest / own).sqrt(), 1.0)
    return units
