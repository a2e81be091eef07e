"""Callbacks: they decide *when* something happens; the mathematics is in the layers below."""

from pinnlab.callbacks.budget import EvaluationBudget
from pinnlab.callbacks.figures import SolutionFigures
from pinnlab.callbacks.interruption import GracefulStop
from pinnlab.callbacks.prediction import SolutionWriter
from pinnlab.callbacks.progress import PhaseProgressBar
from pinnlab.callbacks.resampling import FreshPoints, ResidualResampling
from pinnlab.callbacks.rollback import Rollback
from pinnlab.callbacks.summary import RunSummary
from pinnlab.switching import OptimizerPhases

__all__ = [
    "EvaluationBudget",
    "FreshPoints",
    "GracefulStop",
    "OptimizerPhases",
    "PhaseProgressBar",
    "ResidualResampling",
    "Rollback",
    "RunSummary",
    "SolutionFigures",
    "SolutionWriter",
]
