"""Which frequencies does an optimizer learn, and when? Gradient descent, Adam and L-BFGS on a sum of three sines."""

from pinnlab.studies.spectral_bias.runs import STUDY, write_report

__all__ = ["STUDY", "write_report"]
