"""Five schedules of Adam's learning rate, alone and before self-scaled Broyden, with equal evaluations."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import lightning as L

from pinnlab.studies.engine.recording import error, numbers, recorded, recording
from pinnlab.studies.engine.runner import Config, Row, Study, outcome
from pinnlab.training.trainer_parts import callbacks_of

BUDGET = 3000
"""Evaluations of loss and gradient of each run."""

AT = tuple(range(100, BUDGET + 1, 100))
"""Where the error is measured."""

FACTORS = (2, 10)
"""How many times its running minimum a loss must be to count as risen."""


class Use(NamedTuple):
    """What Adam is there for.

    Attributes:
        rate: the largest learning rate.
        steps: of Adam, and of the schedule.
        words: for a heading.
    """

    rate: float
    steps: int
    words: str


USES: Mapping[str, Use] = {
    "low": Use(5e-3, BUDGET, "Adam alone, at most 5e-3"),
    "high": Use(2e-2, BUDGET, "Adam alone, at most 2e-2"),
    "broyden": Use(5e-3, BUDGET // 3, f"{BUDGET // 3:,} steps of Adam, at most 5e-3, then SSBroyden"),
}


class KeepLosses(L.Callback):
    """Keeps the loss of every step, as the optimizer saw it.

    Attributes:
        losses: of the steps so far.
    """

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Keeps one more."""
        self.losses.append(pl_module.current_loss())


def _problem(**more: Config) -> Config:
    budget: Config = {"class_path": "EvaluationBudget", "init_args": {"evaluations": BUDGET}}
    keeper: Config = {"class_path": f"{KeepLosses.__module__}.{KeepLosses.__qualname__}"}
    return {**more, "trainer": {"callbacks": [budget, recording(AT, error), keeper]}}


PROBLEMS: Mapping[str, tuple[str, Config]] = {
    "poisson2d": ("poisson2d_lbfgs", _problem(data={"points": {"pde": 256, "boundary": 64}})),
    "burgers": ("burgers", _problem(problem={"init_args": {"viscosity": 0.02}}, data={"points": {"pde": 800}})),
    "regression": (
        "regression_adam",
        _problem(
            problem={"init_args": {"frequencies": [1, 2, 4]}},
            data={"points": {"data": 256}},
            model={"network": {"init_args": {"hidden": [32, 32]}}},
        ),
    ),
}


def _scheduler(name: str, **options: Any) -> Config:
    return {"class_path": name, "init_args": options}


def schedules(rate: float, steps: int) -> dict[str, Config | None]:
    """The schedules by name, each over so many steps and with this rate as its largest."""
    first = steps // 10
    rise = _scheduler("LinearLR", start_factor=0.01, total_iters=first)
    fall = _scheduler("CosineAnnealingLR", T_max=steps - first)
    return {
        "constant": None,
        "exponential": _scheduler("ExponentialLR", gamma=0.01 ** (1 / steps)),
        "cosine": _scheduler("CosineAnnealingLR", T_max=steps),
        "one_cycle": _scheduler("OneCycleLR", max_lr=rate, total_steps=steps),
        "warm_up": _scheduler("SequentialLR", schedulers=[rise, fall], milestones=[first]),
    }


def _setting(use: Use, scheduler: Config | None) -> Config:
    adam = {"optimizer": {"class_path": "Adam", "init_args": {"lr": use.rate}}, "steps": use.steps}
    rest = [{"optimizer": {"class_path": "SSBroyden"}, "steps": BUDGET}] if use.steps < BUDGET else []
    given = {} if scheduler is None else {"scheduler": scheduler}
    return {"model": {"compile": True, "phases": [{**adam, **given}, *rest]}}


SETTINGS: Mapping[str, Config] = {
    f"{name}/{schedule}": _setting(use, scheduler)
    for name, use in USES.items()
    for schedule, scheduler in schedules(use.rate, use.steps).items()
}

COLUMNS = ("relative_l2", "best", *(f"risen_{f}" for f in FACTORS), "worst", "loss", "evaluations", "seconds", "errors")


def rises(losses: Sequence[float]) -> Row:
    """How often and how far a loss is above its running minimum; a constant factor of the loss changes nothing.

    Args:
        losses: of every step.

    Returns:
        `risen_2`, `risen_10`: of the steps, how many have more than so many times the lowest loss before; `worst`: the
        largest ratio of a loss to the lowest before.
    """
    lowest = itertools.accumulate(losses, min)
    ratios = [loss / low for loss, low in zip(losses[1:], lowest, strict=False)]
    risen = {f"risen_{factor}": sum(not ratio <= factor for ratio in ratios) for factor in FACTORS}
    return {**risen, "worst": f"{max([1.0, *ratios]):.4g}"}


def probe(trained: Any) -> Row:
    """The error at each of `AT`, the best of them, and how quiet the loss was."""
    errors = recorded(trained)["relative_l2"]
    kept = callbacks_of(trained.trainer, KeepLosses)[0]
    return {"errors": errors, "best": min(numbers(errors)), **rises(kept.losses)}


STUDY = Study("schedules", PROBLEMS, SETTINGS, COLUMNS, outcome, probe=probe)
