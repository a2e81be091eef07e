"""How many digits in how many seconds: four methods, on fixed and on residual-based points."""

from pinnlab.studies.precision.report import write_report
from pinnlab.studies.precision.runs import STUDY

__all__ = ["STUDY", "write_report"]
