"""The field's exam: problems of PINNacle's benchmark by the recipes that pinnlab has for them."""

from pinnlab.studies.pinnacle.report import write_report
from pinnlab.studies.pinnacle.runs import STUDY

__all__ = ["STUDY", "write_report"]
