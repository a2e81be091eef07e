"""Failure signatures: what is wrong with a run, concluded from what was recorded of it."""

from pinnlab.analysis.signatures.measures import promise, resolution_ratio
from pinnlab.analysis.signatures.record import OCTAVES, Bands, CoefficientLook, Finding, Look, Record, Switch
from pinnlab.analysis.signatures.rules import (
    SIGNATURES,
    UNDER_RESOLUTION,
    Rule,
    imbalance,
    under_resolution,
    vanishing_coefficient_gradient,
)
from pinnlab.analysis.signatures.spectral import relative_errors, waves

__all__ = [
    "OCTAVES",
    "SIGNATURES",
    "UNDER_RESOLUTION",
    "Bands",
    "CoefficientLook",
    "Finding",
    "Look",
    "Record",
    "Rule",
    "Switch",
    "imbalance",
    "promise",
    "relative_errors",
    "resolution_ratio",
    "under_resolution",
    "vanishing_coefficient_gradient",
    "waves",
]
