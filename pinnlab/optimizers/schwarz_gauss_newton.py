"""Levenberg-Marquardt whose steps are a few Schwarz sweeps over the windows of `Subdomains`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from pinnlab.errors import check_whole, unknown
from pinnlab.numerics.schwarz import MODES
from pinnlab.optimizers.damping import Damping, GainRatio
from pinnlab.optimizers.gauss_newton import GaussNewton


class SchwarzGaussNewton(GaussNewton):
    """Levenberg-Marquardt by Schwarz sweeps: each window of `Subdomains` solves for its own numbers, again and again.

    In place of the minimiser of the damped model a step takes what some sweeps over the windows make of it, see
    `SchwarzSweeps`; the line search and the damping are those of `LevenbergMarquardt`. A sweep is cheap in any number
    of dimensions, where `form: sparse` has all windows across one coordinate in one factor. But each passes on what a
    window has found to its neighbours only: give `Subdomains` coarse `levels` where waves are longer than a window.

    Args:
        params: the parameters, in one group, real and of one dtype.
        mode: `conjugate`, conjugate gradients that all windows at once precondition; `multiplicative`, windows that do
            not overlap at once, then the others, from what is left over; or `additive`, all windows at once, merged
            by the factors that are best together. The first is far ahead of the others (docs/subdomains.md).
        sweeps: how many in each step.
        damping: mu; default `GainRatio()`.
        line_search: `backtracking`, or `none` for full steps.

    Raises:
        ConfigurationError: a value is out of its range, or there is more than one parameter group.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        mode: str = "conjugate",
        sweeps: int = 100,
        damping: Damping | None = None,
        line_search: str = "backtracking",
    ) -> None:
        check_whole("", least=1, sweeps=sweeps)
        if mode not in MODES:
            raise unknown("mode", mode, MODES)
        super().__init__(params, damping=damping or GainRatio(), line_search=line_search, form="sparse")
        self.param_groups[0].update(form="schwarz", mode=mode, sweeps=sweeps)
