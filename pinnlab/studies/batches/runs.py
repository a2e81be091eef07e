"""Batches that grow, against all points from the start and against small batches, at equal points seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pinnlab.studies.engine.recording import error, recorded, recording
from pinnlab.studies.engine.runner import Config, Row, Study, outcome_and_points

COUNT = 10_000
"""Points of all conditions together."""

BUDGET = 800 * COUNT
"""Points seen in each run."""

MARKS = tuple(BUDGET * k // 20 for k in range(1, 21))
"""Points seen at which the error is measured."""


def _problem(phases: Sequence[Config], **points: int) -> Config:
    budget: Config = {"class_path": "EvaluationBudget", "init_args": {"points_seen": BUDGET}}
    return {
        "data": {"points": points},
        "model": {"phases": phases},
        "trainer": {"callbacks": [budget, recording(MARKS, error, "points_seen")]},
    }


def _adam(steps: int) -> Config:
    return {"optimizer": {"class_path": "Adam", "init_args": {"lr": 5e-3}}, "steps": steps}


def _broyden(steps: int, points: int | None = None) -> Config:
    drawn = {} if points is None else {"points": {"pde": points}}
    return {"optimizer": {"class_path": "SSBroyden"}, "steps": steps, **drawn}


PROBLEMS: Mapping[str, tuple[str, Config]] = {
    "poisson2d": ("poisson2d_lbfgs", _problem([_adam(10**6)], pde=8000, boundary=2000)),
    "burgers": ("burgers", _problem([_adam(300), _broyden(10**6)], pde=COUNT)),
    "burgers_ladder": ("burgers", _problem([_adam(1200), _broyden(200), _broyden(10**6, COUNT)], pde=4000)),
}


def _growing(rule: str, every: int, **options: Any) -> Config:
    init_args = {"rule": {"class_path": rule, "init_args": {"first": 64, **options}}, "every": every}
    return {"trainer": {"callbacks": [{"class_path": "BatchGrowth", "init_args": init_args}]}}


SETTINGS: Mapping[str, Config] = {
    "full": {},
    "mini_256": {"data": {"batch_size": 256}},
    "geometric": _growing("Geometric", 200),
    "linear": _growing("Linear", 100, step=64),
    "norm_test": _growing("NormTest", 100),
}

COLUMNS = ("relative_l2", "loss", "evaluations", "seconds", "points_seen", "curve")


def probe(trained: Any) -> Row:
    """The error at each of the `MARKS`."""
    return {"curve": recorded(trained)["relative_l2"]}


STUDY = Study("batches", PROBLEMS, SETTINGS, COLUMNS, outcome_and_points, probe=probe)
