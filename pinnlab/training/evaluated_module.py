"""What Lightning calls to look at a solution: validation, test and prediction."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError
from pinnlab.objective.global_loss import GlobalLoss
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.problems.base import Problem
from pinnlab.solution import Solution
from pinnlab.training.checkpoint_io import use_atomic_writes
from pinnlab.training.description import KeepsArguments
from pinnlab.training.evaluation import SolutionErrors, measure_errors, outside_inference_mode
from pinnlab.training.loss_terms import LossWeights
from pinnlab.training.made_with import check_measured
from pinnlab.training.trainer_parts import data_of

Batch = dict[str, Any]


class EvaluatedModule(KeepsArguments, L.LightningModule):
    """A trial function that is measured against its problem's reference; a subclass trains it and sets the attributes.

    Attributes:
        problem: what is solved.
        trial: the solution as it stands.
        system: the residuals of its conditions.
        weights: of the conditions in the loss.
        objective: its residuals.
        errors: against the reference, at the last validation.
    """

    problem: Problem
    trial: Trial
    system: ResidualSystem
    weights: LossWeights
    objective: GlobalLoss
    errors: SolutionErrors

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *given: Any, **options: Any) -> Any:
        """As Lightning's, with the arguments that the module was built with: a checkpoint holds no problem.

        Args:
            checkpoint_path: of the run.
            *given: further arguments of Lightning's.
            **options: problem, network and what else is not as by default.

        Raises:
            ConfigurationError: the module needs a problem, and there is none among them.
        """
        problem = inspect.signature(cls).parameters.get("problem")
        if problem is not None and problem.default is problem.empty and "problem" not in options:
            raise ConfigurationError(
                "load_from_checkpoint: a checkpoint holds no problem; give it problem= and network= as the module was "
                f"built with, or use pinnlab.load({str(checkpoint_path)!r})"
            )
        return super().load_from_checkpoint(checkpoint_path, *given, **options)

    def setup(self, stage: str) -> None:
        """Has the trainer write checkpoints whole or not at all."""
        use_atomic_writes(self.trainer)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Loads parameters; outside of a run the weights of the loss stay those that this module was built with.

        Raises:
            ConfigurationError: they are not those of this module.
        """
        if self._trainer is None:
            own = {name: value for name, value in self.state_dict().items() if name.startswith("weights.")}
            state_dict = {**state_dict, **own}
        try:
            return super().load_state_dict(state_dict, strict, assign)
        except RuntimeError as error:
            told = " ".join(str(error).split()).partition(": ")[2].rstrip(".")
            raise ConfigurationError(f"state_dict: is not of this module ({told}); take another checkpoint") from error

    @property
    def loss_weights(self) -> Tensor:
        """The factors `(conditions,)` of the conditions in the loss, as they stand; see `LossWeights`."""
        return self.weights.used

    def forward(self, points: Tensor) -> Tensor:
        """The unknowns at `(n, d)` points, `(n, m)`."""
        return self.trial(points)

    def solution(self) -> Solution:
        """The solution as it stands, as a thing of its own: to evaluate, derive, draw, write and export."""
        return Solution(self)

    def on_validation_epoch_start(self) -> None:
        """Looks at the problem as it stands, and finds the frequencies that the evaluation points tell apart.

        Raises:
            ConfigurationError: the evaluation points are of another problem.
        """
        check_measured(self, data_of(self))
        self.follow_problem()
        self.errors.prepare(data_of(self), self.problem.coordinates, self.device)

    def follow_problem(self) -> None:
        """Goes with what was changed of the problem."""

    @outside_inference_mode
    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Accumulates the errors against the reference and logs the residual on held-out points.

        Raises:
            ConfigurationError: the batch is from a loader of other data.
        """
        if not isinstance(batch, Mapping) or "held_out" not in batch:
            raise ConfigurationError(
                f"data: a batch must hold evaluation and held-out points, got {_in_words(batch)}; write "
                "trainer.validate(module, CollocationDataModule(problem)), which has them, and so for test"
            )
        if "reference" in batch:
            for tag, metric in self.errors.update(self.trial(batch["points"]), batch).items():
                self.log(tag, metric, batch_size=1)
        for name, value in self.mean_squares(batch["held_out"]).items():
            self.log(f"held_out/{name}", value, batch_size=1)

    def on_validation_epoch_end(self) -> None:
        """Logs the error by frequency."""
        self.log_dict(self.errors.by_frequency())

    on_test_epoch_start = on_validation_epoch_start  # a test is a validation by itself
    test_step = validation_step
    on_test_epoch_end = on_validation_epoch_end

    def measured(self, batch: Batch) -> dict[str, float]:
        """What a validation would log of a batch, measured beside it with the present weights; a collective.

        Args:
            batch: of the data module's `val_dataloader`; by itself it is all of the evaluation set.
        """
        self.errors.prepare(data_of(self), self.problem.coordinates, self.device)
        found: dict[str, float] = {}
        with torch.no_grad():
            if "reference" in batch:
                for tag, metric in self.errors.update(self.trial(batch["points"]), batch).items():
                    found[tag] = float(metric.compute())
                    metric.reset()
            values = {f"held_out/{name}": value for name, value in self.mean_squares(batch["held_out"]).items()}
            values |= self.errors.by_frequency()
        return found | {tag: float(value) for tag, value in values.items()}

    @outside_inference_mode
    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """The solution at the batch's points.

        Args:
            batch: points `(n, d)`, by the name `points`, or alone, as the loader of a tensor or a `TensorDataset` has
                them.
            batch_idx: of the loader.

        Raises:
            ConfigurationError: it holds none, or others.
        """
        points = self._points_in(batch)
        return {"points": points, "prediction": self.trial(points)}

    def _points_in(self, batch: Any) -> Tensor:
        found = batch.get("points") if isinstance(batch, Mapping) else batch
        found = found[0] if isinstance(found, (list, tuple)) and len(found) == 1 else found
        d = len(self.problem.coordinates)
        if isinstance(found, Tensor) and found.shape[1:] == (d,):
            return found.to(self.dtype)
        raise ConfigurationError(
            f"data: a batch must hold points (n, {d}), a column for each coordinate, got {_in_words(batch)}; give "
            "trainer.predict a DataLoader of such a tensor, or a CollocationDataModule"
        )

    def measure_errors(self, data: Any) -> dict[str, float]:
        """The relative L2 error of each unknown with the present weights, see `evaluation.measure_errors`.

        Of data without evaluation points it is empty, too.

        Raises:
            ConfigurationError: the data module is of another problem.
        """
        check_measured(self, data)
        return measure_errors(self, data) if hasattr(data, "evaluation_set") else {}

    def mean_squares(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The mean squared residual of each condition over all ranks' rows, this rank's given; a collective."""
        return self.objective.mean_squares(rows)


def _in_words(batch: Any) -> str:
    if isinstance(batch, Mapping):
        return ", ".join(map(str, batch))
    if isinstance(batch, (list, tuple)):
        return f"{len(batch)} of {', '.join(map(_in_words, batch))}"
    return f"shape {tuple(batch.shape)}" if isinstance(batch, Tensor) else type(batch).__name__
