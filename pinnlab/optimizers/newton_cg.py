"""Newton's method by conjugate gradients, preconditioned by a low-rank sketch of the Hessian."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError, check_positive, check_real, check_whole
from pinnlab.numerics.linalg import NystromPreconditioner, conjugate_gradient, nystrom
from pinnlab.numerics.memory import check_fits
from pinnlab.objective.linearization import Linearization
from pinnlab.optimizers.linearized import LinearizedOptimizer

_SHORTEST = 1e-9
"""Last trial of a line search, as a multiple of the first: along the gradient of a stiff loss 1e-6 is no rarity."""


class NystromNewtonCG(LinearizedOptimizer):
    """Nyström-Newton-CG (Rathore, Lei, Frangella, Lu & Udell, arXiv 2402.01868, algorithms 4-6).

    A step solves (H + mu I) d = g, with H the Hessian of the loss (not its Gauss-Newton part) and g its gradient, by
    conjugate gradients, and goes along -d by Armijo's rule. H is only multiplied with vectors, so memory is that of
    `rank` vectors: for networks whose Jacobian is too large. It is a finisher, for where Adam and L-BFGS have stalled;
    far from a minimum H has negative eigenvalues below -mu and most steps are cut short.

    The conjugate gradients start from the last d, and are preconditioned by a Nyström approximation of H that is made
    anew every `refresh` steps. Its age changes how many iterations they need, not what they find, so both outlive a
    change of the points. Where they meet negative curvature they stop (Nocedal & Wright, algorithm 7.1): d is what
    they have if that descends, otherwise g, and the next ones start from zero. The gradient is also tried when the
    search along -d finds no decrease.

    A step costs one evaluation with gradient, up to `cg_iterations` + 1 Hessian products of about four losses each, and
    a few losses; `rank` products more when there is a new approximation. All of them count as evaluations.

    Args:
        params: the parameters, in one group, real and of one dtype.
        damping: mu. Lower is closer to Newton's step, and needs more iterations. The paper found 1e-2 and 1e-1 best
            among 1e-5 to 1e-1, for a loss that is half of this one.
        rank: of the approximation; 60 as in the paper. No more than there are parameters are used.
        refresh: steps between two approximations; 20 as in the paper.
        cg_iterations: most conjugate-gradient iterations of a step; 1000 as in the paper.
        cg_tolerance: residual of the linear system at which they end, over the norm of g. d is then wrong by at most
            `cg_tolerance` / mu times g, which makes the default exact for every purpose; the paper's 1e-16, not
            relative to g, is rarely met before `cg_iterations`. Raise it to make steps cheaper. Never less than
            the rounding unit of the parameters' dtype.
        lr: the first step length.
        c1: Armijo's constant, the share of the predicted decrease that a step must bring; the paper's alpha.
        shrink: what the step length is multiplied with until it does; the paper's beta.

    Raises:
        ConfigurationError: a value is out of its range, or there is more than one parameter group.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        damping: float = 1e-2,
        rank: int = 60,
        refresh: int = 20,
        cg_iterations: int = 1000,
        cg_tolerance: float = 1e-10,
        lr: float = 1.0,
        c1: float = 0.1,
        shrink: float = 0.5,
    ) -> None:
        check_whole("", least=1, rank=rank, refresh=refresh, cg_iterations=cg_iterations)
        check_positive("", damping=damping, lr=lr)
        check_real("", cg_tolerance=cg_tolerance, c1=c1, shrink=shrink)
        options = {"damping": damping, "lr": lr, "rank": rank, "refresh": refresh, "cg_iterations": cg_iterations}
        if not 0 <= cg_tolerance < 1:
            raise ConfigurationError(f"cg_tolerance: must be in [0, 1), not {cg_tolerance}")
        if not 0 < c1 < 0.5:
            raise ConfigurationError(f"c1: must be in (0, 0.5), not {c1}: Newton's step brings half of the prediction")
        if not 0 < shrink < 1:
            raise ConfigurationError(f"shrink: must be in (0, 1), not {shrink}")
        super().__init__(params, {**options, "cg_tolerance": cg_tolerance, "c1": c1, "shrink": shrink})

    @property
    def evaluations_per_step(self) -> int:
        """How many evaluations a step makes at most, about: ill-conditioned systems use all `cg_iterations`."""
        group = self.param_groups[0]
        rank = min(group["rank"], sum(p.numel() for p in group["params"]))
        # The evaluation with gradient, one loss, and the product that a warm start costs.
        return int(group["cg_iterations"]) + 3 + math.ceil(rank / group["refresh"])

    def check_memory(self, residuals: int) -> None:
        """Refuses a rank whose vectors do not fit: a random block, its image, and what the approximation is made of.

        Args:
            residuals: of no matter here.

        Raises:
            ConfigurationError: they do not.
        """
        parameters = self.param_groups[0]["params"]
        n = sum(p.numel() for p in parameters)
        rank = min(self.param_groups[0]["rank"], n)
        check_fits(
            f"rank: NystromNewtonCG's approximation of rank {rank} for {n} parameters",
            5 * n * rank * parameters[0].element_size(),
            parameters[0].device,
            "lower it, or use LBFGS",
        )

    def _improve(
        self, linearization: Linearization, point: Tensor, loss: float, gradient: Tensor
    ) -> tuple[Tensor, float] | None:
        lr, found = self.param_groups[0]["lr"], None
        if 0 < float(gradient.norm()) < math.inf:
            found = self._search(linearization, point, loss, gradient, -self._solve(linearization, gradient), lr)
            if found is None:
                # A first step of at most one in the 1-norm: the gradient says nothing of how far to go.
                first = lr / max(float(gradient.abs().sum()), 1.0)
                found = self._search(linearization, point, loss, gradient, -gradient, first)
        if found is None:
            for key in ("basis", "eigenvalues", "age", "solution"):  # whoever goes on from here starts afresh
                self._memory.pop(key, None)
        return found

    def _solve(self, linearization: Linearization, gradient: Tensor) -> Tensor:
        """What conjugate gradients make of (H + mu I) d = g, `(n,)`; any vector if there is negative curvature."""
        group, memory = self.param_groups[0], self._memory
        damping = group["damping"]
        result = conjugate_gradient(
            lambda v: linearization.hessian_times(v).add_(v, alpha=damping),
            gradient,
            start=memory.pop("solution", None),
            precondition=self._preconditioner(linearization, gradient),
            tolerance=max(group["cg_tolerance"], torch.finfo(gradient.dtype).eps),
            most=group["cg_iterations"],
        )
        if not result.negative_curvature and bool(result.solution.isfinite().all()):
            memory["solution"] = result.solution
        return result.solution

    def _preconditioner(self, linearization: Linearization, gradient: Tensor) -> NystromPreconditioner:
        """From the kept approximation of the Hessian, or a new one when that is due."""
        group, memory = self.param_groups[0], self._memory
        if memory.get("age", group["refresh"]) >= group["refresh"]:
            count = memory["sketches"] = memory.get("sketches", 0) + 1
            memory["basis"], memory["eigenvalues"] = nystrom(
                # What overflows must not end the run: zeros leave that direction without a preconditioner.
                lambda block: linearization.hessian_times(block).nan_to_num(0.0, 0.0, 0.0),
                len(gradient),
                min(group["rank"], len(gradient)),
                # Numbered, not drawn: every process, and a resumed run, makes the same.
                torch.Generator().manual_seed(count),
                gradient.dtype,
                gradient.device,
            )
            memory["age"] = 0
        memory["age"] += 1
        # The random block reaches parameters that the loss does not see; they stay where they are.
        basis = memory["basis"] * (gradient != 0)[:, None]
        return NystromPreconditioner(basis, memory["eigenvalues"], group["damping"])

    def _search(
        self,
        linearization: Linearization,
        point: Tensor,
        loss: float,
        gradient: Tensor,
        direction: Tensor,
        first: float,
    ) -> tuple[Tensor, float] | None:
        """The first point along `(n,)` that satisfies Armijo's condition, and the loss there; None if none does."""
        group, slope, length = self.param_groups[0], float(gradient @ direction), first
        while slope < 0 and length > first * _SHORTEST:
            candidate = point.add(direction, alpha=length)
            value = float(linearization.loss(candidate))
            if value < loss + group["c1"] * length * slope:
                return candidate, value
            length *= group["shrink"]
        return None
