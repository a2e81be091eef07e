"""Says when the training loss no longer says anything: when there are too few points."""

from __future__ import annotations

import warnings
from typing import Any

import lightning as L
import torch

from pinnlab.callbacks.redraw import drawable, mean_square
from pinnlab.errors import ConfigurationError
from pinnlab.loggers import log_scalars
from pinnlab.phases import point_store


def resolution_ratio(training: float, held_out: float, dtype: torch.dtype) -> float:
    """How many times the held-out mean-square residual exceeds the one on the training points.

    A training residual below 1,000 rounding units counts as that large: what is smaller is round-off, of residuals of
    order one, and so is its ratio to another round-off.

    Args:
        training: the mean square on the training points.
        held_out: the mean square on points that are never trained.
        dtype: that of the residuals.
    """
    return held_out / max(training, (1e3 * torch.finfo(dtype).eps) ** 2)


class ResolutionWarning(L.Callback):
    """Warns when the residual is much larger between the training points than at them, once for each condition.

    The network then fits the points and not the equation, and the training loss says nothing of the error. Checked at
    every validation, on the data module's held-out points; costs one evaluation of the residual without its gradient.
    Loggers get the ratio of each condition as `training/held_out_ratio/<condition>`.

    Args:
        factor: what the held-out mean square may be times that of the training points. 100, ten times in size: up to
            there, an uneven residual and a small held-out set explain it as well.
        patience: validations in a row in which it has to be larger: points that were drawn a moment ago are not yet
            fitted evenly.

    Attributes:
        warnings: what was said; goes into `summary.json`.

    Raises:
        ConfigurationError: `factor` does not exceed 1, or `patience` is below 1.
    """

    logs = ("training/held_out_ratio/",)

    def __init__(self, factor: float = 100.0, patience: int = 2) -> None:
        if not factor > 1:
            raise ConfigurationError(f"ResolutionWarning.factor: must exceed 1, got {factor}")
        if patience < 1:
            raise ConfigurationError(f"ResolutionWarning.patience: must be at least 1, got {patience}")
        self.factor, self.patience = factor, patience
        self._start_over()

    def _start_over(self) -> None:
        self.warnings: list[str] = []
        self._in_a_row: dict[str, int] = {}
        self._told: list[str] = []

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Starts with nothing said."""
        if stage == "fit":
            self._start_over()

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Compares, and warns of the conditions that have been under-resolved for long enough."""
        store = point_store(pl_module)
        if trainer.sanity_checking or trainer.state.fn != "fit" or store is None:
            return
        held_out = {name: trainer.callback_metrics.get(f"held_out/{name}") for name in drawable(pl_module.problem)}
        ratios = {}
        for name, value in held_out.items():
            if value is not None:
                training = mean_square(pl_module.system, name, store.rows[name])
                ratios[name] = resolution_ratio(training, float(value), pl_module.dtype)
        log_scalars(trainer, {f"training/held_out_ratio/{name}": ratio for name, ratio in ratios.items()})
        for name, ratio in ratios.items():
            self._in_a_row[name] = self._in_a_row.get(name, 0) + 1 if ratio > self.factor else 0
            if self._in_a_row[name] >= self.patience and name not in self._told:
                self._warn(trainer, name, ratio, len(store.rows[name]))

    def state_dict(self) -> dict[str, Any]:
        """What was seen and said."""
        return {"in_a_row": dict(self._in_a_row), "told": list(self._told), "warnings": list(self.warnings)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues, and does not say it again."""
        self._in_a_row, self._told = dict(state_dict["in_a_row"]), list(state_dict["told"])
        self.warnings = list(state_dict["warnings"])

    def _warn(self, trainer: L.Trainer, name: str, ratio: float, count: int) -> None:
        line = (
            f"condition {name!r} is under-resolved at step {trainer.global_step}: its held-out mean-square residual is "
            f"{ratio:.2g} times that of its {count} training points, whose loss says nothing then; "
            f"raise data.points.{name}, or add the callback ResidualResampling or FreshPoints"
        )
        self._told.append(name)
        self.warnings.append(line)
        if trainer.is_global_zero:
            warnings.warn(line, stacklevel=2)
