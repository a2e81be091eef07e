"""Gauss-Newton methods: Levenberg-Marquardt, the energy natural gradient, and SPRING.

The loss is a sum of squares r'r, so J'J, J = dr/dtheta, is its Hessian up to terms that vanish with the residual. A
step solves (J'J + mu I) d = -J'r, or, where there are fewer residuals N than parameters n, the same in its dual form
d = -J'(JJ' + mu I)^-1 r. What differs between the methods is the damping mu, the step length, and momentum.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError, check_positive, check_real, unknown
from pinnlab.numerics.memory import check_fits, gibibytes
from pinnlab.objective.linearization import Linearization
from pinnlab.optimizers.damping import Damping, FixedDamping, GainRatio
from pinnlab.optimizers.iteration import SEARCHES, GaussNewtonIteration
from pinnlab.optimizers.linearized import LinearizedOptimizer
from pinnlab.optimizers.step_rules import StepRule

_FORMS = ("auto", "primal", "dual", "qr", "sparse")
_SQUARED = 1e-15
"""Dampings that J'J resolves, for a J of norm one: its round-off is 1e-16 times the square."""
_QR_PAYS = 1500
"""Singular values take 6 to 12 times a Cholesky factor: 0.03 s against 0.005 at n = 500, 1 s against 0.1 at 1,500."""


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
        form: `primal` (Cholesky, n x n), `dual` (Cholesky, N x N), `qr` (singular values of J, for dampings that J'J
            does not resolve), or `auto`: `qr` for a rule that may damp less than 1e-15, in float64 and up to
            1,500 parameters or residuals; else the smaller one of the other two, which takes less time and memory.
            `sparse` is for a network of `Subdomains` and conditions that look at one point each: a QR along the
            windows, whose time and memory grow with their number, not with its cube and square.
        sketch: when positive, rows of J are first added up in `sketch` times n random sums (CountSketch), so that any
            number of points costs the same from there on. 2 is enough. The loss is that of all points.
        row_scaling: whether every residual is divided by the norm of its own gradient before the step is computed
            (arXiv 2604.05230), so that stiff points do not rule the kernel. Weights of conditions and points cancel in
            the direction then; they act in the line search only.
        must_decrease: whether a step that raises the loss is refused.

    Raises:
        ConfigurationError: a value is out of its range, or there is more than one parameter group.
    """

    needs_jacobian = True

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        damping: StepRule | None = None,
        line_search: str = "backtracking",
        lr: float = 1.0,
        momentum: float = 0.0,
        max_norm: float = 0.0,
        form: str = "auto",
        sketch: float = 0.0,
        row_scaling: bool = False,
        must_decrease: bool = True,
    ) -> None:
        check_positive("", lr=lr)
        check_real("", momentum=momentum, max_norm=max_norm, sketch=sketch)
        for key, value, known in (("line_search", line_search, SEARCHES), ("form", form, _FORMS)):
            if value not in known:
                raise unknown(key, value, known)
        if not 0 <= momentum < 1:
            raise ConfigurationError(f"momentum: must be in [0, 1), not {momentum}")
        if not max_norm >= 0:
            raise ConfigurationError(f"max_norm: must not be negative, not {max_norm}")
        self.damping = damping or FixedDamping()
        _check_together(self.damping, form, sketch, momentum, row_scaling)
        options = {"line_search": line_search, "lr": lr, "momentum": momentum, "max_norm": max_norm, "form": form}
        options |= {"sketch": sketch, "row_scaling": row_scaling, "must_decrease": must_decrease}
        super().__init__(params, options)
        if form == "sparse":
            self.needs_jacobian = False  # only entries that are not zero are computed: the gradient costs less
        self._fits = 0  # for how many residuals memory was looked at

    @property
    def last_damping(self) -> float | None:
        """Mu of the last step; None before the first."""
        return self._memory.get("last_damping")

    def check_memory(self, residuals: int) -> None:
        """Refuses matrices that do not fit: that of the system, once more with damping, and its factor.

        Args:
            residuals: N, of all ranks; 0 where that is not known, which is taken for many.

        Raises:
            ConfigurationError: they do not; names the form or the optimizer that does.
        """
        if residuals == self._fits:
            return
        parameters, form = self.param_groups[0]["params"], self._form(residuals)
        if form in ("sparse", "schwarz") or (residuals == 0 and form == "dual"):
            return
        columns = sum(p.numel() for p in parameters)
        numbers = {"primal": 3 * columns**2, "dual": 3 * residuals**2}
        if form == "qr":  # rows to reduce, singular vectors on both sides, and what the decomposition works in
            numbers["qr"] = 10 * columns * min(residuals or columns, columns)
        takes = {key: count * parameters[0].element_size() for key, count in numbers.items()}
        ways = ["LBFGS", "NystromNewtonCG", "fewer points" if form == "dual" else "a smaller network"]
        others = [key for key in ("primal", "dual") if 0 < takes[key] < takes[form] and not self._needs_rows]
        if others:
            other = min(others, key=takes.__getitem__)
            ways.insert(0, f"form: {other} ({gibibytes(takes[other])})")
        rows = columns if form == "primal" else residuals
        shape = f"{rows or 'N'} x {rows if form == 'dual' else columns}"
        check_fits(
            f"form: {form}, {type(self).__name__}'s {shape} system with its factor,",
            takes[form],
            parameters[0].device,
            f"use {', '.join(ways[:-1])} or {ways[-1]}",
        )
        self._fits = residuals

    # ----------------------------------------------------------------------------- details

    def _improve(
        self, linearization: Linearization, point: Tensor, loss: float, gradient: Tensor
    ) -> tuple[Tensor, float] | None:
        group = self.param_groups[0]
        self.check_memory(linearization.shape[0])
        count = self._memory["iterations"] = self._memory.get("iterations", 0) + 1
        carried = None
        if group["momentum"] and "momentum" in self._memory:
            carried = group["momentum"] * self._memory["momentum"]
        form = self._form(linearization.shape[0])
        iteration = GaussNewtonIteration(linearization, point, loss, gradient, group, form, count, carried)
        found = self.damping.find(self._memory.setdefault("damping", self.damping.initial()), iteration)
        if found is None:
            return None
        self._memory["last_damping"] = found.damping
        if group["momentum"]:
            self._memory["momentum"] = found.step
        return point.add(found.step, alpha=found.length), found.loss

    def _form(self, residuals: int) -> str:
        """The form that `auto` stands for."""
        form, parameters = self.param_groups[0]["form"], self.param_groups[0]["params"]
        if form != "auto":
            return str(form)
        columns = sum(p.numel() for p in parameters)
        least = min(residuals, columns) if residuals else columns
        exact = self.damping.lowest < _SQUARED and parameters[0].dtype == torch.float64 and least <= _QR_PAYS
        if self._needs_rows or exact:
            return "qr"
        return "dual" if residuals < columns else "primal"

    @property
    def _needs_rows(self) -> bool:
        """Whether the step takes `form: qr`, see `_check_together`."""
        return bool(self.damping.needs_lengths or self.param_groups[0]["sketch"])


def _check_together(rule: StepRule, form: str, sketch: float, momentum: float, row_scaling: bool) -> None:
    """Refuses settings that do not go together.

    Raises:
        ConfigurationError: names both.
    """
    name = type(rule).__name__
    if not (sketch == 0 or sketch >= 1):
        raise ConfigurationError(f"sketch: must be 0 or at least 1, in multiples of the parameters, not {sketch}")
    if sketch and form not in ("auto", "qr"):
        raise ConfigurationError(f"sketch: works on rows, which form: {form} does not have; use form: qr")
    if rule.needs_lengths and form not in ("auto", "qr"):
        raise ConfigurationError(f"form: {name} needs singular values; use form: qr, not {form}")
    if form == "sparse" and row_scaling:
        raise ConfigurationError("row_scaling: form: sparse has no rows to scale; leave one of them out")
    if rule.needs_lengths and (momentum or row_scaling):
        key = "momentum" if momentum else "row_scaling"
        raise ConfigurationError(f"{key}: {name} compares the loss with its model, which {key} changes; leave it out")


class LevenbergMarquardt(GaussNewton):
    """Levenberg-Marquardt: damped by the gain ratio (Nocedal & Wright, section 10.3).

    For smooth problems on fixed points, where it converges fast to solver accuracy. A step without decrease is first
    shortened, and only then damped more: the textbook's rule of rejecting it keeps mu near 1e-3 on PINNs, and
    the error after 150 iterations was a hundred times larger.

    Args:
        params: the parameters, in one group, real and of one dtype.
        damping: mu; default `GainRatio()`.
        line_search: `backtracking`, or `none` for the textbook's full steps.
        form: `primal`, `dual`, `qr`, `sparse` or `auto`, see `GaussNewton`.
        sketch: see `GaussNewton`.
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
        sketch: float = 0.0,
        row_scaling: bool = False,
    ) -> None:
        damping = damping or GainRatio()
        super().__init__(
            params, damping=damping, line_search=line_search, form=form, sketch=sketch, row_scaling=row_scaling
        )


class EnergyNaturalGradient(GaussNewton):
    """The energy natural gradient (Mueller & Zeinhofer, arXiv 2302.13163): little damping, and a line search.

    Give it fresh points at every iteration (`FreshPoints`, or `ResidualResampling` with `every: 1` for solutions with
    sharp layers): they matter as much as the formula.

    Args:
        params: the parameters, in one group, real and of one dtype.
        damping: mu; default `FixedDamping(1e-6)`.
        line_search: `backtracking`, or `grid` as in the paper.
        form: `primal`, `dual`, `qr`, `sparse` or `auto`, see `GaussNewton`.
        sketch: see `GaussNewton`.
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
        sketch: float = 0.0,
        row_scaling: bool = False,
    ) -> None:
        super().__init__(
            params, damping=damping, line_search=line_search, form=form, sketch=sketch, row_scaling=row_scaling
        )


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
        form: `primal`, `dual`, `qr`, `sparse` or `auto`, see `GaussNewton`.
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
