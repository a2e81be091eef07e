"""When to leave Adam for L-BFGS: every criterion on eight problems, against the best fixed step with hindsight."""

from pinnlab.studies.switching.report import write_report
from pinnlab.studies.switching.runs import STUDY

__all__ = ["STUDY", "write_report"]
