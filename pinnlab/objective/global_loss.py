"""The loss of a training step, on the rows of all ranks, and what is asked of it beside its value."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pinnlab.numerics import distributed
from pinnlab.numerics.compilation import TensorFunction
from pinnlab.numerics.compiled_loss import CompiledLoss, gradients_by, with_factors, with_gradient
from pinnlab.numerics.compiler import Adopted, Compiler
from pinnlab.numerics.graph_replay import Recordings, evaluator, recordings_for, share_of
from pinnlab.objective.batch_overlap import BatchOverlap
from pinnlab.objective.blocked_loss import blocked
from pinnlab.objective.gradients import LossGradients
from pinnlab.objective.linearization import Linearization, LinearizedFunctions
from pinnlab.objective.mean_squares import mean_squares
from pinnlab.objective.residuals import Batch, ResidualSystem
from pinnlab.objective.trial_function import device_of

MOST_BUILDS = 4
"""How often changes of a problem have its functions compiled anew; more would cost more than compiling saves."""


class Evaluated(NamedTuple):
    """What an evaluation came to; tensors, which are read when somebody asks.

    Attributes:
        loss: the global loss.
        sums: `(conditions,)` sums of squared residuals over all ranks' rows, weighted and enhanced as in the loss; of
            energies those of densities.
        counts: `(conditions,)` numbers of these rows.
    """

    loss: Tensor
    sums: Tensor
    counts: Tensor


class Repeatable(NamedTuple):
    """The loss for computations that evaluate it several times and are recorded whole.

    Attributes:
        tensors: all that it depends on besides the points, by name: parameters, and the factors of the conditions.
        inputs: the points.
        gradients: those of the parameters by name, a pure function of `(tensors, inputs)`; the same one as long as
            nothing was built anew.
        recordings: of the run.
    """

    tensors: dict[str, Tensor]
    inputs: Batch
    gradients: TensorFunction
    recordings: Recordings


class _Valued(torch.autograd.Function):
    """Gives what a rank differentiates the value that all ranks have, in the same bits.

    `local + (value - local).detach()` has it but for rounding, which is another one on each rank: line searches that
    compare the last bits would branch differently, and ranks wait for each other forever.
    """

    @staticmethod
    def forward(ctx: Any, local: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, factor: Tensor) -> tuple[Tensor, None]:
        return factor, None


class GlobalLoss:
    """The sum over conditions of weight times mean squared residual, on the rows of all ranks; of energies the mean.

    Args:
        system: the residuals.

    Attributes:
        last: the last evaluation; None before the first.
        compiler: of the run, from the next `build` on; None: nothing is compiled.
        budget: bytes of a GPU's memory for the blocks of evaluations, from the next `build` on; None is a third of
            what is free, and 1 GiB at most. Where evaluations are replayed a block takes half of it, see `SHARE`.
        replay: whether a GPU replays evaluations from recordings, from the next `build` on; without, a `print` in a
            residual prints at every evaluation.
    """

    def __init__(self, system: ResidualSystem) -> None:
        self._system = system
        self.compiler: Compiler | None = None
        self.budget: int | None = None
        self.replay, self._rebuilt = True, 0
        self._device = self._place = torch.device("cpu")
        self._recordings: Recordings | None = None
        self._recorded: tuple[TensorFunction, Recordings] | None = None  # the gradient, where evaluations are replayed
        self.last: Evaluated | None = None
        self._known: tuple[Evaluated | None, float] = (None, math.nan)
        self.evaluate: Callable[..., tuple[Tensor, Tensor]] = system.weighted_loss
        self._functions = LinearizedFunctions(system)
        self._tensors: dict[str, Tensor] = {}
        self._counts: dict[tuple[int, ...], Tensor] = {}

    def __getstate__(self) -> dict[str, Any]:
        """As before the first `build`: a copy, and one that is pickled, builds its own functions when it is trained."""
        kept = {key: getattr(self, key) for key in ("budget", "replay", "last", "_known")}
        return {**vars(GlobalLoss(self._system)), **kept}

    @property
    def compiled(self) -> list[str] | bool:
        """What has been compiled, as fingerprints that a resumed run repeats; False where nothing ever is."""
        if self.compiler is None or not (self.compiler.used or self.compiler.makes):
            return False
        return sorted(self.compiler.used)

    def compilation(self) -> dict[str, Any]:
        """What was compiled, for people, and how many seconds of that evaluations have waited for."""
        return {"functions": [] if self.compiler is None else list(self.compiler.titles), "seconds": self.waited}

    @property
    def waited(self) -> float:
        """Seconds that evaluations have waited for compilation so far."""
        return 0.0 if self.compiler is None else self.compiler.seconds

    def adopt(self) -> list[Adopted]:
        """Has what was compiled beside the run used from now on, see `Compiler.adopt`."""
        adopted = [] if self.compiler is None else self.compiler.adopt()
        if adopted and self._recordings is not None:
            self._recordings.begin_anew()  # functions were recorded uncompiled, or could not be
        return adopted

    def build(self, device: torch.device) -> None:
        """Builds what evaluates, for the network's present width and dtype, which are part of a compiled graph.

        Args:
            device: where the parameters are; large batches are evaluated in blocks, see `blocked`, and on a GPU
                evaluations are replayed, see `Replayed`.
        """
        self._system.readings.settle()
        self._build(device, self.compiler)

    def close(self) -> None:
        """Ends what is still being compiled, and throws away what was recorded: it holds a GPU's memory."""
        if self.compiler is not None:
            self.compiler.close()
        if self._recordings is not None:
            self._recordings.forget()

    def _build(self, device: torch.device, compiler: Compiler | None) -> None:
        self.close()  # nobody will use what there is
        self._tensors, self._counts = self._system.trial.tensors(), {}
        self._device, self._place, system = device, device_of(self._system.trial), self._system
        recordings = self._recordings_on(device)
        evaluate: Callable[..., tuple[Tensor, Tensor]] = system.weighted_loss
        # Elsewhere than on a CPU blocks can only be added up where gradients are known at once; uncompiled on a CPU
        # only batches that are cut know theirs, as a graph is quicker for one piece.
        piecewise = CompiledLoss(system.squared_sums, lambda function: function)
        if compiler is not None or device.type != "cpu":
            make = functools.partial(evaluator, compiler=compiler, title="loss and gradient", recordings=recordings)
            evaluate = piecewise = CompiledLoss(system.squared_sums, make)
        each, layers, share = system.floats_per_row(), system.layers(), share_of(recordings)
        whole = blocked(evaluate, each, layers, device, self.budget, piecewise, share)
        self.evaluate = system.products.before(whole)
        self._recorded = None if recordings is None else (gradients_by(whole), recordings)
        self._functions = LinearizedFunctions(system, compiler, self.budget, recordings)
        system.compile_scores(compiler, recordings)

    def _recordings_on(self, device: torch.device) -> Recordings | None:
        """Where evaluations on a device are recorded, if they are: the same for all functions; nothing is there yet."""
        if self._recordings is None or self._recordings.device != device:
            self._recordings = recordings_for(device)
        return self._recordings if self.replay else None

    def _settled(self, batch: Batch) -> Batch:
        """The rows where the model is; if it has moved, what evaluates is built anew for there.

        After a run Lightning has the model on the CPU. What is asked then is a look, not worth a compilation.
        """
        place = next(iter(self._tensors.values())).device if self._tensors else device_of(self._system.trial)
        if place != self._place:
            self._build(place, None)
        return {name: rows.to(place) for name, rows in batch.items()}

    def follow(self, device: torch.device) -> list[str]:
        """Looks whether what the problem's functions read has changed since the last look, and goes with it.

        A number becomes an argument of the compiled functions, which are compiled once more for it. What cannot be one
        has them compiled each time that it changes, and no more after `MOST_BUILDS` times. What a GPU has recorded of
        functions that are not compiled, for whatever reason, has the number in it, and is thrown away.

        Args:
            device: as in `build`.

        Returns:
            The names of what changed.
        """
        changed = self._system.readings.look()
        constant = changed and not self._system.readings.make_arguments(changed)
        if constant and self.compiler is not None:
            self._rebuilt += 1
            if self._rebuilt > MOST_BUILDS:
                names = ", ".join(changed)
                warnings.warn(f"the run goes on uncompiled: the problem's {names} changes too often", stacklevel=2)
                self.compiler.close()
                self.compiler = None
            self.build(device)
        elif changed:
            self._tensors = self._system.trial.tensors()  # a table of another shape is another tensor
            if self._recordings is not None and (self.compiler is None or not self.compiler.complete):
                self._recordings.forget()
        return changed

    def __call__(self, batch: Batch, weights: Tensor, linearization: Linearization | None = None) -> Tensor:
        """The loss: its value is that of all ranks' rows, its gradient this rank's part.

        Every rank's line search sees the same numbers, and DDP's average of the gradients is the gradient of
        the global loss, also with uneven shares. Two collectives: the gradient is computed along with the loss,
        which takes the global numbers of points first.

        Args:
            batch: this rank's rows of each condition.
            weights: `(conditions,)` factors of the conditions.
            linearization: the same loss around the present parameters, of which the optimizer will need the Jacobian:
                the gradient comes out of it then, and no function is compiled and evaluated for it.
        """
        batch = self._settled(batch)
        tensors, world = self._parameters(), distributed.world_size()
        counts = distributed.all_sum(self._row_counts(batch, weights))
        factors = weights / counts
        if linearization is not None and (known := linearization.evaluated()) is not None:
            value, sums, gradient = known
            parts = self._system.unflatten(gradient)
            loss = with_gradient(value, [*parts.values()], [tensors[name] for name in parts])
        elif world == 1:
            loss, sums = self.evaluate(tensors, batch, factors)
        else:
            local, sums = self.evaluate(tensors, batch, world * factors)
            local, sums = local + _touched(self._system.trial.parameters()), distributed.all_sum(sums)
            loss = _Valued.apply(local, torch.dot(factors, sums))
        self.last = Evaluated(loss.detach(), sums, counts)
        return loss

    def linearization(self, batch: Batch, weights: Tensor) -> Linearization:
        """The loss on this rank's rows around the present parameters, as a sum of squares; a collective.

        Args:
            batch: this rank's rows of each condition, on any device.
            weights: `(conditions,)` factors of the conditions, where the parameters are.
        """
        batch = self._settled(batch)
        counts = distributed.all_sum(self._row_counts(batch, weights))
        return Linearization(self._functions, self._system.trial.tensors(), batch, weights / counts)

    def repeatable(self, batch: Batch, weights: Tensor) -> Repeatable | None:
        """The loss for a computation that is recorded whole; None where nothing is, or where it takes several ranks.

        Args:
            batch: the rows of each condition.
            weights: `(conditions,)` factors of the conditions.
        """
        batch = self._settled(batch)
        if self._recorded is None or distributed.world_size() > 1:
            return None
        tensors = with_factors(self._parameters(), weights / self._row_counts(batch, weights))
        return Repeatable(tensors, self._system.products.shaped(batch), *self._recorded)

    def gradients(self, batch: Batch, weights: Tensor, compiled: bool = True) -> LossGradients:
        """The gradients of the loss in parts, computed when asked for.

        Args:
            batch: this rank's rows of each condition.
            weights: `(conditions,)` factors of the conditions.
            compiled: whether to compile them, if the run compiles; not worth it where training itself does without
                loss and gradient. On a GPU they are evaluated as ever, in blocks.
        """
        batch = self._settled(batch)
        evaluate, system = self.evaluate, self._system
        if not compiled and self._device.type == "cpu":
            each, layers = system.floats_per_row(), system.layers()
            whole = blocked(system.weighted_loss, each, layers, self._device, self.budget)
            evaluate = system.products.before(whole)
        return LossGradients(evaluate, self._parameters(), weights, batch)

    def overlap(self, shared: tuple[Batch, Batch], weights: Tensor, number: int) -> BatchOverlap:
        """What a mini-batch of this number shares with its neighbours, see `BatchOverlap`."""
        return BatchOverlap(self.evaluate, self._tensors, weights, shared, number)

    def value(self) -> float:
        """The last loss as a number; NaN before the first evaluation. Fetched from the device once."""
        if self.last is None:
            return math.nan
        if self._known[0] is not self.last:
            self._known = self.last, float(self.last.loss)
        return self._known[1]

    def value_with(self, other: Tensor) -> tuple[float, float]:
        """The last loss and another number, fetched together: on a GPU each transfer waits for all that is queued."""
        if self.last is None or self._known[0] is self.last:
            return self.value(), float(other)
        loss, number = torch.stack([self.last.loss, other.to(self.last.loss)]).tolist()
        self._known = self.last, loss
        return loss, number

    def terms(self, names: Sequence[str]) -> dict[str, float]:
        """The last loss as `total`, and the mean square of each condition; empty before the first evaluation."""
        if self.last is None:
            return {}
        means = (self.last.sums / self.last.counts).tolist()
        return {"total": self.value(), **dict(zip(names, means, strict=True))}

    def mean_squares(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The mean squared residual of each condition over all ranks' rows, this rank's given; a collective."""
        return mean_squares(self._system, rows, self.budget)

    def _parameters(self) -> dict[str, Tensor]:
        return self._tensors or self._system.trial.tensors()

    def _row_counts(self, batch: Batch, weights: Tensor) -> Tensor:
        """How many rows each condition has on this rank, kept on the device for each combination seen."""
        lengths = tuple(map(len, batch.values()))
        if lengths not in self._counts:
            self._counts[lengths] = weights.new_tensor(lengths)
        return self._counts[lengths]


def _touched(parameters: Iterable[Tensor]) -> Tensor:
    """Zero, but depends on every parameter: DDP waits for a gradient of each, also of an unused bias."""
    return 0.0 * torch.stack([p.reshape(-1)[0] for p in parameters]).sum()
