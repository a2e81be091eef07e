"""Problems: what is solved. Each file is one partial differential equation with an independent reference."""

from pinnlab.problems.base import Coefficient, Exact, Numerical, Problem
from pinnlab.problems.burgers import Burgers
from pinnlab.problems.conditions import (
    Condition,
    Dirichlet,
    Neumann,
    Observations,
    Periodic,
    Residual,
    Robin,
)

__all__ = [
    "Burgers",
    "Coefficient",
    "Condition",
    "Dirichlet",
    "Exact",
    "Neumann",
    "Numerical",
    "Observations",
    "Periodic",
    "Problem",
    "Residual",
    "Robin",
]
