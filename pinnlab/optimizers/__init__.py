"""Optimizers for solver-grade accuracy, and the one line search that they share.

First-order methods come from torch, by class path: `torch.optim.Adam`, and `torch.optim.SGD` (which is
gradient descent here, since a loss over all points is not stochastic).
"""

from pinnlab.optimizers.lbfgs import LBFGS
from pinnlab.optimizers.line_search import SearchResult, SearchStatus, StrongWolfe
from pinnlab.optimizers.requirements import is_multi_eval, objective_changed

__all__ = ["LBFGS", "SearchResult", "SearchStatus", "StrongWolfe", "is_multi_eval", "objective_changed"]
