"""Is the kernel of a wider network better conditioned, and does it learn high frequencies sooner?"""

from pinnlab.studies.width.report import write_report
from pinnlab.studies.width.runs import STUDY

__all__ = ["STUDY", "write_report"]
