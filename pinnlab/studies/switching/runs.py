"""When to leave Adam for L-BFGS: every criterion on eight problems, against the best fixed step with hindsight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinnlab.studies.engine.runner import Config, Row, Study, outcome

BUDGET = 4000
"""Evaluations of each run: a few times what the faster problems need, and less than the slower ones want."""

FIXED = "fixed_"
"""How the names of settings with a fixed step begin."""

FIXED_STEPS = (10, 100, 300, 1000, 2000, 3000)


def _problem(hidden: list[int] | None = None, resample: bool = False, **points: int) -> Config:
    """Fewer points and smaller networks than the recipe's, the budget, and new points where fixed ones mislead."""
    callbacks: list[Config] = [{"class_path": "EvaluationBudget", "init_args": {"evaluations": BUDGET}}]
    if resample:
        callbacks.append({"class_path": "ResidualResampling", "init_args": {"every": 1000}})
    network = {} if hidden is None else {"network": {"init_args": {"hidden": hidden}}}
    return {"data": {"points": points}, "model": network, "trainer": {"callbacks": callbacks}}


SOFT: Config = {"exact_conditions": False, "discount": 0.0}
"""Allen-Cahn as others solve it; the recipe's ansatz knows more of the solution."""

PROBLEMS: Mapping[str, tuple[str, Config]] = {
    "poisson1d": ("poisson1d", _problem()),
    "poisson2d": ("poisson2d_lbfgs", _problem()),
    "biharmonic1d": ("biharmonic1d", _problem()),
    "burgers": ("burgers_lbfgs", _problem(resample=True, pde=1500)),
    "convection": ("convection_lbfgs", _problem(pde=1500)),
    "reaction": ("reaction_ng", _problem(pde=1000, periodic=100)),
    "wave": ("wave", _problem([20, 20, 20], resample=True, pde=1000, start=100, rest=100, wall=100)),
    "allen_cahn": (
        "allen_cahn",
        {**_problem([20, 20, 20], resample=True, pde=1000, start=128), "problem": {"init_args": SOFT}},
    ),
    "regression": ("regression_adam", _problem([32, 32], data=256)),
    "pendulum": ("pendulum", _problem()),
    "interface": ("interface", _problem(heat=400, line=40, end=40, edges=80)),
}


HELD_OUT = ("regression", "pendulum", "interface")
"""Problems that were added when all criteria and their thresholds were there: two of them learn from data."""


def phases(until: Config | None, steps: int | None = None, scheduler: Config | None = None) -> Config:
    """Adam until a criterion or for a number of steps, then L-BFGS for the rest of the budget."""
    adam: dict[str, Any] = {"optimizer": {"class_path": "Adam", "init_args": {"lr": 5e-3}}}
    if scheduler is not None:
        adam["scheduler"] = scheduler
    if until is not None:
        adam["until"] = until
    if steps is not None:
        adam["steps"] = steps
    return {"model": {"phases": [adam, {"optimizer": {"class_path": "LBFGS"}, "steps": BUDGET}]}}


def _criterion(name: str, **options: Any) -> Config:
    return phases({"class_path": name, "init_args": options})


LATE: Config = {"class_path": "LossPlateau", "init_args": {"window": 150, "tolerance": 0.3}}

STRICT: Config = {"class_path": "GradientNormStabilisation", "init_args": {"tolerance": 0.05, "scatter": 1.0}}
"""As still as the norms of full-batch Adam are where its rate has fallen."""

DECAY: Config = {"class_path": "ExponentialLR", "init_args": {"gamma": 0.998}}
"""The rate after 1,000 steps is an eighth: with a constant one the norm of Adam's gradient hardly settles."""

SETTINGS: Mapping[str, Config] = {
    **{f"{FIXED}{steps}": phases(None, steps) for steps in FIXED_STEPS},
    "loss_plateau": _criterion("LossPlateau"),
    "loss_plateau_late": phases(LATE),
    "loss_plateau_flat": _criterion("LossPlateau", window=200, tolerance=1e-2),
    "percentile_flatness": _criterion("PercentileFlatness"),
    "relative_improvement": _criterion("RelativeImprovement"),
    "gradient_norm": _criterion("GradientNormStabilisation"),
    "gradient_norm_strict": phases(STRICT),
    "gradient_norm_strict_decay": phases(STRICT, scheduler=DECAY),
    "loss_plateau_decay": phases({"class_path": "LossPlateau"}, scheduler=DECAY),
    "gradient_alignment": _criterion("GradientAlignment"),
    "signal_to_noise": _criterion("SignalToNoise"),
    "trial_step": _criterion("TrialStep"),
    "trial_on_plateau": _criterion("TrialStep", propose=LATE),
    "trial_hasty": _criterion("TrialStep", propose={"class_path": "FixedSteps", "init_args": {"steps": 10}}, window=20),
}

RECOMMENDED = "loss_plateau"
"""The setting whose criterion is the default of `Phase(until=...)`."""

COLUMNS = ("relative_l2", "loss", "evaluations", "seconds", "switched_at", "undone", "returns", "why")


def measure(summary: Mapping[str, Any]) -> Row:
    """What is kept of a run: the error of the worst unknown, where and why Adam was left, and what went wrong."""
    events = [decision["event"] for decision in summary["decisions"]]
    adam = [phase for phase in summary["phases"] if phase["optimizer"] == "Adam"]
    return {
        **outcome(summary),
        "switched_at": sum(phase["evaluations"] for phase in adam),
        "undone": events.count("trial undone"),
        "returns": events.count("back") + events.count("rollback"),
        "why": adam[0]["stopped"],
    }


STUDY = Study("switching", PROBLEMS, SETTINGS, COLUMNS, measure)
