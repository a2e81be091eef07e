"""Made-up runs for criteria to watch: series of losses with a knee, and gradients that stop to agree there."""

import functools
import math

import numpy as np
import torch

from pinnlab.criteria import (
    All,
    Any,
    AtLeast,
    DampingMinimum,
    FixedSteps,
    GradientAlignment,
    GradientNormStabilisation,
    LossPlateau,
    PercentileFlatness,
    Progress,
    RelativeImprovement,
    SignalToNoise,
    TimeBudget,
    TrialStep,
)

PATIENT = functools.partial(LossPlateau, window=200, tolerance=1e-2)
"""A plateau in the strict sense; by default `LossPlateau` ends a phase when the descent slows down."""

CRITERIA = {
    "steps": lambda: FixedSteps(700),
    "seconds": lambda: TimeBudget(7.0),
    "plateau": PATIENT,
    "flatness": PercentileFlatness,
    "improvement": RelativeImprovement,
    "norm": GradientNormStabilisation,
    "alignment": GradientAlignment,
    "signal": SignalToNoise,
    "damping": DampingMinimum,
    "any": lambda: Any([FixedSteps(5000), PATIENT(), GradientAlignment()]),
    "all": lambda: All([PATIENT(), SignalToNoise()]),
    "at least": lambda: AtLeast(700, PATIENT()),
    "trial": TrialStep,
    "proposed trial": lambda: TrialStep(propose=PATIENT()),
}
"""Every criterion; each of them decides on a run with a knee at 1,500, but none before step 200."""


class FakeGradients:
    """Gradients that are given, and a count of what was asked for."""

    def __init__(self, norm=1.0, rows=((1.0,), (1.0,))):
        self._norm, self._rows, self.asked = norm, rows, []

    @property
    def conditions(self):
        return len(self._rows)

    def norm(self):
        self.asked.append("norm")
        return self._norm

    def by_condition(self):
        self.asked.append("conditions")
        return torch.tensor(self._rows, dtype=torch.float64)

    def by_chunk(self, chunks):
        self.asked.append(f"{chunks} chunks")
        return torch.tensor(self._rows, dtype=torch.float64)


def series(knee, scatter=0.3, floor=1e-3, length=6000, seed=0):
    """A loss that decays exponentially up to the step `knee` and then stays, with noise and spikes."""
    generator = np.random.default_rng(seed)
    steps = np.arange(length)
    smooth = np.maximum(np.exp(steps * math.log(floor) / knee), floor)
    noise = np.exp(scatter * generator.normal(size=length))
    spikes = np.where(generator.random(length) < 0.01, 30.0, 1.0)
    return smooth * noise * spikes


def progress(values, scale=1.0, floor=1e-3):
    """One record per loss; two gradients share a part that vanishes at the floor, and differ in the rest.

    The damping falls down to the knee at 1,500, and then rises.
    """
    for step, value in enumerate(map(float, values), 1):
        signal, noise = scale * (value - floor), scale * 5 * floor
        gradients = FakeGradients(scale * math.sqrt(abs(value)), ((signal, noise), (signal, -noise)))
        damping = math.exp(abs(step - 1500) / 100)
        yield Progress(step, step, scale * value, step / 100, gradients=gradients, damping=damping)


def decided(criterion, steps):
    """The step at which the criterion ends the phase; None when it never does."""
    return next((record.step for record in steps if criterion.update(record)), None)
