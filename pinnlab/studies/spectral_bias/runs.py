"""Which frequencies does an optimizer learn, and when? Gradient descent, Adam and L-BFGS on a sum of three sines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from pinnlab.analysis.frequencies import error_spectrum
from pinnlab.studies.engine.recording import kernel_of, recorded, recording, stable_rate
from pinnlab.studies.engine.runner import Config, Study, outcome

FREQUENCIES = (1, 4, 8)
"""The target is the sum of sin(pi k x) on [-1, 1], each of amplitude 1."""

STEPS = 5000
"""Evaluations of a run, as in the recipes; a fifth of them with Fourier features, which need no more."""

AT = (0, 10, 20, 30, 50, 70, 100, 150, 200, 300, 400, 500, 700, 1000, 1400, 2000, 2800, 3500, STEPS)


def mode_errors(trainer: Any, module: Any) -> dict[str, float]:
    """The relative error of each of the target's frequencies: 1 is not learned at all.

    What the error is at the ends of the interval is taken off first, as a linear function (see
    `pinnlab.analysis.frequencies.Axis`): a straight line does not count as a part of the sines.
    """
    points, reference = trainer.datamodule.evaluation_set()
    with torch.no_grad():
        prediction = module(points)
    spectrum = error_spectrum(prediction[:, 0], reference[:, 0], points, module.problem.coordinates)
    assert spectrum is not None  # an interval has a regular grid
    errors = dict(zip(spectrum.wave_numbers.tolist(), spectrum.by_mode().tolist(), strict=True))
    return {f"mode_{k}": errors[2.0 * k] for k in FREQUENCIES}  # counted in half waves across the interval


def mode_rates(trainer: Any, module: Any) -> dict[str, float]:
    """How fast gradient descent would learn each frequency: q'Kq for its sine q, as a share of the largest eigenvalue.

    With the rate 1/2 of the largest stable one the share is what the first step takes off along q. `rate` is that of
    the sine as it stands, `bent` that of the sine less its best straight line; both of norm 1.
    """
    kernel, points = kernel_of(trainer, module), trainer.datamodule.store.points("data")[:, 0]
    largest = torch.linalg.eigvalsh(kernel)[-1]
    waves = torch.sin(torch.pi * points * torch.tensor(FREQUENCIES).to(points)[:, None])
    lines = torch.linalg.qr(torch.stack([torch.ones_like(points), points], 1)).Q
    shares: dict[str, float] = {}
    for name, vectors in (("rate", waves), ("bent", waves - waves @ lines @ lines.T)):
        units = vectors / vectors.norm(dim=1, keepdim=True)
        quotients = torch.einsum("ki,ij,kj->k", units, kernel, units) / largest
        shares |= {f"{name}_{k}": share for k, share in zip(FREQUENCIES, quotients.tolist(), strict=True)}
    return shares


def course(trainer: Any, module: Any) -> dict[str, float]:
    """Errors and rates of the target's frequencies."""
    return {**mode_errors(trainer, module), **mode_rates(trainer, module)}


BASE: Config = {
    "data": {"evaluation_points": 2001},
    "model": {"compile": False},
}
FOURIER: Config = {"class_path": "FourierFeatures", "init_args": {"scale": 10.0}}


def _setting(optimizer: str, embedding: Config | None = None, fraction: float | None = None, **options: Any) -> Config:
    budget = STEPS // 5 if embedding else STEPS
    callbacks = [
        {"class_path": "EvaluationBudget", "init_args": {"evaluations": budget}},
        recording([k for k in AT if k <= budget], course),
        *([] if fraction is None else [stable_rate(fraction)]),
    ]
    network = {"init_args": {"embedding": embedding}} if embedding else {}
    phase = {"optimizer": {"class_path": optimizer, "init_args": options}, "steps": STEPS}
    return {"model": {"network": network, "phases": [phase]}, "trainer": {"callbacks": callbacks}}


SETTINGS: Mapping[str, Config] = {
    "gd": _setting("SGD", lr=0.02),
    "gd_fast": _setting("SGD", fraction=0.5, lr=0.02),
    "adam": _setting("Adam", lr=2e-3),
    "lbfgs": _setting("LBFGS"),
    "gd_fast_fourier": _setting("SGD", FOURIER, fraction=0.5, lr=0.02),
    "adam_fourier": _setting("Adam", FOURIER, lr=2e-3),
    "lbfgs_fourier": _setting("LBFGS", FOURIER),
}

CURVES = tuple(f"{kind}_{k}" for kind in ("mode", "rate", "bent") for k in FREQUENCIES)
COLUMNS = ("relative_l2", "loss", "evaluations", "seconds", *CURVES)


STUDY = Study(
    "spectral_bias", {"regression": ("regression_gd", BASE)}, SETTINGS, COLUMNS, outcome,
    probe=recorded,
)  # fmt: skip
