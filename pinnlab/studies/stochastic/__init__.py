"""How many points does a batch need where a network is cut into windows? One network, windows and levels on batches."""

from pinnlab.studies.stochastic.report import write_report
from pinnlab.studies.stochastic.runs import STUDY

__all__ = ["STUDY", "write_report"]
