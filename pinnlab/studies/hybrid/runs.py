"""Adam, L-BFGS, or one after the other? Poisson's equation with equal evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinnlab.studies.engine.recording import error, recorded, recording
from pinnlab.studies.engine.runner import Config, Row, Study, outcome

BUDGET = 4000
"""Evaluations of loss and gradient of each run."""

AT = (125, 250, 500, 1000, 2000, 4000)
"""Where the error is measured: budgets that one might have had."""

CALLBACKS: list[Config] = [
    {"class_path": "EvaluationBudget", "init_args": {"evaluations": BUDGET}},
    recording(AT, error),
]
BASE: Config = {"trainer": {"callbacks": CALLBACKS}, "model": {"compile": False}}

PROBLEMS: Mapping[str, tuple[str, Config]] = {
    "poisson1d": ("poisson1d", BASE),
    "poisson2d": ("poisson2d_lbfgs", {**BASE, "data": {"points": {"pde": 256, "boundary": 64}}}),
}

ADAM: Config = {"optimizer": {"class_path": "Adam", "init_args": {"lr": 5e-3}}}


def _phases(*phases: Config) -> Config:
    return {"model": {"phases": list(phases)}}


def _to_the_end(optimizer: str) -> Config:
    return {"optimizer": {"class_path": optimizer}, "steps": BUDGET}


SETTINGS: Mapping[str, Config] = {
    "adam": _phases(
        {**ADAM, "steps": BUDGET, "scheduler": {"class_path": "CosineAnnealingLR", "init_args": {"T_max": BUDGET}}}
    ),
    "lbfgs": _phases(_to_the_end("LBFGS")),
    "ssbroyden": _phases(_to_the_end("SSBroyden")),
    "adam_lbfgs": _phases(ADAM, _to_the_end("LBFGS")),
    "adam_ssbroyden": _phases(ADAM, _to_the_end("SSBroyden")),
}

COLUMNS = ("relative_l2", "loss", "evaluations", "switched_at", "errors")


def measure(summary: Mapping[str, Any]) -> Row:
    """What is kept of a run: its error, and how many evaluations Adam had."""
    ended = outcome(summary)
    adam = [phase for phase in summary["phases"] if phase["optimizer"] == "Adam"]
    return {
        **{key: ended[key] for key in ("relative_l2", "loss", "evaluations")},
        "switched_at": sum(phase["evaluations"] for phase in adam),
    }


def probe(trained: Any) -> Row:
    """The error after each number of evaluations of `AT`."""
    return {"errors": recorded(trained)["relative_l2"]}


STUDY = Study("hybrid", PROBLEMS, SETTINGS, COLUMNS, measure, seeds=range(5), probe=probe)
