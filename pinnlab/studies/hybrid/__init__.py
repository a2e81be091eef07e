"""Adam, L-BFGS, or one after the other? Poisson's equation with equal evaluations."""

from pinnlab.studies.hybrid.report import write_report
from pinnlab.studies.hybrid.runs import STUDY

__all__ = ["STUDY", "write_report"]
