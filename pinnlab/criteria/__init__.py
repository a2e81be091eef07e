"""When a phase of training is over: criteria on the series of losses, on gradients, on steps and time.

A new criterion is a pure function of a series (`series.py`) and a small `Criterion` around it that keeps what the
function needs. All of them are scale-free: multiplying the loss by a constant does not change the decision. Ranks
agree by themselves, because every rank sees the same global loss and the same global gradients. Watching is cheap:
what takes more than a microsecond is not computed at every step.
"""

from pinnlab.criteria.base import Criterion, Gradients, Progress, TrialRule
from pinnlab.criteria.combined import All, Any, AtLeast
from pinnlab.criteria.damping import DampingMinimum
from pinnlab.criteria.gradients import GradientAlignment, GradientNormStabilisation, SignalToNoise
from pinnlab.criteria.loss import LossPlateau, PercentileFlatness, RelativeImprovement
from pinnlab.criteria.recommended import recommended
from pinnlab.criteria.schedule import FixedSteps, TimeBudget
from pinnlab.criteria.series import alignment, drift, flatness, log_change, plateau, signal_to_noise, spread
from pinnlab.criteria.trial import TrialStep

__all__ = [
    "All",
    "Any",
    "AtLeast",
    "Criterion",
    "DampingMinimum",
    "FixedSteps",
    "GradientAlignment",
    "GradientNormStabilisation",
    "Gradients",
    "LossPlateau",
    "PercentileFlatness",
    "Progress",
    "RelativeImprovement",
    "SignalToNoise",
    "TimeBudget",
    "TrialRule",
    "TrialStep",
    "alignment",
    "drift",
    "flatness",
    "log_change",
    "plateau",
    "recommended",
    "signal_to_noise",
    "spread",
]
