"""Finds what is sought and stands in no condition: a run ends well, and what it says of it is what it began with."""

from __future__ import annotations

import warnings

import torch

from pinnlab.problems.base import Problem
from pinnlab.problems.evaluation import asks_for
from pinnlab.problems.stand_ins import residual_of_stand_ins


def warn_of_unused(problem: Problem) -> None:
    """Warns of unknowns and coefficients on which no residual depends; of the only unknown others do."""
    unknowns = problem.unknowns if len(problem.unknowns) > 1 else ()
    coefficients = [k for k in problem.coefficients if problem.ansatz is None or not asks_for(problem.ansatz, k)]
    left = [*unknowns, *coefficients]
    for condition in problem.conditions.values():
        if not left:
            return
        factors = {name: torch.ones((), dtype=torch.float64, requires_grad=True) for name in left}
        residual, rows = residual_of_stand_ins(problem, condition, factors)
        with torch.enable_grad():
            parts = residual(rows)
            total = (torch.arange(1.0, parts.numel() + 1).sqrt() * parts.flatten()).sum()  # in which nothing cancels
        if total.requires_grad:
            slopes = torch.autograd.grad(total, list(factors.values()), allow_unused=True)
            left = [name for name, slope in zip(left, slopes, strict=True) if slope is None or slope == 0]
    for name in left:
        what = (
            f"unknown {name!r} is in no condition, so that nothing says what it is; write its equation, or leave it out"
            if name in unknowns
            else f"coefficient {name!r} is in no condition, and stays as it begins; functions get it as an argument"
        )
        warnings.warn(what, stacklevel=2)
