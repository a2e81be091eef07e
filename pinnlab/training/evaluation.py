"""A solution measured against its reference at validation: in norm, at worst, and by frequency."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from pinnlab.analysis.frequencies import ErrorByFrequency, ErrorSpectrum, laplace_modes
from pinnlab.analysis.metrics import MaxError, RelativeL2, mean_ratio_of_norms, sums_of_squares
from pinnlab.domains.functions import function_numbers
from pinnlab.numerics import distributed
from pinnlab.problems.unknowns import known_pair, with_reference


class SolutionErrors(nn.Module):
    """The metrics of all unknowns; they hold nothing that belongs into a checkpoint.

    Args:
        unknowns: their names.
        functions: how many functions the evaluation points have, of an operator, see `Problem.held_out_functions`; the
            relative errors are means over them.

    Attributes:
        spectra: of the last evaluation, by unknown; empty without a reference on a regular grid.
        measured: the unknowns that have a reference somewhere, of the last evaluation points.
    """

    def __init__(self, unknowns: Sequence[str], functions: int | None = None) -> None:
        super().__init__()
        self.unknowns, self.functions = tuple(unknowns), functions
        self.relative_l2 = nn.ModuleDict({name: RelativeL2(functions) for name in unknowns})
        self.max_error = nn.ModuleDict({name: MaxError() for name in unknowns})
        self.frequency_error = nn.ModuleDict()
        self.spectra: dict[str, ErrorByFrequency] = {}
        self.measured: tuple[str, ...] = self.unknowns
        self._points: Tensor | None = None
        self._function: Tensor | None = None  # the number of each point's, of an operator

    def prepare(self, data: Any, coordinates: Sequence[str], device: torch.device) -> None:
        """Finds the modes of the data module's evaluation points; they stay as long as the points do."""
        points, reference = data.evaluation_set() if hasattr(data, "evaluation_set") else (None, None)
        if points is self._points:
            return
        self._points, self.measured = points, self.unknowns
        self._function = None if points is None else function_numbers(data.problem.domain, points)
        self.frequency_error.clear()
        if points is None or reference is None:
            return
        self.measured = tuple(name for name, _ in with_reference(self.unknowns, reference))
        if self.functions is not None:
            return
        for column, name in enumerate(self.unknowns):
            if not bool(reference[:, column].isfinite().all()):
                continue  # it lives, or is known, on a part of the grid only
            modes = laplace_modes(points, coordinates, reference[:, column])
            if modes is not None:
                self.frequency_error[name] = ErrorSpectrum(modes, reference[:, column]).to(device)

    def update(self, prediction: Tensor, batch: Mapping[str, Any]) -> dict[str, Metric]:
        """Adds the batch's points to all metrics.

        Args:
            prediction: `(n, m)` at the batch's points.
            batch: the reference there, `(n, m)`, NaN where an unknown has none, and the numbers of the points, `(n,)`.

        Returns:
            Those metrics that are a single number, by tag.
        """
        scalars = {}
        for name in self.measured:
            column = self.unknowns.index(name)
            reference = batch["reference"][:, column]
            pair = known_pair(prediction[:, column], reference)
            function = None
            if self._function is not None:
                function = self._function.to(reference.device)[batch["rows"]][~reference.isnan()]
            for tag, metrics in (("relative_l2", self.relative_l2), ("max_error", self.max_error)):
                scalars[f"{tag}/{name}"] = metric = cast("Metric", metrics[name])
                metric.update(*pair, *([function] if function is not None and tag == "relative_l2" else []))
            if name in self.frequency_error:
                cast("ErrorSpectrum", self.frequency_error[name]).update(*pair, batch["rows"])
        return scalars

    def by_frequency(self) -> dict[str, Tensor]:
        """The relative error in each band, by tag; keeps the spectra, and starts over. A collective."""
        self.spectra = {}
        for name, metric in self.frequency_error.items():
            self.spectra[name] = cast("ErrorSpectrum", metric).spectrum()
            cast("ErrorSpectrum", metric).reset()
        return {
            f"frequency_error/{name}/{band}": error
            for name, spectrum in self.spectra.items()
            for band, error in spectrum.by_band().items()
        }


def measure_errors(module: Any, data: Any) -> dict[str, float]:
    """The relative L2 error of each unknown of a `PINN` with its present weights; empty without a reference.

    Of an operator the mean over its held-out functions.

    A collective: all ranks call it.
    """
    return {name: float(mean_ratio_of_norms(*sums)) for name, sums in _sums_of_squares(module, data).items()}


def measure_squares(module: Any, data: Any) -> dict[str, list[list[float]]]:
    """The mean squares of the error and of the reference of each unknown; empty without a reference.

    They are means over all evaluation points, those counted as zero at which nothing is known, so that times a volume
    they are integrals, which add up. A collective.

    Returns:
        For each unknown two lists: of the error and of the reference, a number for each held-out function of an
        operator, and one number else.
    """
    points, found = len(data.evaluation_set()[0]), _sums_of_squares(module, data)
    return {name: (sums[:2] * sums.shape[1] / points).tolist() for name, sums in found.items()}


def _sums_of_squares(module: Any, data: Any) -> dict[str, Tensor]:
    """Of the error and of the reference of each unknown, and their numbers of points, over all ranks.

    Each is `(3, functions)` in float64.
    """
    points, reference = data.evaluation_set()
    if reference is None:
        return {}
    with torch.no_grad():
        prediction = module(distributed.shard(points).to(module.loss_weights))
    found, functions = {}, module.problem.held_out_functions or 1
    owner = function_numbers(module.problem.domain, points)
    owner = None if owner is None else distributed.shard(owner).to(module.device)
    for name, column in with_reference(module.problem.unknowns, reference):
        own = distributed.shard(reference)[:, column].to(module.device)
        function = None if owner is None else owner[~own.isnan()]
        sums = sums_of_squares(*known_pair(prediction[:, column], own), function, functions)
        found[name] = distributed.all_sum(torch.stack(sums).reshape(3, -1))
    return found


def outside_inference_mode(step: Callable[..., Any]) -> Callable[..., Any]:
    """Lets a step of a module compute derivatives in `Trainer.test` and `predict`, which run in inference mode."""

    @functools.wraps(step)
    def wrapped(module: Any, batch: dict[str, Any], batch_idx: int) -> Any:
        with torch.inference_mode(False), torch.no_grad():
            return step(module, _normal_tensors(batch), batch_idx)

    return wrapped


def _normal_tensors(batch: Any) -> Any:
    if isinstance(batch, dict):
        return {key: _normal_tensors(value) for key, value in batch.items()}
    return batch.clone() if isinstance(batch, Tensor) and batch.is_inference() else batch
