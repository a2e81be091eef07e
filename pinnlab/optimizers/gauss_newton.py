"""Gauss-Newton methods: Levenberg-Marquardt, the energy natural gradient, and SPRING.

The loss is a sum of squares r'r, so J'J, J = dr/dtheta, is its Hessian up to terms that vanish with the residual. A
step solves (J'J + mu I) d = -J'r, or, where there are fewer residuals N than parameters n, the same in its dual form
d = -J'(JJ' + mu I)^-1 r. What differs between the methods is the damping mu, the step length, and momentum.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pinnlab.errors import ConfigurationError, check_real, unknown
from pinnlab.numerics.linalg import solve_damped
from pinnlab.numerics.memory import check_fits, gibibytes
from pinnlab.objective.linearization import Linearization
from pinnlab.optimizers.damping import Damping, FixedDamping, GainRatio
from pinnlab.optimizers.linearized import LinearizedOptimizer

_SEARCHES = ("none", "backtracking", "grid")
_FORMS = ("auto", "primal", "dual")
_C1 = 1e-4  # sufficient decrease; Armijo's constant
_HALVINGS = 12  # steps down to 1/4096; a direction that needs less is better damped more


@dataclass
class _Model:
    """The quadratic model of one iteration, in primal or dual form."""

    linearization: Linearization
    dual: bool
    matrix: Tensor
    right: Tensor
    gradient: Tensor

    def direction(self, damping: float, carried: Tensor | None) -> Tensor | None:
        """The damped step `(n,)`; with momentum, the one closest to what is carried over. None if not solvable."""
        right = self.right
        if carried is not None:
            right = right + (self.linearization.times(carried) if self.dual else self.matrix @ carried)
        solution = solve_damped(self.matrix, damping, right)
        if solution is None:
            return None
        step = -(self.linearization.transposed_times(solution) if self.dual else solution)
        return step if carried is None else step + carried


@dataclass
class _Candidate:
    """A step that lowered the loss."""

    step: Tensor
    length: float
    loss: float
    damping: float


class GaussNewton(LinearizedOptimizer):
    """A Gauss-Newton method made of a damping rule, a line search and momentum; the named methods are its presets.

    A step is one iteration: one evaluation with gradient, one Jacobian, one factorisation and a few losses. When no
    damping gives a decrease, nothing moves and `status` says STALLED.

    It needs the residual and its Jacobian: `step` takes a `linearization` beside the closure. `PINN` hands it over.

    Args:
        params: the parameters, in one group, real and of one dtype.
        damping: mu; default `FixedDamping()`.
        line_search: `backtracking` halves the step until it satisfies Armijo's condition, `grid` takes the best of
            the steps 1, 1/2, 1/4, ..., `none` takes the full step.
        lr: the first, or only, step length.
        momentum: how much of the last step the next one starts from (SPRING); 0 is none.
        max_norm: longest step in the 2-norm; 0 is no limit.
        form: `primal` (n x n), `dual` (N x N), or `auto`: the smaller one, which takes less time and memory.
        row_scaling: whether every residual is divided by the norm of its own gradient before the step is computed
            (arXiv 2604.05230), so that stiff points do not rule the kernel. Weights of conditions and points cancel in
            the direction then; they act in the line search only.
        must_decrease: whether a step that raises the loss is refused.

    Raises:
        ConfigurationError: a value is out of its range, or there is more than one parameter group.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        damping: Damping | None = None,
        line_search: str = "backtracking",
        lr: float = 1.0,
        momentum: float = 0.0,
        max_norm: float = 0.0,
        form: str = "auto",
        row_scaling: bool = False,
        must_decrease: bool = True,
    ) -> None:
        check_real("", lr=lr, momentum=momentum, max_norm=max_norm)
        for key, value, known in (("line_search", line_search, _SEARCHES), ("form", form, _FORMS)):
            if value not in known:
                raise unknown(key, value, known)
        if not lr > 0:
            raise ConfigurationError(f"lr: must be positive, not {lr}")
        if not 0 <= momentum < 1:
            raise ConfigurationError(f"momentum: must be in [0, 1), not {momentum}")
        if not max_norm >= 0:
            raise ConfigurationError(f"max_norm: must not be negative, not {max_norm}")
        options = {"line_search": line_search, "lr": lr, "momentum": momentum, "max_norm": max_norm, "form": form}
        super().__init__(params, {**options, "row_scaling": row_scaling, "must_decrease": must_decrease})
        self.damping = damping or FixedDamping()
        self._fits = 0  # for how many residuals memory was looked at

    def check_memory(self, residuals: int) -> None:
        """Refuses matrices that do not fit: that of the system, once more with damping, and its factor.

        Args:
            residuals: N, of all ranks; 0 where that is not known, which is taken for many.

        Raises:
            ConfigurationError: they do not; names the form or the optimizer that does.
        """
        parameters, form = self.param_groups[0]["params"], self.param_groups[0]["form"]
        columns = sum(p.numel() for p in parameters)
        if residuals == self._fits or (residuals == 0 and form != "primal"):
            return
        dual = _is_dual(form, residuals, columns)
        size, other = (residuals, columns) if dual else (columns, residuals)
        takes = [3 * n * n * parameters[0].element_size() for n in (size, other)]
        ways = ["LBFGS", "NystromNewtonCG", "fewer points" if dual else "a smaller network"]
        if 0 < other < size:
            ways.insert(0, f"form: {'primal' if dual else 'dual'} ({gibibytes(takes[1])})")
        check_fits(
            f"form: {'dual' if dual else 'primal'}, {type(self).__name__}'s {size} x {size} system with its factor,",
            takes[0],
            parameters[0].device,
            f"use {', '.join(ways[:-1])} or {ways[-1]}",
        )
        self._fits = residuals

    # ----------------------------------------------------------------------------- details

    def _improve(
        self, linearization: Linearization, point: Tensor, loss: float, gradient: Tensor
    ) -> tuple[Tensor, float] | None:
        found = self._find(linearization, point, loss, gradient)
        if found is None:
            return None
        if self.param_groups[0]["momentum"]:
            self._memory["momentum"] = found.step
        return point.add(found.step, alpha=found.length), found.loss

    def _find(self, linearization: Linearization, point: Tensor, loss: float, gradient: Tensor) -> _Candidate | None:
        """The best step; damps more until there is one."""
        group, memory = self.param_groups[0], self._damping_memory()
        self.check_memory(linearization.shape[0])
        model = _build(linearization, gradient, group["form"], group["row_scaling"])
        momentum = group["momentum"]
        carried = momentum * self._memory["momentum"] if momentum and "momentum" in self._memory else None
        count = self._memory["iterations"] = self._memory.get("iterations", 0) + 1
        while True:
            candidates = []
            for damping in self.damping.values(memory):
                direction = model.direction(damping, carried)
                if direction is None or not bool(direction.isfinite().all()):
                    continue
                length = self._longest(direction, count)
                found = self._search(linearization, point, direction, loss, gradient, length)
                if found is not None:
                    candidates.append(_Candidate(direction, *found, damping))
            if candidates:
                best = min(candidates, key=lambda c: c.loss)
                self.damping.accepted(memory, best.damping, _gain_ratio(model, best, loss), best.length)
                return best
            if not self.damping.rejected(memory):
                return None
            carried = None  # what is carried over may be what leads uphill

    def _longest(self, direction: Tensor, count: int) -> float:
        """The first step length: corrected for the momentum's slow start, and within `max_norm`."""
        group = self.param_groups[0]
        correction = 1 / math.sqrt(1 - group["momentum"] ** (2 * count))
        length: float = group["lr"]
        if group["max_norm"]:
            length = min(length, group["max_norm"] / max(float(direction.norm()) * correction, 1e-300))
        return length * correction

    def _search(
        self,
        linearization: Linearization,
        point: Tensor,
        direction: Tensor,
        loss: float,
        gradient: Tensor,
        first: float,
    ) -> tuple[float, float] | None:
        """A step length and the loss there; None when there is no decrease."""
        group = self.param_groups[0]
        kind, slope = group["line_search"], float(gradient @ direction)
        tried = []
        for k in range(1 if kind == "none" else _HALVINGS + 1):
            length = first * 0.5**k
            value = float(linearization.loss(point.add(direction, alpha=length)))
            if kind == "none" and not group["must_decrease"] and math.isfinite(value):
                return length, value
            enough = loss + min(_C1 * length * slope, 0.0) if kind == "backtracking" else loss
            if math.isfinite(value) and value < enough:
                tried.append((length, value))
                if kind != "grid":
                    break
        return min(tried, key=lambda pair: pair[1]) if tried else None

    def _damping_memory(self) -> dict[str, Any]:
        return self._memory.setdefault("damping", self.damping.initial())


def _build(linearization: Linearization, gradient: Tensor, form: str, row_scaling: bool) -> _Model:
    if row_scaling:
        linearization = linearization.row_scaled()
    rows, columns = linearization.shape
    if _is_dual(form, rows, columns):
        return _Model(linearization, True, linearization.kernel(), linearization.residual(), gradient)
    return _Model(linearization, False, *linearization.gram(), gradient)


def _is_dual(form: str, rows: int, columns: int) -> bool:
    return form == "dual" or (form == "auto" and rows < columns)


def _gain_ratio(model: _Model, found: _Candidate, loss: float) -> float:
    """Actual over predicted decrease, with the prediction of the undamped model for the step that was made."""
    step = found.length * found.step
    curvature = model.linearization.times(step).square().sum() if model.dual else step @ (model.matrix @ step)
    predicted = -float(model.gradient @ step + curvature)
    return (loss - found.loss) / predicted if predicted > 0 else 0.0


class LevenbergMarquardt(GaussNewton):
    """Levenberg-Marquardt: damped by the gain ratio (Nocedal & Wright, section 10.3).

    For smooth problems on fixed points, where it converges fast to solver accuracy. A step without decrease is first
    shortened, and only then damped more: the textbook's rule of rejecting it keeps mu near 1e-3 on PINNs, and
    the error after 150 iterations was a hundred times larger.

    Args:
        params: the parameters, in one group, real and of one dtype.
        damping: mu; default `GainRatio()`.
        line_search: `backtracking`, or `none` for the textbook's full steps.
        form: `primal`, `dual`, or `auto`: the smaller one.
        row_scaling: see `GaussNewton`.

    Raises:
        ConfigurationError: a value is out of its range, or there is more than one parameter group.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        damping: Damping | None = None,
        line_search: str = "backtracking",
        form: str = "auto",
        row_scaling: bool = False,
    ) -> None:
        damping = damping or GainRatio()
        super().__init__(params, damping=damping, line_search=line_search, form=form, row_scaling=row_scaling)


class EnergyNaturalGradient(GaussNewton):
    """The energy natural gradient (Mueller & Zeinhofer, arXiv 2302.13163): little damping, and a line search.

    Give it fresh points at every iteration (`FreshPoints`, or `ResidualResampling` with `every: 1` for solutions with
    sharp layers): they matter as much as the formula.

    Args:
        params: the parameters, in one group, real and of one dtype.
        damping: mu; default `FixedDamping(1e-6)`.
        line_search: `backtracking`, or `grid` as in the paper.
        form: `primal`, `dual`, or `auto`: the smaller one.
        row_scaling: see `GaussNewton`.

    Raises:
        ConfigurationError: a value is out of its range, or there is more than one parameter group.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        damping: Damping | None = None,
        line_search: str = "backtracking",
        form: str = "auto",
        row_scaling: bool = False,
    ) -> None:
        super().__init__(params, damping=damping, line_search=line_search, form=form, row_scaling=row_scaling)


class SPRING(GaussNewton):
    """SPRING: subsampled projected-increment natural gradient, for many parameters and few fresh points.

    Every step starts from the last one times the momentum and corrects it where the new points disagree:
    zeta = r - m J phi, phi = J'(JJ' + mu I)^-1 zeta + m phi (Goldshlager, Abrahamsen & Lin, arXiv 2401.10190; for PINNs
    Guzman-Cordero et al., arXiv 2505.12149). The defaults are the latter's for Poisson's equation in five dimensions.

    Args:
        params: the parameters, in one group, real and of one dtype.
        damping: mu; default `FixedDamping(7e-10)`.
        momentum: m.
        lr: the step length, shortened to keep within `max_norm`.
        max_norm: longest step; the root of the paper's C = 1e-3.
        line_search: `none` as in the paper, or one of `GaussNewton`.
        form: `primal`, `dual`, or `auto`: the smaller one.
        row_scaling: see `GaussNewton`.

    Raises:
        ConfigurationError: a value is out of its range, or there is more than one parameter group.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        damping: Damping | None = None,
        momentum: float = 0.83,
        lr: float = 0.06,
        max_norm: float = math.sqrt(1e-3),
        line_search: str = "none",
        form: str = "auto",
        row_scaling: bool = False,
    ) -> None:
        super().__init__(
            params,
            damping=damping or FixedDamping(7e-10),
            momentum=momentum,
            lr=lr,
            max_norm=max_norm,
            line_search=line_search,
            form=form,
            row_scaling=row_scaling,
            must_decrease=False,
        )
