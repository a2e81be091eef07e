"""When does the kernel of the initial weights predict training, and when not? Widths, steps, and Adam."""

from pinnlab.studies.lazy.runs import STUDY, write_report

__all__ = ["STUDY", "write_report"]
