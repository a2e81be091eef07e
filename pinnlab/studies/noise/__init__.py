"""Noise in the data and in the gradient: what it does to first-order, quasi-Newton and Gauss-Newton methods."""

from pinnlab.studies.noise.report import write_report
from pinnlab.studies.noise.runs import STUDY

__all__ = ["STUDY", "write_report"]
