"""`PINN`, the LightningModule: composes problem, network and phases; the mathematics is elsewhere."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pinnlab.errors import ConfigurationError, unknown
from pinnlab.numerics import distributed
from pinnlab.numerics.compilation import should_compile
from pinnlab.numerics.compiled_loss import CompiledLoss, leave_gradient
from pinnlab.objective.batch_overlap import BatchOverlap
from pinnlab.objective.blocked_loss import BlockedLoss
from pinnlab.objective.gradients import LossGradients
from pinnlab.objective.linearization import Linearization, LinearizedFunctions
from pinnlab.objective.residuals import ResidualSystem, Trial
from pinnlab.optimizers import is_multi_eval, needs_linearization, objective_changed, wants_overlap
from pinnlab.problems.base import Problem
from pinnlab.problems.enhancement import Enhancement
from pinnlab.reporting.loggers import log_scalars
from pinnlab.training.evaluation import SolutionErrors, measure_errors, outside_inference_mode
from pinnlab.training.loss_terms import LossWeights, enhancements, loss_weights
from pinnlab.training.network import build_network, check_periodicity
from pinnlab.training.network_checks import check_setup, warn_of_flat_derivatives
from pinnlab.training.phases import DTYPES, Phase, default_phases, point_store, use_dtype, with_ends
from pinnlab.training.point_store import rows_of_all_ranks
from pinnlab.training.points_seen import PointCount
from pinnlab.training.switching import OptimizerPhases

Batch = dict[str, Any]


class PINN(L.LightningModule):
    """A physics-informed neural network as a LightningModule.

    Training minimises the sum over the problem's conditions of weight times mean squared residual. Everything
    is float64 unless said otherwise: quasi-Newton methods stall early in float32.

    Args:
        problem: what to solve.
        network: a module `(n, d) -> (n, m)`, or a callable that builds one from the numbers of coordinates and
            unknowns, such as `functools.partial(MLP, hidden=(30, 30))`. Default: `MLP` with its defaults.
        phases: the optimizers, one after the other. Default: Adam, then L-BFGS (`default_phases`).
        weights: factors of single conditions in the loss, by name; the others keep the problem's.
        enhance: derivatives of residuals that are in the loss too, as `{"pde": ["x", "t"]}`; see `Enhancement`. The
            other conditions keep the problem's; an empty list leaves them out. Held-out residuals are without.
        enhance_weight: the factor of the squares of those derivatives, relative to the squared residual.
        scale_inputs: whether coordinates are mapped from the domain to [-1, 1] before the network.
        engine: how derivatives are computed, see `pinnlab.derivatives.partials`.
        compile: `True`, `False` or `"auto"`: compile when the run is long enough to repay it.
        dtype: `float64` or `float32`, of parameters and points, in phases that do not choose their own.
        seed: of the network's initial weights.

    Raises:
        ConfigurationError: an option is none of the possible ones, or a weight or enhancement names no condition.
    """

    def __init__(
        self,
        problem: Problem,
        network: Callable[[int, int], nn.Module] | nn.Module | None = None,
        phases: Sequence[Phase] | None = None,
        weights: dict[str, float] | None = None,
        enhance: dict[str, list[str]] | None = None,
        enhance_weight: float = Enhancement.weight,
        scale_inputs: bool = True,
        engine: str = "auto",
        compile: bool | str = "auto",
        dtype: str = "float64",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if dtype not in DTYPES:
            raise unknown("model.dtype", dtype, DTYPES)
        self.problem = problem
        self.phases = with_ends(default_phases() if phases is None else phases)
        if not self.phases:
            raise ConfigurationError("model.phases: is empty; name at least one optimizer")
        self.phase, self.evaluations = 0, 0
        self.trial = Trial(problem, build_network(problem, network, scale_inputs, seed))
        self.weights = LossWeights(loss_weights(problem, weights))
        self.own_dtype = DTYPES[dtype]
        self.to(self.own_dtype)
        check_setup(problem, self.trial)
        check_periodicity(problem, self.trial)
        self.system = ResidualSystem(problem, self.trial, engine, enhancements(problem, enhance, enhance_weight))
        self.errors = SolutionErrors(problem.unknowns)
        self._compile, self.compiles = compile, False
        should_compile(compile, 0, torch.device("cpu"))
        self._weighted_loss: Callable[..., tuple[Tensor, Tensor]] = self.system.weighted_loss
        self._linearized = LinearizedFunctions(self.system, compiled=False)
        self._batch: Batch = {}
        self.loss_version = 0  # of the objective that the last step was made on, see `objective_version`
        self._last: tuple[Tensor, Tensor, Tensor] | None = None  # loss, squared sums, counts; read when asked for
        self._computed: Tensor | None = None  # the loss between `training_step` and `backward`
        self._tensors: dict[str, Tensor] = {}
        self._counts: dict[tuple[int, ...], Tensor] = {}
        self._points = PointCount()

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an attribute; the one that Lightning sets 44 times a step is not looked at for being a parameter.

        `nn.Module` takes 70 microseconds a step for that, a fifth of all that Lightning adds to a step.
        """
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def forward(self, points: Tensor) -> Tensor:
        """The unknowns at `(n, d)` points, `(n, m)`."""
        return self.trial(points)

    @property
    def loss_weights(self) -> Tensor:
        """The factors `(conditions,)` of the conditions in the loss, as they stand; see `LossWeights`."""
        return self.weights.used

    # ------------------------------------------------------------------------------ set-up

    def configure_callbacks(self) -> list[L.Callback]:
        """The callback that moves from phase to phase is always there."""
        return [OptimizerPhases()]

    def configure_optimizers(self) -> Any:
        """The optimizer of the current phase only, with its scheduler."""
        phase = self.phases[self.phase]
        optimizer = phase.optimizer([p for p in self.trial.parameters() if p.requires_grad])
        if phase.scheduler is None:
            return optimizer
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": phase.scheduler(optimizer), "interval": "step"},
        }

    def start_over(self) -> None:
        """A new run begins: nothing is counted yet, and no callback has changed a weight of the loss."""
        self.evaluations, self._points = 0, PointCount()
        self.weights.set_factors(torch.ones_like(self.weights.factors))

    def on_fit_start(self) -> None:
        """Chooses engine and compilation once device and phases are known."""
        self.system.resolve_engine()
        warn_of_flat_derivatives(self.system)
        trained = [p for p in self.trial.parameters() if p.requires_grad]
        planned = sum(phase.planned_evaluations(trained) for phase in self.phases)
        if self.trainer.max_steps >= 0:
            planned = min(planned, 20 * self.trainer.max_steps)
        self.compiles = self.system.engine == "taylor" and should_compile(self._compile, planned, self.device)
        self.build_evaluation()

    def build_evaluation(self) -> None:
        """Builds the loss for the network's present width and dtype, which are part of a compiled graph."""
        self._tensors, self._counts = self.trial.tensors(), {}
        evaluate = CompiledLoss(self.system.squared_sums) if self.compiles else self.system.weighted_loss
        on_cpu = self.device.type == "cpu"
        self._weighted_loss = BlockedLoss(evaluate, self.system.floats_per_point()) if on_cpu else evaluate
        self._linearized = LinearizedFunctions(self.system, compiled=self.compiles)
        self.system.compile_scores(self.compiles)

    # ---------------------------------------------------------------------------- training

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Tells the optimizer when points or weights are not those of the last step."""
        self._batch = batch
        self._points.begin_step(self.evaluations, rows_of_all_ranks(batch, point_store(self)))
        version = self.objective_version()
        if version != self.loss_version:
            self.loss_version = version
            for optimizer in self.trainer.optimizers:
                objective_changed(optimizer)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss: its value is that of all ranks' points, its gradient this rank's part.

        Every rank's line search sees the same numbers, and DDP's average of the gradients is the gradient of
        the global loss, also with uneven shares. Two collectives: the gradient is computed along with the loss,
        which takes the global numbers of points first.
        """
        self.evaluations += 1
        tensors, world = self._tensors or self.trial.tensors(), distributed.world_size()
        counts = distributed.all_sum(self._point_counts(batch))
        factors = self.loss_weights / counts
        if world == 1:
            loss, sums = self._weighted_loss(tensors, batch, factors)
        else:
            local, sums = self._weighted_loss(tensors, batch, world * factors)
            local, sums = local + self._touch_all_parameters(), distributed.all_sum(sums)
            loss = local + (torch.dot(factors, sums) - local).detach()
        self._last, self._computed = (loss.detach(), sums, counts), loss
        return loss

    # Lightning asks for the signature at every step; finding it out again takes 20 microseconds.
    training_step.__signature__ = inspect.signature(training_step)  # type: ignore[attr-defined]

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Leaves the gradient in `.grad`; the autograd engine runs only where it is not known with the loss."""
        computed, self._computed = self._computed, None
        scaled = self.trainer.accumulate_grad_batches != 1 or "mixed" in str(self.trainer.precision)
        if scaled or computed is None or not leave_gradient(computed):
            super().backward(loss, *args, **kwargs)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """Steps; hands over what else the optimizer needs: residual and Jacobian, or the overlap of mini-batches."""
        extra: dict[str, Any] = {}
        if needs_linearization(_unwrapped(optimizer)):
            extra["linearization"] = self.linearization(self._batch)
        if wants_overlap(_unwrapped(optimizer)) and (overlap := self.overlap(self._batch)) is not None:
            extra["overlap"] = overlap
        optimizer.step(closure=optimizer_closure, **extra)
        self.evaluations += sum(given.evaluations for given in extra.values())

    def linearization(self, batch: Batch) -> Linearization:
        """The loss on this rank's rows around the present parameters, as a sum of squares; a collective."""
        counts = distributed.all_sum(self._point_counts(batch))
        return Linearization(self._linearized, self.trial.tensors(), batch, self.loss_weights / counts)

    def overlap(self, batch: Batch) -> BatchOverlap | None:
        """What the present mini-batch shares with its neighbours; None when every batch has all points."""
        store = point_store(self)
        if store is None or (shared := store.shared(batch)) is None:
            return None
        return BatchOverlap(self._weighted_loss, self._tensors, self.loss_weights, shared, store.cursor)

    def loss_gradients(self, weights: Tensor | None = None) -> LossGradients:
        """The gradients of the loss on the present batch, in parts, computed when asked for; or with other weights."""
        tensors = self._tensors or self.trial.tensors()
        chosen = self.loss_weights if weights is None else weights.to(self.loss_weights)
        return LossGradients(self._weighted_loss, tensors, chosen, self._batch)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips only for optimizers that take one gradient per step: a line search needs the true ones."""
        if gradient_clip_val and not is_multi_eval(_unwrapped(optimizer)):
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Logs once per `log_every_n_steps`, after the step; never inside a closure."""
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        until = self.phases[self.phase].until
        if every and self.global_step % every == 0:
            log_scalars(
                self.trainer,
                {
                    **{f"loss/{name}": value for name, value in self.loss_terms().items()},
                    **{f"coefficient/{k}": float(v.detach()) for k, v in self.system.coefficient_values().items()},
                    "training/gradient_norm": self.gradient_norm(),
                    "training/evaluations": float(self.evaluations),
                    "training/points_seen": float(self.points_seen),
                    "training/batch_size": float(self._points.largest),
                    "training/phase": float(self.phase + 1),
                    **({} if until is None or until.value is None else {"training/criterion": until.value}),
                },
            )

    @property
    def points_seen(self) -> int:
        """Points of all conditions and ranks, counted at every evaluation: progress that batches of any size share."""
        return self._points.seen(self.evaluations)

    def current_loss(self) -> float:
        """The global loss at the last evaluation that the optimizer kept; NaN before the first."""
        kept = getattr(self.current_optimizer(), "loss", None)
        if kept is not None:
            return float(kept)
        return float("nan") if self._last is None else float(self._last[0])

    def current_optimizer(self) -> Optimizer:
        """The optimizer of the current phase, without Lightning's wrapper; outside of training, one like it."""
        running = self.trainer.optimizers
        return _unwrapped(running[0]) if running else self.phases[self.phase].sample_optimizer()

    def objective_version(self) -> int:
        """Counts changes of points and weights; the loss before and after one cannot be compared."""
        store = point_store(self)
        return self.weights.version + (0 if store is None else int(store.version + store.reweighed))

    def loss_terms(self) -> dict[str, float]:
        """The last evaluation's loss and the mean square of each condition, weighted and enhanced as in the loss."""
        if self._last is None:
            return {}
        loss, sums, counts = self._last
        return {"total": float(loss), **dict(zip(self.problem.conditions, (sums / counts).tolist(), strict=True))}

    def gradient_norm(self) -> float:
        """The 2-norm of the loss's gradient at the last evaluation."""
        return self.loss_gradients().norm()

    # -------------------------------------------------------------------------- evaluation

    def on_validation_epoch_start(self) -> None:
        """Finds the frequencies that the evaluation points tell apart."""
        self.errors.prepare(getattr(self.trainer, "datamodule", None), self.problem.coordinates, self.device)

    def on_test_epoch_start(self) -> None:
        """The same as in validation."""
        self.on_validation_epoch_start()

    @outside_inference_mode
    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Accumulates the errors against the reference and logs the residual on held-out points."""
        if "reference" in batch:
            for tag, metric in self.errors.update(self.trial(batch["points"]), batch).items():
                self.log(tag, metric, batch_size=1)
        for name, value in self.mean_squares(batch["held_out"]).items():
            self.log(f"held_out/{name}", value, batch_size=1)

    def on_validation_epoch_end(self) -> None:
        """Logs the error by frequency."""
        self.log_dict(self.errors.by_frequency())

    def on_test_epoch_end(self) -> None:
        """The same as in validation."""
        self.on_validation_epoch_end()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The same as in validation."""
        self.validation_step(batch, batch_idx)

    @outside_inference_mode
    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The solution at the batch's points."""
        return {"points": batch["points"], "prediction": self.trial(batch["points"])}

    def measure_errors(self, data: Any) -> dict[str, float]:
        """The relative L2 error of each unknown with the present weights, see `evaluation.measure_errors`."""
        return measure_errors(self, data)

    def mean_squares(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The mean squared residual of each condition over all ranks' rows, this rank's given; a collective."""
        if not rows:
            return {}
        residuals = self.system.residuals(rows)
        sums = torch.stack([r.square().sum() for r in residuals.values()])
        counts = sums.new_tensor([len(r) for r in residuals.values()])
        sums, counts = distributed.all_sum(torch.stack([sums, counts]))
        return dict(zip(residuals, sums / counts, strict=True))

    # ------------------------------------------------------------------------- checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what is neither a parameter nor a callback's: counters, and whose checkpoint it is."""
        checkpoint["pinnlab"] = {
            "problem": self.problem.name,
            "evaluations": self.evaluations,
            "points_seen": self.points_seen,
            "loss_version": self.loss_version,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuses a checkpoint of another problem, and restores the counters."""
        saved = checkpoint.get("pinnlab")
        if saved is None:
            raise ConfigurationError("ckpt_path: this is not a checkpoint of pinnlab")
        if saved["problem"] != self.problem.name:
            raise ConfigurationError(
                f"ckpt_path: the checkpoint is of problem {saved['problem']}, this run's is {self.problem.name}"
            )
        own = {name: tensor.shape for name, tensor in self.state_dict().items()}
        for name, tensor in checkpoint["state_dict"].items():
            if own.get(name) != tensor.shape:
                raise ConfigurationError(
                    f"ckpt_path: the checkpoint's {name} has shape {tuple(tensor.shape)}, this run's network has "
                    f"{tuple(own[name]) if name in own else 'none'}; use the same model.network"
                )
        self.evaluations, self.loss_version = saved["evaluations"], saved["loss_version"]
        self._points = PointCount(self.evaluations, saved.get("points_seen", 0))
        # Training goes on in the dtype of the phase, and takes the weights in it; to look at them the own one will do.
        resumes = self._trainer is not None and self._trainer.training
        parameter = next(name for name, _ in self.named_parameters())
        use_dtype(self, checkpoint["state_dict"][parameter].dtype if resumes else self.own_dtype)

    # ----------------------------------------------------------------------------- details

    def _point_counts(self, batch: Batch) -> Tensor:
        """How many rows each condition has on this rank, kept on the device for each combination seen."""
        lengths = tuple(map(len, batch.values()))
        if lengths not in self._counts:
            self._counts[lengths] = self.loss_weights.new_tensor(lengths)
        return self._counts[lengths]

    def _touch_all_parameters(self) -> Tensor:
        """Zero, but depends on every parameter: DDP waits for a gradient of each, also of an unused bias."""
        return 0.0 * torch.stack([p.reshape(-1)[0] for p in self.trial.parameters()]).sum()


def _unwrapped(optimizer: Any) -> Optimizer:
    return getattr(optimizer, "_optimizer", optimizer)
