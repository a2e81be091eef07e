"""Batches that grow, against all points from the start and against small batches, at equal points seen."""

from pinnlab.studies.batches.runs import STUDY, write_report

__all__ = ["STUDY", "write_report"]
