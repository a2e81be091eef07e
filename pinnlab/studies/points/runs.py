"""Where to put the points: fixed designs, fresh points and every adaptive method, on a steep front and on a shock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pinnlab.analysis.ntk import spectrum_of
from pinnlab.analysis.signatures import resolution_ratio
from pinnlab.studies.engine.runner import Config, Row, Study, outcome

BUDGET = 3000
"""Evaluations of each run."""

ADAM = 500
"""Of these, with Adam; the others are for self-scaled Broyden."""

COUNT = 500
"""Points of the differential equation. Methods that add points have half as many at first and half as many more at
last, so that all runs see about as many points."""

EVERY = 50
"""Evaluations between two changes of points."""

POOL = 10 * COUNT
"""Candidates at a time. Their residuals, without gradients, are as many as those of ten evaluations of the loss."""

_PHASES: Sequence[Config] = [
    {"optimizer": {"class_path": "Adam", "init_args": {"lr": 5e-3}}, "steps": ADAM},
    {"optimizer": {"class_path": "SSBroyden"}, "steps": BUDGET},
]


def _problem(**points: int) -> Config:
    return {
        "data": {"points": {"pde": COUNT, **points}},
        "model": {"network": {"init_args": {"hidden": [20, 20, 20]}}, "phases": _PHASES, "compile": False},
    }


FRONT: Config = {"problem": {"init_args": {"steepness": 50.0, "exact_conditions": False}}}

PROBLEMS: Mapping[str, tuple[str, Config]] = {
    "front": ("front_rard", {**_problem(boundary=100), **FRONT}),
    "burgers": ("burgers", _problem()),
}


def _setting(name: str | None = None, *, sampler: str = "UniformRandom", **options: Any) -> Config:
    """The budget, a design, and what becomes of its points."""
    callbacks: list[Config] = [{"class_path": "EvaluationBudget", "init_args": {"evaluations": BUDGET}}]
    if name is not None:
        callbacks.append({"class_path": name, "init_args": {"every": EVERY, **options}})
    return {"data": {"sampler": {"class_path": sampler}}, "trainer": {"callbacks": callbacks}}


def _growing(**options: Any) -> Config:
    count = COUNT * EVERY // BUDGET
    setting = _setting("ResidualAddition", pool=POOL, count=count, most=2 * COUNT, **options)
    return {**setting, "data": {**setting["data"], "points": {"pde": COUNT // 2}}}


SETTINGS: Mapping[str, Config] = {
    "uniform": _setting(),
    "sobol": _setting(sampler="Sobol"),
    "latin_hypercube": _setting(sampler="LatinHypercube"),
    "fresh": _setting("FreshPoints"),
    "rad": _setting("ResidualResampling", pool=POOL),
    "rad_seldom": _setting("ResidualResampling", pool=POOL, every=10 * EVERY),
    "rad_gradient": _setting("ResidualResampling", pool=POOL, score="residual_gradient"),
    "rar_d": _growing(),
    "rar_g": _growing(greedy=True),
    "r3": _setting("RetainResample"),
}

KERNEL = ("condition_number", "effective_rank", "rank", "top")

COLUMNS = (
    "relative_l2", "loss", "evaluations", "points", "points_seen", "seconds", "held_out_ratio",
    *KERNEL, *(f"uniform_{key}" for key in KERNEL),
)  # fmt: skip


def measure(summary: Mapping[str, Any]) -> Row:
    """What is kept of a run's summary: the error, and what it cost."""
    return {**outcome(summary), "points": summary["points"]["pde"], "points_seen": summary["points_seen"]}


def probe(trained: Any) -> Row:
    """Whether the points stand for the domain, and the final kernel on them and on as many uniform ones."""
    from pinnlab.callbacks.redraw import mean_square  # this imports Lightning; a report does not need it

    module, data = trained.model, trained.datamodule
    batch, held_out = data.store.batch(), next(iter(data.val_dataloader()))["held_out"]
    uniform = {**batch, "pde": held_out["pde"][:COUNT]}
    training, elsewhere = (mean_square(module.system, "pde", rows["pde"]) for rows in (batch, held_out))
    return {
        "held_out_ratio": resolution_ratio(training, elsewhere, module.dtype),
        **_numbers(module, batch),
        **{f"uniform_{key}": value for key, value in _numbers(module, uniform).items()},
    }


def _numbers(module: Any, batch: Mapping[str, Any]) -> Row:
    """What a study keeps of the kernel on these rows."""
    spectrum = spectrum_of(module.linearization(batch).kernel())
    return {key: getattr(spectrum, key) for key in KERNEL}


STUDY = Study("points", PROBLEMS, SETTINGS, COLUMNS, measure, probe=probe)
