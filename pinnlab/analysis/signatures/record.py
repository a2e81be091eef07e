"""What is recorded of a run, and what is concluded from it: plain numbers, so that a checkpoint can hold them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pinnlab.analysis.signatures.measures import promise
from pinnlab.numerics.ordered_sums import add_by_number

OCTAVES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, math.inf)
"""The highest wave number of each band, in half waves across the longest side of the domain."""


@dataclass(frozen=True)
class Bands:
    """Mean squares of an error, or of a residual, by frequency.

    The bands are octaves of the wave number, in half waves across the domain's longest side: up to 1, 2, 4, 8, 16, 32,
    and all above.

    Attributes:
        error: in each band.
        reference: that of the solution; empty for a residual.
    """

    error: tuple[float, ...]
    reference: tuple[float, ...] = ()

    @classmethod
    def of(cls, wave_numbers: Tensor, error: Tensor, reference: Tensor | None = None) -> Bands:
        """Gathers mean squares `(k,)` by wave number `(k,)`."""
        return cls(_octaves(wave_numbers, error), () if reference is None else _octaves(wave_numbers, reference))


@dataclass(frozen=True)
class CoefficientLook:
    """An unknown coefficient of the equation at one moment.

    Attributes:
        value: of the coefficient.
        room: how far it is from its bounds: 4 s (1 - s) with s its place between them, which is 1 in the middle and 0
            at a bound. The gradient with respect to the trained parameter has this factor. 1 without bounds.
        influence: the norm of the residuals' derivative by the trained parameter behind it, over the root mean square
            of that norm for all trained parameters.
    """

    value: float
    room: float
    influence: float


@dataclass(frozen=True)
class Look:
    """What was measured at one moment of a run; the same on all ranks. What was not measured is left out.

    Attributes:
        step: optimizer steps made.
        evaluations: of the loss, made by then.
        phase: its number, from 1.
        optimizer: the phase's, by its class name.
        version: of the objective; losses of different versions cannot be compared.
        loss: as the optimizer knows it.
        stalled: whether its line search found no further decrease.
        equations: mean-square residual of each differential equation on held-out points, without weights.
        sides: the same of the other conditions: initial, boundary and periodic ones.
        given: of the conditions that bring their own points, data and integrals, the same on these.
        sizes: for those of `sides` that prescribe values: root mean square of the violation over that of the solution.
        ratios: held-out mean-square residual over that on the training points, see `resolution_ratio`.
        points: how many training points the conditions in `ratios` have.
        gradients: 2-norms of the gradients of the weighted terms of the loss; not of those with weight zero.
        gradient: the norm of their sum.
        top: the largest eigenvalue of the kernel JJ' of the loss r'r, from some of the points.
        coefficients: the unknown coefficients.
        round_off: rounding error of the residuals over the residuals, as they are weighted in the loss, both root mean
            square; in float32 only, where float64 shows it.
        epsilon: rounding unit of the numbers that are trained in.
        bands: the error of each unknown by frequency, or without a reference the residual of each equation.
        held_back: the share of the time interval that does not count yet, see `CausalWeights.held_back`.
        final: whether the run has ended.
    """

    step: int
    evaluations: int
    phase: int
    optimizer: str
    version: int
    loss: float
    stalled: bool = False
    equations: Mapping[str, float] = field(default_factory=dict)
    sides: Mapping[str, float] = field(default_factory=dict)
    given: Mapping[str, float] = field(default_factory=dict)
    sizes: Mapping[str, float] = field(default_factory=dict)
    ratios: Mapping[str, float] = field(default_factory=dict)
    points: Mapping[str, int] = field(default_factory=dict)
    gradients: Mapping[str, float] = field(default_factory=dict)
    gradient: float | None = None
    top: float | None = None
    coefficients: Mapping[str, CoefficientLook] = field(default_factory=dict)
    round_off: float | None = None
    epsilon: float = torch.finfo(torch.float64).eps
    bands: Mapping[str, Bands] = field(default_factory=dict)
    held_back: float = 0.0
    final: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Look:
        """A look from its values as `asdict` makes them."""
        coefficients = {name: CoefficientLook(**value) for name, value in values["coefficients"].items()}
        bands = {name: Bands(**value) for name, value in values["bands"].items()}
        return cls(**{**values, "coefficients": coefficients, "bands": bands})

    @property
    def promise(self) -> float | None:
        """The relative decrease of the loss that one step along its gradient promises, see `promise`."""
        if self.gradient is None or self.top is None:
            return None
        return promise(self.gradient, self.top, self.loss)

    def scalars(self) -> dict[str, float]:
        """What signatures rest on, by the names that loggers get."""
        series: dict[str, Mapping[str, float]] = {
            "training/held_out_ratio": self.ratios,
            "signature/violation": self.sizes,
            "signature/gradient_norm": self.gradients,
            "signature/coefficient_room": {name: c.room for name, c in self.coefficients.items()},
            "signature/coefficient_influence": {name: c.influence for name, c in self.coefficients.items()},
        }
        found = {f"{tag}/{name}": value for tag, values in series.items() for name, value in values.items()}
        single = {"signature/promised_decrease": self.promise, "signature/rounding_error": self.round_off}
        return found | {tag: value for tag, value in single.items() if value is not None}


@dataclass(frozen=True)
class Switch:
    """The beginning of a phase that is not the first.

    Attributes:
        step: optimizer steps of the run before it.
        phase: its number, from 1.
        optimizer: its optimizer, by class name.
        before: the smallest loss that was known when `worst` came.
        worst: the largest loss in the steps that were watched; infinite for one that is no number.
        after: in how many steps of the phase it came to that.
    """

    step: int
    phase: int
    optimizer: str
    before: float
    worst: float
    after: int

    @property
    def growth(self) -> float:
        """How many times larger the loss became."""
        return self.worst / self.before if self.before > 0 else math.inf


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a run.

    Attributes:
        signature: what it is called.
        subject: what it is about: a condition, an unknown, a coefficient, or a phase; empty for the run as a whole.
        step: optimizer steps made when it was seen.
        evidence: what shows it, with the numbers.
        advice: what to try, in one line.
    """

    signature: str
    subject: str
    step: int
    evidence: str
    advice: str

    @property
    def line(self) -> str:
        """All of it in one line."""
        return f"{self.signature} at step {self.step}: {self.evidence}; {self.advice}"


@dataclass
class Record:
    """A run so far, as signatures see it.

    Attributes:
        looks: in the order of the run. When there are `most`, every other one of the older half goes.
        switches: of each beginning of a phase that was watched, what it came to.
        most: how many looks are kept.
    """

    looks: list[Look] = field(default_factory=list)
    switches: list[Switch] = field(default_factory=list)
    most: int = 200

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Record:
        """A record from its values as `asdict` makes them."""
        looks = [Look.of(look) for look in values["looks"]]
        return cls(looks, [Switch(**switch) for switch in values["switches"]], values["most"])

    def add(self, look: Look) -> None:
        """Appends a look."""
        if len(self.looks) >= self.most:
            half = len(self.looks) // 2
            self.looks = [*self.looks[:half:2], *self.looks[half:]]
        self.looks.append(look)

    def note(self, switch: Switch) -> bool:
        """Keeps the worst of what is known of a switch; whether this is worse than before."""
        known = self.switches[-1] if self.switches else None
        same = known is not None and (known.step, known.phase) == (switch.step, switch.phase)
        if known is not None and same:
            if switch.growth <= known.growth:
                return False
            self.switches.pop()
        self.switches.append(switch)
        return True


def _octaves(wave_numbers: Tensor, energies: Tensor) -> tuple[float, ...]:
    band = torch.bucketize(wave_numbers, wave_numbers.new_tensor(OCTAVES))
    sums = add_by_number(energies.new_zeros(len(OCTAVES)), band.to(energies.device), energies)
    return tuple(sums.tolist())
