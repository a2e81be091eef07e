"""Noise in the data and in the gradient, for six methods at equal points seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pinnlab.studies.engine.recording import recorded, recording
from pinnlab.studies.engine.runner import Config, Row, Study, merged, outcome, train

PARTS = 20
"""How often in a run the error is measured."""

LEVELS = {"0": 0.0, "1": 0.01, "10": 0.1}
"""Standard deviations of the noise in the data, over the root mean square of the solution; by the problem's ending."""

SIZES = {"sines": 1.0, "pendulum": 1.013, "inverse": 0.5}
"""The root mean squares of the solutions whose data have noise."""

BATCHES: Mapping[str, int | None] = {"all": None, "b256": 256, "b64": 64, "new64": None}
"""Points of a condition in a batch by the problem's ending; None for all."""

NEW = 64
"""Points of a condition that `new64` has; it draws others after every step."""

DATA_EVALUATIONS, BATCH_EVALUATIONS = 2000, 400
"""What the budgets are worth in evaluations on all points, with noise in the data and in the gradient."""

RATE = 5e-3
"""Adam's learning rate, that of the study `hybrid`; where Adam is alone a cosine takes it to zero."""

SINES: Config = {"frequencies": [1, 4]}
NETWORK: Config = {"class_path": "MLP", "init_args": {"hidden": [20, 20]}}

METHODS: Mapping[str, Sequence[str]] = {
    "adam": ("Adam",),
    "lbfgs": ("LBFGS",),
    "adam_lbfgs": ("Adam", "LBFGS"),
    "adam_ssbroyden": ("Adam", "SSBroyden"),
    "multi_batch": ("MultiBatchLBFGS",),
    "gauss_newton": ("LevenbergMarquardt",),
}
"""The optimizers of each setting, one after the other."""


class Case(NamedTuple):
    """A problem with noise of a kind and size.

    Attributes:
        recipe: that is changed.
        changes: what differs from it.
        rows: points that an evaluation of Adam takes, those of all conditions together.
        budget: points seen in each run.
        callbacks: that the noise needs.
        network: that is trained.
    """

    recipe: str
    changes: Config
    rows: int
    budget: int
    callbacks: Sequence[Config] = ()
    network: Config = NETWORK

    @property
    def marks(self) -> list[int]:
        """Points seen at which the error is measured."""
        return [self.budget * k // PARTS for k in range(1, PARTS + 1)]

    def config(self) -> Config:
        """What differs from the recipe for all methods."""
        budget = {"class_path": "EvaluationBudget", "init_args": {"points_seen": self.budget}}
        callbacks = [budget, recording(self.marks, error, "points_seen"), *self.callbacks]
        base: Config = {"data": {"evaluation_points": 2000, "held_out": 200}, "trainer": {"callbacks": callbacks}}
        return merged(base, {"model": {"network": self.network, "compile": True}}, self.changes)

    def phases(self, method: str) -> Config:
        """The phases of a method: Adam has all of the budget, or a quarter where another one follows."""
        steps, (first, *then) = self.budget // self.rows, METHODS[method]
        if first != "Adam":
            return {"model": {"phases": [_to_the_end(first)]}}
        adam: Config = {"optimizer": {"class_path": "Adam", "init_args": {"lr": RATE}}}
        if then:
            return {"model": {"phases": [{**adam, "steps": steps // 4}, *map(_to_the_end, then)]}}
        cosine = {"class_path": "CosineAnnealingLR", "init_args": {"T_max": steps}}
        return {"model": {"phases": [{**adam, "steps": steps, "scheduler": cosine}]}}


def _to_the_end(optimizer: str) -> Config:
    return {"optimizer": {"class_path": optimizer}, "steps": 10**6}


def _measured(name: str, level: float) -> Case:
    """A problem with noise in its data."""
    noise = level * SIZES[name]
    if name == "sines":
        changes: Config = {"problem": {"init_args": {**SINES, "count": 100, "noise": noise}}}
        return Case("regression_adam", changes, 100, 100 * DATA_EVALUATIONS)
    if name == "pendulum":
        return Case("pendulum", {"problem": {"init_args": {"noise": noise}}}, 360, 360 * DATA_EVALUATIONS)
    changes = {"problem": {"init_args": {"count": 20, "noise": noise}}, "data": {"points": {"pde": 200}}}
    return Case("pinnacle_pinv", changes, 600, 600 * DATA_EVALUATIONS, network={"u": NETWORK, "a": NETWORK})


def _batched(recipe: str, problem: Config, points: Mapping[str, int], batches: str) -> Case:
    """A problem with exact data, in batches of a kind."""
    new, size = batches == "new64", BATCHES[batches]
    drawn = dict.fromkeys(points, NEW) if new else dict(points)
    rows = sum(min(count, size or count) for count in drawn.values())
    changes: Config = {"problem": {"init_args": problem}, "data": {"points": drawn, "batch_size": size}}
    budget = BATCH_EVALUATIONS * sum(points.values())
    return Case(recipe, changes, rows, budget, [{"class_path": "FreshPoints"}] if new else [])


CASES: Mapping[str, Case] = {
    **{f"{name}_{ending}": _measured(name, level) for name in SIZES for ending, level in LEVELS.items()},
    **{f"sines_{kind}": _batched("regression_adam", SINES, {"data": 512}, kind) for kind in BATCHES},
    **{f"poisson_{kind}": _batched("poisson2d_lbfgs", {}, {"pde": 512, "boundary": 128}, kind) for kind in BATCHES},
}

COLUMNS = (
    "relative_l2", "coefficient", "misfit", "loss", "evaluations", "seconds", "points", "rows", "refused", "curve",
)  # fmt: skip


def error(trainer: Any, module: Any) -> dict[str, float]:
    """The relative L2 error of the solution, the first unknown, against that without noise; for a `Recorder`."""
    return {"curve": next(iter(module.measure_errors(trainer.datamodule).values()))}


def measure(summary: Mapping[str, Any]) -> Row:
    """What is kept of a run's summary: the errors of the solution and of another unknown, and what they cost."""
    solution, *others = summary["relative_l2"].values()
    return {
        **outcome(summary),
        "relative_l2": solution,
        "coefficient": others[0] if others else "",
        "points": summary["points_seen"],
    }


def probe(trained: Any) -> Row:
    """What only the trained model tells.

    Returns:
        `curve`: the errors on the way. `coefficient`: the largest relative error of the coefficients, where these are
        numbers. `misfit`: the root mean square of data minus solution, over the noise's deviation. `rows`: points of
        all conditions. `refused`: whether the last optimizer took all points although batches were asked for.
    """
    store, problem = trained.datamodule.store, trained.model.problem
    row = {
        **recorded(trained),
        "misfit": "",
        "rows": sum(map(len, store.rows.values())),
        "refused": int(store.batches.full and store.batches.size is not None),
    }
    if found := trained.model.system.coefficient_values():
        row["coefficient"] = max(abs(float(value) / getattr(problem, name) - 1) for name, value in found.items())
    if noise := getattr(problem, "noise", 0.0):
        row["misfit"] = float(trained.model.mean_squares(store.rows)["data"]) ** 0.5 / noise
    return row


def make(config: Config) -> tuple[dict[str, Any], Any]:
    """One run, whose seed is that of the noise in its data, too."""
    own = {"seed": config["seed_everything"]} if "noise" in config["problem"].get("init_args", {}) else {}
    return train(merged(config, {"problem": {"init_args": own}}))


STUDY = Study(
    "noise",
    {name: (case.recipe, case.config()) for name, case in CASES.items()},
    {method: {} for method in METHODS},
    COLUMNS,
    measure,
    probe=probe,
    own={(name, method): case.phases(method) for name, case in CASES.items() for method in METHODS},
    make=make,
)
