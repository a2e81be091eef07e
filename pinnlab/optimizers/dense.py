"""Dense quasi-Newton methods: BFGS, self-scaled BFGS and self-scaled Broyden.

They keep the whole inverse Hessian approximation H, `(n, n)`, and so remember every step of the run where L-BFGS
remembers the last ones. For the ill-conditioned losses of PINNs that is worth orders of magnitude in accuracy (Urban,
Stefanou & Pons, arXiv 2405.04230; Kiyani et al., arXiv 2501.16371).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError, check_real, unknown
from pinnlab.numerics.linalg import SquareRoot
from pinnlab.numerics.memory import check_fits, gibibytes
from pinnlab.optimizers.quasi_newton import QuasiNewton

_TINY = 1e-12
"""Smallest a = (y'Hy / y's) (s'H^-1 s / y's) - 1 of the Broyden family; it is 0 on exact curvature, and divides. The
largest is its inverse: from 1e16 on round-off has scales vanish."""


@dataclass(frozen=True)
class Curvature:
    """What a member of the self-scaled Broyden family decides from (arXiv 2501.16371, section 2.3).

    Attributes:
        b: s'H^-1 s / y's, what H predicted for the step over what was found.
        h: y'Hy / y's.
        size: n, the number of parameters.
    """

    b: float
    h: float
    size: int


class _Dense(QuasiNewton):
    """A method that updates H = (H - Hy Hy'/y'Hy + phi y'Hy v v') / tau + s s'/y's, v = s/y's - Hy/y'Hy.

    Subclasses choose tau and phi. The update is one pass over H.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float = 1.0,
        iterations: int = 10,
        line_search: str = "strong_wolfe",
        c1: float = 1e-4,
        c2: float = 0.9,
        max_evaluations: int = 25,
        max_memory: float = 4.0,
        **options: Any,
    ) -> None:
        check_real("", max_memory=max_memory)
        search: dict[str, Any] = {"line_search": line_search, "c1": c1, "c2": c2, "max_evaluations": max_evaluations}
        super().__init__(params, lr=lr, iterations=iterations, max_memory=max_memory, **search, **options)
        self._check_limit(max_memory)

    @abstractmethod
    def _scaling(self, curvature: Curvature) -> tuple[float, float]:
        """The scale tau and the family's parameter phi; phi = 1 is BFGS, phi = 0 is DFP."""

    def _initial_scale(self, ys: float, yy: float) -> float:
        """What the identity is multiplied with before its first update; self-scaling methods need no help."""
        return 1.0

    def _has_curvature(self) -> bool:
        return "inverse_hessian" in self._memory

    def _times(self, gradient: Tensor) -> Tensor:
        return torch.mv(self._memory["inverse_hessian"], gradient)

    def _root(self) -> SquareRoot | None:
        inverse = self._memory["inverse_hessian"]
        factor, info = torch.linalg.cholesky_ex((inverse + inverse.T) / 2)
        return SquareRoot(factor.mm, factor.T.mm) if int(info) == 0 else None

    def _learn(self, s: Tensor, y: Tensor, gradient: Tensor, step: float) -> None:
        fresh = not self._has_curvature()
        hy = y.clone() if fresh else self._times(y)
        ys, yhy, sg, ss, yy = torch.stack((y @ s, y @ hy, s @ gradient, s @ s, y @ y)).tolist()
        epsilon = torch.finfo(s.dtype).eps
        if not (ys > epsilon * math.sqrt(ss * yy) and 0 < yhy < math.inf and sg < 0):
            return  # s is what rounding left of a step downhill; one of a last digit may lead along the slope, or up
        if fresh:
            self.check_memory()
            scale = self._initial_scale(ys, yy)
            self._memory["inverse_hessian"] = torch.eye(len(s), dtype=s.dtype, device=s.device).mul_(scale)
            hy, yhy, step = hy * scale, yhy * scale, step / scale
        tau, phi = self._scaling(Curvature(-step * sg / ys, yhy / ys, len(s)))
        v = s / ys - hy / yhy
        left = torch.stack((hy * (-1 / (yhy * tau)), v * (phi * yhy / tau), s / ys), 1)
        self._memory["inverse_hessian"].addmm_(left, torch.stack((hy, v, s)), beta=1 / tau)

    def _restart(self) -> None:
        self._memory.pop("inverse_hessian", None)

    def _carry_over(self) -> None:
        """Keeps H for the new objective when it is still a metric: symmetrised and positive definite.

        New points change the Hessian little where the residual is resolved; to relearn it would take as many
        iterations as there are parameters.
        """
        inverse = self._memory.get("inverse_hessian")
        if inverse is None:
            return
        inverse.add_(inverse.T.clone()).div_(2)
        if torch.linalg.cholesky_ex(inverse).info.item() != 0:
            self._restart()

    def check_memory(self, residuals: int = 0) -> None:
        """Refuses a matrix that does not fit: H and, while it is looked at for new points, its Cholesky factor.

        Args:
            residuals: of no matter here.

        Raises:
            ConfigurationError: it does not.
        """
        parameters, n = self.param_groups[0]["params"], self._size
        check_fits(
            f"model.phases.optimizer: {type(self).__name__}'s {n} x {n} matrix with its factor",
            2 * n * n * parameters[0].element_size(),
            parameters[0].device,
            "use LBFGS, NystromNewtonCG or a smaller network",
        )

    @property
    def _size(self) -> int:
        return sum(p.numel() for p in self.param_groups[0]["params"])

    def _check_limit(self, limit: float) -> None:
        n = self._size
        needed = n * n * self.param_groups[0]["params"][0].element_size()
        if needed > limit * 2**30:
            raise ConfigurationError(
                f"max_memory: {type(self).__name__} keeps a {n} x {n} matrix of {gibibytes(needed)}, the limit is "
                f"{limit:g} GiB; use LBFGS, a smaller network, or raise max_memory"
            )


class BFGS(_Dense):
    """BFGS with the whole matrix (Nocedal & Wright, algorithm 6.1; the identity is scaled by their eq. 6.20).

    Steps, restarts, evaluations and what a checkpoint holds: see `QuasiNewton`. The matrix survives new points as
    long as it is positive definite.

    Args:
        params: the parameters, in one group, real and of one dtype.
        lr: first trial of each line search, as a multiple of the quasi-Newton step.
        iterations: quasi-Newton iterations per `step`; 10 keeps progress bars and signals responsive.
        line_search: `strong_wolfe` or `hager_zhang`.
        c1: sufficient decrease; see `StrongWolfe`. Hager and Zhang take 0.1 for theirs.
        c2: curvature condition; see `StrongWolfe`.
        max_evaluations: budget of one line search.
        max_memory: GiB that the matrix may take; 4 are 23,000 parameters in float64.

    Raises:
        ConfigurationError: when a value is out of its range, or the matrix would take more than `max_memory`.
    """

    def _scaling(self, curvature: Curvature) -> tuple[float, float]:
        return 1.0, 1.0

    def _initial_scale(self, ys: float, yy: float) -> float:
        return ys / yy


class SSBFGS(_Dense):
    """Self-scaled BFGS: BFGS whose matrix is rescaled at every update (arXiv 2405.04230).

    Args:
        params: the parameters, in one group, real and of one dtype.
        scaling: `al-baali` divides H by min(1, 1/b), that is, only ever enlarges it; `oren-luenberger` by 1/b, with
            b = s'H^-1 s / y's. The first is the safer one.
        **options: those of `BFGS`.

    Raises:
        ConfigurationError: when a value is out of its range, or the matrix would take more than `max_memory`.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        scaling: str = "al-baali",
        **options: Any,
    ) -> None:
        if scaling not in ("al-baali", "oren-luenberger"):
            raise unknown("scaling", scaling, ("al-baali", "oren-luenberger"))
        super().__init__(params, scaling=scaling, **options)

    def _scaling(self, curvature: Curvature) -> tuple[float, float]:
        tau = 1 / curvature.b
        return (min(1.0, tau) if self.param_groups[0]["scaling"] == "al-baali" else tau), 1.0


class SSBroyden(_Dense):
    """Self-scaled Broyden: the most accurate quasi-Newton method known for PINNs (arXiv 2405.04230, 2501.16371).

    Scale and family parameter follow Al-Baali's switching rule. Give it Adam's result to start from, and residual-based
    points every few hundred evaluations; H outlives them. Otherwise like `BFGS`.

    Args:
        params: the parameters, in one group, real and of one dtype.
        **options: those of `BFGS`.

    Raises:
        ConfigurationError: when a value is out of its range, or the matrix would take more than `max_memory`.
    """

    def _scaling(self, curvature: Curvature) -> tuple[float, float]:
        b, h = curvature.b, curvature.h
        a = min(max(h * b - 1, _TINY), 1 / _TINY)
        rho_low = min(1.0, h * (1 - math.sqrt(a / (1 + a))))
        theta = max((rho_low - 1) / a, min(1 / rho_low, (1 - b) / b))
        sigma, rho = 1 + a * theta, min(1.0, 1 / b)
        root = abs(sigma) ** (1 / (1 - curvature.size)) if curvature.size > 1 else 1.0
        tau = min(rho * root, sigma) if theta <= 0 else rho * min(root, 1 / theta)
        return tau, (1 - theta) / sigma
