"""Which frequencies does an optimizer learn, and when? Gradient descent, Adam and L-BFGS on a sum of three sines."""

from pinnlab.studies.spectral_bias.report import write_report
from pinnlab.studies.spectral_bias.runs import STUDY

__all__ = ["STUDY", "write_report"]
