"""Does the schedule of Adam's learning rate matter? Five of them with equal evaluations, alone and before SSBroyden."""

from pinnlab.studies.schedules.report import write_report
from pinnlab.studies.schedules.runs import STUDY

__all__ = ["STUDY", "write_report"]
