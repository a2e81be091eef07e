"""When does the kernel of the initial weights predict training, and when not? Widths, steps, and Adam."""

from pinnlab.studies.lazy.report import write_report
from pinnlab.studies.lazy.runs import STUDY

__all__ = ["STUDY", "write_report"]
