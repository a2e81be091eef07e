"""Steps as long as a target for the gain ratio allows: Gauss-Newton to machine precision (arXiv 2607.02194)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np
from torch import Tensor

from pinnlab.criteria.damping import PATIENCE, RISING, WINDOW
from pinnlab.criteria.series import passed_minimum, push
from pinnlab.errors import ConfigurationError, check_real, check_whole
from pinnlab.optimizers.gauss_newton import GaussNewton
from pinnlab.optimizers.step_rules import Candidate, Memory, StepRule, Trials


@final
class TargetRatio(StepRule):
    """The longest step whose gain ratio is still the target; no line search.

    A set of lengths around the last one is tried. Where the ratio of actual to predicted decrease falls below the
    target, going from short to long, is where the step ends. A small target takes long steps that lower the damping
    first; a large decrease too early ends in a badly conditioned place. Once the damping has passed its minimum, the
    larger target makes the descent.

    For fixed and many points, four to ten residuals for each parameter, and smooth solutions. It needs `form: qr`.

    Args:
        target: of the gain ratio, at first. 0.075 in float64, 0.1 to 0.15 in float32 (the paper's).
        late: the target once the damping has passed its minimum; 0.5.
        probes: how many lengths are tried. 12 cost as much as one Jacobian; the paper takes 24, and 64 in many
            dimensions.
        window: the lengths go from the last one over this to the last one times this.
        patience: iterations before the damping's minimum is looked for.
        initial: the first length.
        smallest: the length at which there is nothing left to gain.

    Raises:
        ConfigurationError: a value is out of its range.
    """

    needs_lengths = True

    def __init__(
        self,
        target: float = 0.075,
        late: float = 0.5,
        probes: int = 12,
        window: float = 3.0,
        patience: int = PATIENCE,
        initial: float = 1.0,
        smallest: float = 1e-8,
    ) -> None:
        check_real("damping", target=target, late=late, window=window, initial=initial, smallest=smallest)
        check_whole("damping", least=2, probes=probes)
        check_whole("damping", least=WINDOW, patience=patience)
        if not 0 < target <= late < 1:
            raise ConfigurationError(f"damping: need 0 < target <= late < 1, not {target:g}, {late:g}")
        if not window > 1:
            raise ConfigurationError(f"damping.window: must be above 1, not {window:g}")
        if not 0 < smallest < initial:
            raise ConfigurationError(f"damping: need 0 < smallest < initial, not {smallest:g}, {initial:g}")
        self._targets, self._probes, self._window = (float(target), float(late)), probes, float(window)
        self._patience, self._initial, self._smallest = patience, float(initial), float(smallest)

    def initial(self) -> Memory:
        """The length of the last step, and the dampings of the last ones."""
        return {"radius": self._initial, "iterations": 0, "dampings": [], "late": False}

    def find(self, memory: Memory, trials: Trials) -> Candidate | None:
        """Probes around the last length; a third of it, again and again, while none lowers the loss."""
        while memory["radius"] >= self._smallest:
            length, found = self._choose(memory, trials)
            if found.loss < trials.loss:
                memory["radius"] = length
                self._look_back(memory, found.damping)
                return found
            memory["radius"] /= self._window
        memory["radius"] = self._initial  # for whoever goes on with other points or another draw
        return None

    def _choose(self, memory: Memory, trials: Trials) -> tuple[float, Candidate]:
        """The length of the longest probe up to which every gain ratio is the target at least, and the probe."""
        lengths = memory["radius"] * self._window ** np.linspace(-1.0, 1.0, self._probes)
        probes = trials.of_lengths(lengths.tolist())
        chosen = longest([probe.gain_ratio for probe in probes], self._targets[memory["late"]])
        return float(lengths[chosen]), probes[chosen]

    def _look_back(self, memory: Memory, damping: float) -> None:
        """Notes whether the damping has passed its minimum."""
        memory["iterations"] += 1
        dampings = push(memory["dampings"], damping, WINDOW)
        if not memory["late"] and memory["iterations"] > self._patience:
            memory["late"] = passed_minimum(dampings) > RISING


def longest(ratios: Sequence[float], target: float) -> int:
    """The last probe up to which every gain ratio is at least the target; the first if not even its own is.

    The paper interpolates between this probe and the next one, which puts every step where the ratio has fallen to
    the target: on Poisson 2-D the error was then 1e-8 to 1e-13 after 140 iterations, and 1e-13 to 1e-16 without.

    Args:
        ratios: of ever longer steps; nan and infinities count as below the target.
        target: of the ratio.
    """
    reached = [math.isfinite(ratio) and ratio >= target for ratio in ratios]
    return max(reached.index(False) - 1, 0) if False in reached else len(reached) - 1


class TargetRatioGaussNewton(GaussNewton):
    """Gauss-Newton on the singular values of J, with steps as long as a target for the gain ratio allows.

    The method for the last digits: smooth problems reach relative errors of 1e-12 to 1e-16. See `TargetRatio`.

    Args:
        params: the parameters, in one group, real and of one dtype.
        damping: the rule; default `TargetRatio()`.
        sketch: see `GaussNewton`.

    Raises:
        ConfigurationError: a value is out of its range, or there is more than one parameter group.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        damping: TargetRatio | None = None,
        sketch: float = 0.0,
    ) -> None:
        super().__init__(params, damping=damping or TargetRatio(), line_search="none", form="qr", sketch=sketch)
