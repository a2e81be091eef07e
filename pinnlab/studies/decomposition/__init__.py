"""Many small networks or one? Subdomains, overlap and levels, at equal numbers of parameters and equal time."""

from pinnlab.studies.decomposition.report import write_report
from pinnlab.studies.decomposition.runs import STUDY

__all__ = ["STUDY", "write_report"]
