"""Where does a ladder pay? From few neurons or windows to many, against as many from the start, at equal time."""

from pinnlab.studies.multilevel.report import write_report
from pinnlab.studies.multilevel.runs import STUDY

__all__ = ["STUDY", "write_report"]
