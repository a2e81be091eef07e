"""Adam, L-BFGS, or one after the other? Poisson's equation with equal evaluations."""

from pinnlab.studies.hybrid.runs import STUDY, write_report

__all__ = ["STUDY", "write_report"]
