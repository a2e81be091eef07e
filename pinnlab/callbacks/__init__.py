"""Callbacks: they decide *when* something happens; the mathematics is in the layers below."""

from pinnlab.callbacks.balancing import LossBalancing
from pinnlab.callbacks.batch_growth import BatchGrowth
from pinnlab.callbacks.budget import EvaluationBudget
from pinnlab.callbacks.checkpoint import RunCheckpoint
from pinnlab.callbacks.continuation import Continuation
from pinnlab.callbacks.dashboard import Dashboard
from pinnlab.callbacks.diagnosis import DiagnosisWriter
from pinnlab.callbacks.figures import SolutionFigures
from pinnlab.callbacks.frequencies import FrequencyHistory
from pinnlab.callbacks.interruption import GracefulStop
from pinnlab.callbacks.measurement import ErrorMeasurement
from pinnlab.callbacks.point_weights import CausalWeights, ResidualAttention, SelfAdaptive
from pinnlab.callbacks.prediction import SolutionWriter
from pinnlab.callbacks.resampling import FreshPoints, ResidualAddition, ResidualResampling
from pinnlab.callbacks.resolution import ResolutionWarning
from pinnlab.callbacks.retention import RetainResample
from pinnlab.callbacks.rollback import Rollback
from pinnlab.callbacks.scale import ScaleSearch
from pinnlab.callbacks.signatures import FailureSignatures
from pinnlab.callbacks.slow_steps import SlowSteps
from pinnlab.callbacks.spectrum import NTKSpectrum
from pinnlab.training.progress import PhaseProgressBar
from pinnlab.training.run_summary import RunSummary
from pinnlab.training.switching import OptimizerPhases

__all__ = [
    "BatchGrowth",
    "CausalWeights",
    "Continuation",
    "Dashboard",
    "DiagnosisWriter",
    "ErrorMeasurement",
    "EvaluationBudget",
    "FailureSignatures",
    "FrequencyHistory",
    "FreshPoints",
    "GracefulStop",
    "LossBalancing",
    "NTKSpectrum",
    "OptimizerPhases",
    "PhaseProgressBar",
    "ResidualAddition",
    "ResidualAttention",
    "ResidualResampling",
    "ResolutionWarning",
    "RetainResample",
    "Rollback",
    "RunCheckpoint",
    "RunSummary",
    "ScaleSearch",
    "SelfAdaptive",
    "SlowSteps",
    "SolutionFigures",
    "SolutionWriter",
]
