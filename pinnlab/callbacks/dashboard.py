"""The dashboard of a run in TensorBoard: charts laid out by subject, cards of text, and a row among other runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_only

from pinnlab.numerics import distributed
from pinnlab.reporting.cards import machine_card, problem_card, recipe_card, settings_of
from pinnlab.reporting.dashboard import OVER, layout
from pinnlab.reporting.loggers import LogScaleTensorBoardLogger, board_of
from pinnlab.training.marching import all_windows, windows_left
from pinnlab.training.switching import phases_of
from pinnlab.training.trainer_parts import callbacks_of, data_of, evaluation_data, point_store


class Dashboard(L.Callback):
    """Lays out TensorBoard's page of custom scalars, and says there what the run is and what it reached.

    At the start of training it writes, once for each folder of logs, the layout (losses, errors, phases, spectra,
    weights, points: those that the run has) and three cards of text: problem, recipe, machine. At the end it writes the
    run's settings and results for the page of hyperparameters, where runs are compared. In between it tells a
    `LogScaleTensorBoardLogger` how many evaluations and milliseconds of training have passed, so that loss and error
    are drawn over those, too. The cost is a few milliseconds and one evaluation of the error. With other loggers, or
    none, it does nothing.

    A run that goes on in its own folder from a checkpoint first takes out of the charts there what it will make again:
    what was logged after that checkpoint.

    Args:
        name: the run's; default: the problem's.
        recipe: the run's configuration as YAML, for the card and the comparison of runs.
    """

    def __init__(self, name: str | None = None, recipe: str | None = None) -> None:
        self.name, self.recipe = name, recipe
        self._written, self._resumed = "", False

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Writes layout and cards, unless the run they were written for goes on in the same folder."""
        self._tell_axes(trainer, lambda: _axes(trainer, pl_module))
        self._open(trainer, pl_module)

    def teardown(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Charts over evaluations and time are of training only."""
        self._tell_axes(trainer, None)

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Writes settings and results; behind the last of several windows the error of all of them."""
        board, data = board_of(trainer), evaluation_data(pl_module)
        measurable = board is not None and data is not None
        windows = all_windows(trainer, pl_module) if measurable and not windows_left(trainer) else None
        module, data = windows or (pl_module, data)
        errors = module.measure_errors(data) if measurable else {}  # a collective
        self._close(trainer, pl_module, errors)

    def state_dict(self) -> dict[str, Any]:
        """Where the layout is written already."""
        return {"written": self._written}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on."""
        self._written, self._resumed = state_dict["written"], True

    @rank_zero_only
    def _tell_axes(self, trainer: L.Trainer, axes: Callable[[], dict[str, int]] | None) -> None:
        board = board_of(trainer)
        if isinstance(board, LogScaleTensorBoardLogger):
            board.axes = axes

    @rank_zero_only
    def _open(self, trainer: L.Trainer, pl_module: Any) -> None:
        board = board_of(trainer)
        if board is None:
            return
        resumed, self._resumed = self._resumed, False
        if self._written == os.path.abspath(board.log_dir):
            if resumed:  # and not the next window of time of the same run, which has nothing to take out
                from pinnlab.reporting.event_file import drop_events_after

                drop_events_after(Path(board.log_dir), trainer.global_step, _axes(trainer, pl_module))
            return
        self._written = os.path.abspath(board.log_dir)
        writer, step = board.experiment, trainer.global_step
        writer.add_custom_scalars(layout(_tags(trainer, pl_module), isinstance(board, LogScaleTensorBoardLogger)))
        for tag, text in self._cards(trainer, pl_module).items():
            writer.add_text(f"run/{tag}", text, step)
        writer.flush()

    @rank_zero_only
    def _close(self, trainer: L.Trainer, pl_module: Any, errors: dict[str, float]) -> None:
        board = board_of(trainer)
        if board is None:
            return
        # Ends of charts that are there anyway: metrics of their own would be charts of one dot.
        results = {
            **{f"relative_l2/{name}": error for name, error in errors.items()},
            "loss/total": pl_module.current_loss(),
            "training/evaluations": float(pl_module.evaluations),
            "training/seconds": _axes(trainer, pl_module)["milliseconds"] / 1000,
        }
        board.log_hyperparams(self._settings(trainer, pl_module), results, max(trainer.global_step - 1, 0))
        board.experiment.flush()

    def _settings(self, trainer: L.Trainer, module: Any) -> dict[str, Any]:
        """What runs are compared by. TensorBoard sorts the names and shows the first five: those that matter most."""
        store = point_store(module)
        built = {
            "problem": module.problem.name,
            "network": type(module.trial.network).__name__,
            "phases": " > ".join(
                type(phase.sample_optimizer()).__name__ + (f", steps={phase.steps}" if phase.steps else "")
                for phase in module.phases
            ),
        }
        return {
            **settings_of(self.recipe, built),
            "points": 0 if store is None else sum(store.counts().values()),
            "processes": distributed.world_size(),
            "seed": getattr(data_of(module), "seed", 0),
            "weights": sum(p.numel() for p in module.trial.parameters()),
            "weights_dtype": str(module.own_dtype).removeprefix("torch."),
        }

    def _cards(self, trainer: L.Trainer, module: Any) -> dict[str, str]:
        store, problem = point_store(module), module.problem
        points = {} if store is None else store.counts()
        weights = dict(zip(problem.conditions, module.weights.own.tolist(), strict=True))
        settings = self._settings(trainer, module)
        return {
            "problem": problem_card(problem, points, weights),
            "recipe": recipe_card(self.name or problem.name, self.recipe, settings),
            "system": machine_card(
                module.device, settings["weights_dtype"], settings["processes"], module.objective.compiler is not None
            ),
        }


def _axes(trainer: L.Trainer, module: Any) -> dict[str, int]:
    """Where a run is on axes other than steps."""
    seconds = module.counted_before.seconds + sum(record.seconds for record in phases_of(trainer).records)
    return {"evaluations": module.evaluations, "milliseconds": round(1000 * seconds)}


def _tags(trainer: L.Trainer, module: Any) -> set[str]:
    """The beginnings of the tags that a run logs."""
    data, problem = evaluation_data(module), module.problem
    tags = {"loss/", "training/phase", "training/gradient_norm", "training/evaluations", "training/points_seen"}
    if data is not None and problem.reference() is not None:
        tags |= {"relative_l2/", "max_error/"} | ({"frequency_error/"} if len(problem.coordinates) < 3 else set())
    if isinstance(board_of(trainer), LogScaleTensorBoardLogger):
        tags |= {f"{OVER}{axis}/{tag}" for axis in _axes(trainer, module) for tag in tags & {"loss/", "relative_l2/"}}
    if getattr(data, "held_out", 0):
        tags.add("held_out/")
    if getattr(data, "batch_size", None) is not None:
        tags.add("training/batch_size")
    if problem.coefficients:
        tags.add("coefficient/")
    if any(phase.until is not None for phase in module.phases):
        tags.add("training/criterion")
    return tags.union(*(getattr(callback, "logs", ()) for callback in callbacks_of(trainer, L.Callback)))
