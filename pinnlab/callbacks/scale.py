"""The scale of random features, found by a few solves before the first step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from pinnlab.errors import ConfigurationError, check_list
from pinnlab.networks import Rescalable, unscaled
from pinnlab.numerics import distributed
from pinnlab.optimizers import solve_last_layer
from pinnlab.training.switching import phases_of
from pinnlab.training.trainer_parts import data_of, needed_store


class ScaleSearch(L.Callback):
    """Gives a network of `RandomFeatures` the scale with the smallest residual between the training points.

    Before the first step the last layer is solved for once with each scale, for a linear problem; what counts is the
    weighted mean square of the residuals on the data module's held-out points. Then the network has its first weights
    again, with the best scale; where that is the largest or the smallest tried, the line says so. Each scale costs as
    much as a step of `LeastSquares`. All ranks choose alike, and a run that is resumed has the scale of its checkpoint.

    Any network with a last layer and a method `rescale(scale)` will do.

    Args:
        scales: to choose from.

    Raises:
        ConfigurationError: there is none, or one is not positive; at set-up, when the network has no scale.
    """

    def __init__(self, scales: Sequence[float] = (2.0, 4.0, 8.0, 16.0)) -> None:
        if not isinstance(scales, Sequence) or isinstance(scales, str) or not scales:
            raise ConfigurationError(f"ScaleSearch.scales: must list at least one scale, such as [2, 4], not {scales}")
        check_list("ScaleSearch", scales=scales)
        if not all(scale > 0 for scale in scales):
            raise ConfigurationError(f"ScaleSearch.scales: must be positive, not {list(scales)}")
        self.scales = [float(scale) for scale in scales]
        self._done = False

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Refuses a network without a scale, and data without held-out points."""
        if stage != "fit":
            return
        self._done = False
        _rescalable(pl_module)
        if not getattr(data_of(pl_module), "held_out", 0):
            raise ConfigurationError(
                "ScaleSearch: needs held-out points; train with CollocationDataModule(held_out=...)"
            )

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Searches, unless the run is resumed."""
        if self._done:
            return
        self._done, network = True, _rescalable(pl_module)
        parameters = pl_module.trial.trained()
        first = parameters_to_vector(parameters).detach().clone()
        left = {}
        for scale in self.scales:
            network.rescale(scale)
            left[scale] = self._left_over(trainer, pl_module, parameters)
            vector_to_parameters(first, parameters)
        best = min(left, key=lambda scale: left[scale])
        network.rescale(best)
        figures = ", ".join(f"{scale:g}: {value:.1e}" for scale, value in left.items())
        reason = f"held-out mean squares of the residual by scale are {figures}"
        if len(left) > 1 and best in (min(left), max(left)):
            reason += f"; the {'largest' if best == max(left) else 'smallest'} is the best: try others beyond it"
        phases_of(trainer).history.decide(trainer, pl_module, f"scale {best:g}", reason, best)

    def state_dict(self) -> dict[str, Any]:
        """Whether the search is over; the scale itself is the network's."""
        return {"done": self._done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """A run that is resumed has its scale."""
        self._done = state_dict["done"]

    @torch.no_grad()
    def _left_over(self, trainer: L.Trainer, module: Any, parameters: list[torch.nn.Parameter]) -> float:
        """Solves with the present scale; the weighted mean square on held-out points, infinite if it is not finite."""
        rows = needed_store(module, "ScaleSearch").rows
        linearization = module.linearization({name: distributed.shard(own) for name, own in rows.items()})
        columns, solution = solve_last_layer(linearization)
        vector_to_parameters(linearization.point.index_add(0, columns, solution.minimiser), parameters)
        means = module.objective.mean_squares(trainer.datamodule.held_out_rows())  # type: ignore[attr-defined]
        module.evaluations += linearization.evaluations + 1
        weights: dict[str, Tensor] = dict(zip(module.problem.conditions, module.loss_weights, strict=True))
        total = float(sum(weights[name] * mean for name, mean in means.items()))
        return total if math.isfinite(total) else math.inf


def _rescalable(module: Any) -> Rescalable:
    """The module's network, which has a scale.

    Raises:
        ConfigurationError: it has none.
    """
    network = unscaled(module.trial.network)
    if not isinstance(network, Rescalable):
        name = type(network).__name__
        raise ConfigurationError(f"ScaleSearch: {name} has no method rescale(scale); use RandomFeatures")
    return network
