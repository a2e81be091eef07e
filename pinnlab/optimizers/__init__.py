"""Optimizers for solver-grade accuracy, and the line searches that they share.

First-order methods come from torch, by class path: `torch.optim.Adam`, and `torch.optim.SGD` (which is
gradient descent here, since a loss over all points is not stochastic).
"""

from pinnlab.optimizers.damping import Damping, FixedDamping, GainRatio, SeveralValues, StepLength
from pinnlab.optimizers.dense import BFGS, SSBFGS, SSBroyden
from pinnlab.optimizers.gauss_newton import SPRING, EnergyNaturalGradient, GaussNewton, LevenbergMarquardt
from pinnlab.optimizers.hager_zhang import HagerZhang
from pinnlab.optimizers.last_layer import LeastSquares, solve_last_layer
from pinnlab.optimizers.lbfgs import LBFGS
from pinnlab.optimizers.line_search import LineSearch, SearchResult, SearchStatus, StrongWolfe
from pinnlab.optimizers.multi_batch import MultiBatchLBFGS
from pinnlab.optimizers.multi_preconditioned import MultiPreconditionedLBFGS
from pinnlab.optimizers.newton_cg import NystromNewtonCG
from pinnlab.optimizers.requirements import (
    check_memory,
    check_squares,
    evaluations_per_step,
    is_multi_eval,
    needs_jacobian,
    needs_last_layer,
    needs_linearization,
    objective_changed,
    prefer_fused,
    wants_blocks,
    wants_overlap,
)
from pinnlab.optimizers.schwarz import SchwarzLBFGS
from pinnlab.optimizers.schwarz_gauss_newton import SchwarzGaussNewton
from pinnlab.optimizers.step_rules import StepRule
from pinnlab.optimizers.target_ratio import TargetRatio, TargetRatioGaussNewton

__all__ = [
    "BFGS",
    "LBFGS",
    "SPRING",
    "SSBFGS",
    "Damping",
    "EnergyNaturalGradient",
    "FixedDamping",
    "GainRatio",
    "GaussNewton",
    "HagerZhang",
    "LeastSquares",
    "LevenbergMarquardt",
    "LineSearch",
    "MultiBatchLBFGS",
    "MultiPreconditionedLBFGS",
    "NystromNewtonCG",
    "SSBroyden",
    "SchwarzGaussNewton",
    "SchwarzLBFGS",
    "SearchResult",
    "SearchStatus",
    "SeveralValues",
    "StepLength",
    "StepRule",
    "StrongWolfe",
    "TargetRatio",
    "TargetRatioGaussNewton",
    "check_memory",
    "check_squares",
    "evaluations_per_step",
    "is_multi_eval",
    "needs_jacobian",
    "needs_last_layer",
    "needs_linearization",
    "objective_changed",
    "prefer_fused",
    "solve_last_layer",
    "wants_blocks",
    "wants_overlap",
]
