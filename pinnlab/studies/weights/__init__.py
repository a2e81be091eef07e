"""Weights that adapt, where conditions fight: every rule on problems whose terms begin out of balance."""

from pinnlab.studies.weights.runs import STUDY, write_report

__all__ = ["STUDY", "write_report"]
