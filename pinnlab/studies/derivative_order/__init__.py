"""Does the kernel of a residual of order p grow as omega^2p? Rayleigh quotients of waves, on untrained networks."""

from pinnlab.studies.derivative_order.report import write_report
from pinnlab.studies.derivative_order.runs import STUDY

__all__ = ["STUDY", "write_report"]
