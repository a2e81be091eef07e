"""Independent reference solutions: quadrature and spectral methods in numpy, free of torch and of networks.

Each takes points `(n, d)` in the order of the problem's coordinates and returns values `(n,)`, float64.
"""

from __future__ import annotations

from pinnlab.problems.references.allen_cahn import AllenCahn
from pinnlab.problems.references.cole_hopf import ColeHopf, cole_hopf
from pinnlab.problems.references.lorenz import Lorenz

__all__ = ["AllenCahn", "ColeHopf", "Lorenz", "cole_hopf"]
