"""Batches that grow, against all points from the start and against small batches, at equal points seen."""

from pinnlab.studies.batches.report import write_report
from pinnlab.studies.batches.runs import STUDY

__all__ = ["STUDY", "write_report"]
