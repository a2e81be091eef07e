"""Which optimizer for an operator? A physics-informed DeepONet at equal processor time, and what its kernel says."""

from pinnlab.studies.operators.report import write_report
from pinnlab.studies.operators.runs import STUDY

__all__ = ["STUDY", "write_report"]
