"""What the order of an equation does: to the kernel's spectrum, and to what adaptive points are worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pinnlab.analysis.ntk import WHOLE, KernelSpectrum, kernel_spectra
from pinnlab.studies.engine.runner import Config, Row, Study, outcome_and_points

ORDERS = (0, 1, 2, 4)
ENHANCED = "_enhanced"
MODES = (4, 8, 16, 32)
"""The wave numbers k of the sines sin(k pi x)."""

BUDGET = 2000
"""Evaluations of each run: the first 300 with Adam, the others with self-scaled Broyden."""

EVERY = 50
"""Evaluations between two draws of residual-based points."""

GRID = 256
"""Places at which a sine is compared with the kernel: eight for a half-wave of the shortest."""

ADAM: Config = {"optimizer": {"class_path": "Adam", "init_args": {"lr": 5e-3}}, "steps": 300}
BROYDEN: Config = {"optimizer": {"class_path": "SSBroyden"}, "steps": BUDGET}
STILL: Config = {"optimizer": {"class_path": "Adam", "init_args": {"lr": 0.0}}, "steps": 1}


def _layer(order: int, enhanced: bool) -> tuple[str, Config]:
    """The one solution, from an equation of this order; 60 points, three in the width of the layer."""
    problem = {"class_path": "Layer1D", "init_args": {"order": order, "steepness": 20.0}}
    model = {"compile": False, "enhance": {"pde": ["x"]} if enhanced else {}}
    return "biharmonic1d", {"problem": problem, "data": {"points": 60}, "model": model}


PROBLEMS: Mapping[str, tuple[str, Config]] = {
    **{f"order_{p}": _layer(p, False) for p in ORDERS},
    **{f"order_{p}{ENHANCED}": _layer(p, True) for p in ORDERS},
    "biharmonic2d": (
        "biharmonic2d_rad",
        {"data": {"points": {"pde": 300, "edge": 60, "moments": 60}}, "model": {"compile": False}},
    ),
}


def _setting(phases: Sequence[Config], *callbacks: Config) -> Config:
    budget: Config = {"class_path": "EvaluationBudget", "init_args": {"evaluations": BUDGET}}
    return {
        "data": {"sampler": {"class_path": "UniformRandom"}},
        "model": {"phases": phases},
        "trainer": {"callbacks": [budget, *callbacks]},
    }


SETTINGS: Mapping[str, Config] = {
    "initial": _setting([STILL]),
    "uniform": _setting([ADAM, BROYDEN]),
    "rad": _setting([ADAM, BROYDEN], {"class_path": "ResidualResampling", "init_args": {"every": EVERY, "pool": 5000}}),
}

KERNEL = ("condition_number", "effective_rank", "rank", "top", "tenth")

COLUMNS = (
    "relative_l2", "loss", "evaluations", "points_seen", "seconds",
    *KERNEL, *(f"total_{key}" for key in KERNEL), *(f"mode_{k}" for k in MODES),
)  # fmt: skip


def probe(trained: Any) -> Row:
    """The spectrum of the final kernel, of the equation alone and with its conditions, and its quotients of sines."""
    module, store = trained.model, trained.datamodule.store
    spectra = kernel_spectra(module.linearization(store.batch()))
    return {
        **_numbers(spectra["pde"]),
        **{f"total_{key}": value for key, value in _numbers(spectra[WHOLE]).items()},
        **(modes(module, store) if len(module.problem.coordinates) == 1 else {}),
    }


def modes(module: Any, store: Any) -> Row:
    """The Rayleigh quotients q'Kq of the equation's kernel K, q = sin^4(pi x) sin(k pi x) on a grid, of norm 1.

    The first factor keeps the ends of the interval out of it. As the squared norm of J'q they are exact to the
    rounding of J'q; as a product with K they would drown in that of its largest eigenvalue.

    Args:
        module: a `PINN` on [0, 1].
        store: its points; those of the conditions other than the equation are used.
    """
    x = (torch.arange(GRID, dtype=torch.float64) + 0.5) / GRID
    linearization = module.linearization({**store.batch(), "pde": store.as_rows("pde", x[:, None])})
    rows = linearization.row_numbers()["pde"]
    quotients = {}
    for k in MODES:
        wave = torch.sin(math.pi * x) ** 4 * torch.sin(k * math.pi * x)
        mode = wave.new_zeros(linearization.shape[0])
        mode[rows[:: len(rows) // GRID]] = wave / wave.norm()  # an enhanced residual has more equations at a point
        quotients[f"mode_{k}"] = float(linearization.transposed_times(mode).square().sum())
    return quotients


def _numbers(spectrum: KernelSpectrum) -> Row:
    values = spectrum.eigenvalues
    numbers: Row = {key: getattr(spectrum, key) for key in ("condition_number", "effective_rank", "rank", "top")}
    return {**numbers, "tenth": float(values[9] / values[0])}


STUDY = Study("orders", PROBLEMS, SETTINGS, COLUMNS, outcome_and_points, probe=probe)
