"""Weights that adapt, where conditions fight: every rule on problems whose terms begin out of balance."""

from pinnlab.studies.weights.report import write_report
from pinnlab.studies.weights.runs import STUDY

__all__ = ["STUDY", "write_report"]
