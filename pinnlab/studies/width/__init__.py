"""Is the kernel of a wider network better conditioned, and does it learn high frequencies sooner?"""

from pinnlab.studies.width.runs import STUDY, write_report

__all__ = ["STUDY", "write_report"]
