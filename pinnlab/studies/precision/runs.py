"""How many digits in how many seconds: four methods, on fixed and on residual-based points, on eight problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinnlab.studies.engine.recording import error, recorded, recording
from pinnlab.studies.engine.runner import Config, Row, Study, outcome

SECONDS = 30
"""Of training, for each run. Measurements in between do not count."""

AT = (1, 2, 5, 10, SECONDS)
"""Seconds after which the error is measured."""

WARM_UP = 100
"""Steps of Adam in front of self-scaled Broyden."""

BASE: Config = {"trainer": {"callbacks": [recording(AT, error, "seconds")]}, "model": {"compile": False}}


SHARP: Config = {
    **BASE,
    "data": {"points": {"pde": 3000}},
    "model": {"compile": False, "network": {"init_args": {"hidden": [20, 20, 20]}}},
}

PROBLEMS: Mapping[str, tuple[str, Config]] = {
    "poisson1d": ("poisson1d_tr", BASE),
    "poisson2d": ("poisson2d_tr", BASE),
    "heat": ("heat1d_tr", BASE),
    "poisson5d": ("poisson5d_tr", BASE),
    "wave": ("wave_tr", BASE),
    "burgers_smooth": ("burgers", {**SHARP, "problem": {"init_args": {"viscosity": 0.01}}}),
    "burgers": ("burgers", SHARP),
    "allen_cahn": ("allen_cahn", SHARP),
}

METHODS: Mapping[str, tuple[str, int]] = {
    "broyden": ("SSBroyden", 500),
    "lm": ("LevenbergMarquardt", 40),
    "natural_gradient": ("EnergyNaturalGradient", 1),
    "target_ratio": ("TargetRatioGaussNewton", 140),
}
"""The optimizer, and after how many evaluations residual-based points are drawn anew: after 50, 10, 1 and 10 steps."""


def _setting(optimizer: str, every: int | None) -> Config:
    phases: list[Config] = []
    if optimizer == "SSBroyden":
        phases.append({"optimizer": {"class_path": "Adam", "init_args": {"lr": 5e-3}}, "steps": WARM_UP})
    budget = {"class_path": "TimeBudget", "init_args": {"seconds": SECONDS}}
    phases.append({"optimizer": {"class_path": optimizer}, "until": budget})
    callbacks: list[Config] = []
    if every is not None:
        callbacks = [{"class_path": "ResidualResampling", "init_args": {"every": every}}]
    return {"model": {"phases": phases}, "trainer": {"callbacks": callbacks}}


SETTINGS: Mapping[str, Config] = {
    name: _setting(optimizer, every)
    for method, (optimizer, often) in METHODS.items()
    for name, every in ((method, None), (f"{method}_rad", often))
}

COLUMNS = ("relative_l2", "loss", "evaluations", "seconds", "stopped", "errors")


def measure(summary: Mapping[str, Any]) -> Row:
    """What is kept of a run: its error, its cost, and why it ended."""
    return {**outcome(summary), "stopped": summary["phases"][-1]["stopped"]}


def probe(trained: Any) -> Row:
    """The error after each number of seconds of `AT`; a run that ended early has fewer."""
    return {"errors": recorded(trained).get("relative_l2", "")}


STUDY = Study("precision", PROBLEMS, SETTINGS, COLUMNS, measure, probe=probe)
