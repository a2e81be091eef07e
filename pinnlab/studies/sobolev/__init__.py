"""Sobolev losses: which derivatives of a residual, with which weights, for which network and optimizer."""

from pinnlab.studies.sobolev.report import write_report
from pinnlab.studies.sobolev.runs import STUDY

__all__ = ["STUDY", "write_report"]
