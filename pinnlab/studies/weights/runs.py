"""Weights that adapt, where conditions fight: every rule on problems whose terms begin out of balance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pinnlab.studies.engine.recording import error, recorded, recording
from pinnlab.studies.engine.runner import Config, Row, Study, outcome

BUDGET = 3000
"""Evaluations of each run, with those that the rules spend."""

ADAM = 1000
"""Of these, with Adam; the others are for self-scaled Broyden."""


def _problem(weights: Mapping[str, float], hidden: Sequence[int] = (20, 20, 20), **points: int) -> Config:
    phases = [
        {"optimizer": {"class_path": "Adam", "init_args": {"lr": 5e-3}}, "steps": ADAM},
        {"optimizer": {"class_path": "SSBroyden"}, "steps": BUDGET},
    ]
    budget: Config = {"class_path": "EvaluationBudget", "init_args": {"evaluations": BUDGET}}
    return {
        "data": {"points": points},
        "model": {"network": {"init_args": {"hidden": list(hidden)}}, "weights": dict(weights), "phases": phases},
        "trainer": {"callbacks": [budget, recording([ADAM], error)]},
    }


def _poisson(boundary: float) -> tuple[str, Config]:
    return "poisson2d_lbfgs", _problem({"boundary": boundary}, (20, 20), pde=400, boundary=80)


PROBLEMS: Mapping[str, tuple[str, Config]] = {
    "wave": (
        "wave",
        {
            **_problem({"pde": 1.0, "start": 1.0, "rest": 1.0, "wall": 1.0}, pde=500, start=64, rest=64, wall=64),
            "problem": {"init_args": {"frequency": 3}},
        },
    ),
    "convection": (
        "convection_r3",
        {
            **_problem({"pde": 1.0, "start": 1.0, "periodic": 1.0}, pde=600, start=64, periodic=64),
            "problem": {"init_args": {"beta": 20.0}},
        },
    ),
    "poisson_light": _poisson(0.1),
    "poisson_heavy": _poisson(1e5),
}


def _callback(name: str, **options: Any) -> Config:
    return {"trainer": {"callbacks": [{"class_path": name, "init_args": options}]}}


SETTINGS: Mapping[str, Config] = {
    "fixed": {},
    "tuned": {"model": {"weights": None}},  # the problem's own
    "gradient_norm": _callback("LossBalancing", rule="GradientNorm"),
    "lra": _callback("LossBalancing", rule="LRA"),
    "ntk_trace": _callback("LossBalancing", rule="NTKTrace"),
    "relobralo": _callback("LossBalancing", rule="ReLoBRaLo"),
    "soft_adapt": _callback("LossBalancing", rule="SoftAdapt"),
    "residual_attention": _callback("ResidualAttention"),
    "self_adaptive": _callback("SelfAdaptive"),
    "causal": _callback("CausalWeights"),
}

COLUMNS = ("relative_l2", "loss", "evaluations", "seconds", "after_adam", "weights")


def probe(trained: Any) -> Row:
    """The error after Adam, and the weights of the conditions at last."""
    module = trained.model
    pairs = zip(module.problem.conditions, module.loss_weights.tolist(), strict=True)
    return {
        "after_adam": recorded(trained)["relative_l2"],
        "weights": ", ".join(f"{name} {weight:.2g}" for name, weight in pairs),
    }


STUDY = Study("weights", PROBLEMS, SETTINGS, COLUMNS, outcome, probe=probe)
