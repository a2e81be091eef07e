"""Where to put the points: fixed designs, fresh points and every adaptive method, on a steep front and on a shock."""

from pinnlab.studies.points.report import write_report
from pinnlab.studies.points.runs import STUDY

__all__ = ["STUDY", "write_report"]
