"""The criterion for those who have no opinion."""

from __future__ import annotations

from pinnlab.criteria.base import Criterion
from pinnlab.criteria.loss import LossPlateau


def recommended() -> Criterion:
    """The rule for leaving a first-order optimizer that did best over eight problems (docs/studies/switching.md)."""
    return LossPlateau()
