"""What the order of an equation does: to the kernel's spectrum, and to what adaptive points are worth."""

from pinnlab.studies.orders.report import write_report
from pinnlab.studies.orders.runs import STUDY

__all__ = ["STUDY", "write_report"]
