"""Where a loss stops being a number: the first value that is not finite, with its condition and its point."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pinnlab.domains.base import place_in_words
from pinnlab.objective.residuals import Batch, ResidualSystem

_ROWS = 4096
"""Rows looked at together: this runs once, in a run that is lost, and must not be what takes too much memory."""

_ADVICE: Mapping[str, str] = {
    "parameter": "the optimizer went too far: lower its lr",
    "weight": "the callback that changes it divided by zero, or it was given so",
    "point": "data, normals and weights of points must be finite",
    "target": "mend the function that prescribes it, or leave that place out",
    "residual": "mend the equation there: a logarithm, a root or a quotient outside of where it is defined?",
    "gradient": "the residual is finite there and its slope is not: a root, a norm or a power at zero?",
}
"""What to do about each kind of value."""
_TOO_LARGE = "its square overflows: the optimizer went too far (lower its lr), or the equation needs smaller units"


@dataclass(frozen=True)
class Fault:
    """A value that is not finite.

    Attributes:
        kind: `parameter`, `weight`, `point`, `target`, `residual` or `gradient`.
        subject: whose it is: a parameter's name, or `condition 'pde'`.
        value: itself; a residual that is finite here has no finite square.
        point: the coordinates of the first such row by name; empty where there is no point.
    """

    kind: str
    subject: str
    value: float
    point: Mapping[str, float] = field(default_factory=dict)

    def line(self, when: str = "") -> str:
        """What is wrong, where, when (in words, if that matters), and what to do."""
        place = place_in_words(self.point, self.point.values())
        parts = [f"{self.kind} of {self.subject} is {self.value:.3g}", f"at {place}" if place else "", when]
        overflows = self.kind == "residual" and math.isfinite(self.value)
        return f"{' '.join(filter(None, parts))}; {_TOO_LARGE if overflows else _ADVICE[self.kind]}"


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether all numbers are finite."""
    return not tensors or bool(total(tensors).isfinite())


def total(tensors: Sequence[Tensor]) -> Tensor:
    """The sum of all numbers of tensors, at least one: a number that is not finite makes it so."""
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors]).sum()


@torch.no_grad()
def find_fault(system: ResidualSystem, batch: Batch, weights: Tensor) -> Fault | None:
    """The first value that is not finite, evaluated anew, uncompiled: what others rest on comes first.

    Args:
        system: the residuals.
        batch: the rows of every condition.
        weights: `(conditions,)` their factors in the loss.

    Returns:
        None when parameters, weights, points, targets, residuals and gradients are all finite.
    """
    fault = find_bad_parameter(system)
    if fault is not None:
        return fault
    for name, weight in zip(batch, weights.tolist(), strict=True):
        if not math.isfinite(weight):
            return Fault("weight", f"condition {name!r}", weight)
    for look in (_values, _gradients):
        for name, rows in batch.items():
            for part in rows.split(_ROWS):
                fault = look(system, name, part)
                if fault is not None:
                    return fault
    return None


def find_bad_parameter(system: ResidualSystem) -> Fault | None:
    """The first parameter of the trial function that is not finite."""
    for name, parameter in system.trial.named_parameters():
        bad = parameter.detach()[~parameter.isfinite()]
        if len(bad):
            return Fault("parameter", name, float(bad[0]))
    return None


def find_bad_target(system: ResidualSystem, batch: Batch) -> Fault | None:
    """The first row or prescribed value that is not finite; what can be known before the first step."""
    with torch.no_grad():
        found = (_given(system, name, part) for name, rows in batch.items() for part in rows.split(_ROWS))
        return next((fault for fault in found if fault is not None), None)


def _given(system: ResidualSystem, name: str, rows: Tensor) -> Fault | None:
    """Points and targets of a condition."""
    fault = _first(system, "point", name, rows, rows)
    if fault is None and system.problem.conditions[name].names() and (found := system.targets(name, rows)):
        fault = _first(system, "target", name, rows, torch.stack(list(found.values()), -1))
    return fault


def _values(system: ResidualSystem, name: str, rows: Tensor) -> Fault | None:
    """Points, targets and residuals of a condition."""
    fault = _given(system, name, rows)
    if fault is None:
        residuals = torch.stack(system.condition_residuals(name, rows, None), -1)
        fault = _first(system, "residual", name, rows, residuals, torch.square)
    return fault


def _gradients(system: ResidualSystem, name: str, rows: Tensor) -> Fault | None:
    """Halves the rows, for as long as the gradient of the first half is not finite."""
    value = _gradient(system, name, rows)
    if value is None:
        return None
    while len(rows) > 1:
        first, second = rows.tensor_split(2)
        rows = second if _gradient(system, name, first) is None else first
    return Fault("gradient", f"condition {name!r}", _gradient(system, name, rows) or value, _place(system, rows[0]))


def _gradient(system: ResidualSystem, name: str, rows: Tensor) -> float | None:
    """The first number that is not finite in the gradient of a condition's sum of squares; None if there is none."""
    with torch.enable_grad():
        total = torch.stack([part.square().sum() for part in system.condition_residuals(name, rows, None)]).sum()
        if not total.requires_grad:
            return None
        parts = torch.autograd.grad(total, system.trial.trained(), allow_unused=True)
    bad = [g[~g.isfinite()] for g in parts if g is not None]
    return next((float(values[0]) for values in bad if len(values)), None)


def _first(
    system: ResidualSystem,
    kind: str,
    name: str,
    rows: Tensor,
    values: Tensor,
    measure: Callable[[Tensor], Tensor] = torch.abs,
) -> Fault | None:
    """The first of values `(n, k)` at rows whose measure is not finite."""
    bad = (~measure(values).isfinite()).nonzero()
    if not len(bad):
        return None
    row, column = bad[0].tolist()
    return Fault(kind, f"condition {name!r}", float(values[row, column]), _place(system, rows[row]))


def _place(system: ResidualSystem, row: Tensor) -> dict[str, float]:
    return dict(zip(system.problem.coordinates, row.tolist(), strict=False))
