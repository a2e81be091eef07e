"""`PINN`, the LightningModule: composes problem, network and phases; the mathematics is elsewhere."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pinnlab.derivatives import ENGINES
from pinnlab.errors import ConfigurationError, unknown
from pinnlab.networks import ByUnknown
from pinnlab.numerics.compilation import check_option
from pinnlab.numerics.compiled_loss import leave_gradient
from pinnlab.objective.batch_overlap import BatchOverlap
from pinnlab.objective.global_loss import GlobalLoss
from pinnlab.objective.gradients import LossGradients
from pinnlab.objective.linearization import Linearization
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.sparse_rows import blocks_by_colour
from pinnlab.objective.trial_function import Trial
from pinnlab.optimizers import (
    is_multi_eval,
    needs_jacobian,
    needs_linearization,
    objective_changed,
    wants_blocks,
    wants_overlap,
)
from pinnlab.optimizers.requirements import loss_of
from pinnlab.problems.base import Problem
from pinnlab.problems.enhancement import WEIGHT
from pinnlab.training.checkpoints import check_made_with, checked, described
from pinnlab.training.closure import step_whole, unwrapped
from pinnlab.training.compiling import adopt_compiled, compiler_for
from pinnlab.training.condition_checks import warn_of_conditions
from pinnlab.training.description import description
from pinnlab.training.evaluated_module import Batch
from pinnlab.training.evaluation import SolutionErrors
from pinnlab.training.faults import check_parameters, gradient_fault, raise_unless_recovered, step_fault
from pinnlab.training.hparams import describe, leave_out
from pinnlab.training.loss_terms import LossWeights, enhancements, loss_weights
from pinnlab.training.memory import check_batch
from pinnlab.training.network import build_network
from pinnlab.training.network_checks import check_network
from pinnlab.training.phase_precision import DTYPES, use_saved_dtype
from pinnlab.training.phased_module import PhasedModule
from pinnlab.training.phases import Phase, default_phases, with_ends
from pinnlab.training.point_store import rows_of_all_ranks
from pinnlab.training.points_seen import PointCount
from pinnlab.training.quiet import without_advertisements
from pinnlab.training.seeds import chosen_seed
from pinnlab.training.step_log import StepLog
from pinnlab.training.trainer_parts import data_of, evaluation_data, point_store
from pinnlab.training.updates import Updates
from pinnlab.training.wording import module_in_words


class PINN(PhasedModule):
    """A physics-informed neural network as a LightningModule.

    Training minimises the sum over the problem's conditions of weight times mean squared residual. Everything
    is float64 unless said otherwise: quasi-Newton methods stall early in float32.

    Args:
        problem: what to solve.
        network: a module `(n, d) -> (n, m)`, or a callable that builds one from the numbers of coordinates and
            unknowns, such as `functools.partial(MLP, hidden=(30, 30))`; or `ByUnknown` of them, or a dictionary,
            for networks of their own. Default: `MLP` with its defaults.
        phases: the optimizers, one after the other. Default: Adam, then L-BFGS (`default_phases`).
        weights: factors of single conditions in the loss, by name; the others keep the problem's.
        enhance: derivatives of residuals that are in the loss too, as `{"pde": ["x", "t"]}`, or with their factors,
            `{"pde": {"x": 0.01, "xx": 0.0001}}`; see `Enhancement`. The other conditions keep the problem's; an empty
            list leaves them out. Held-out residuals are without.
        enhance_weight: the factor of the squares of those derivatives that have none, relative to the squared residual.
        scale_inputs: whether coordinates are mapped from the domain to [-1, 1] before the network.
        engine: how derivatives are computed, see `pinnlab.derivatives.partials`.
        compile: `True`, `False` or `"auto"`: compile when the run is long enough to repay it, 25 s where no cache has
            the code, and go on uncompiled until it is there; `True` waits for it, so that two runs agree to the last
            bit.
        dtype: `float64` or `float32`, of parameters and points, in phases that do not choose their own.
        seed: of the network's initial weights. Default: that of `lightning.seed_everything`, or else 0.

    Raises:
        ConfigurationError: an option is none of the possible ones, or a weight or enhancement names no condition.
    """

    def __init__(
        self,
        problem: Problem,
        network: Callable[[int, int], nn.Module] | nn.Module | ByUnknown | None = None,
        phases: Sequence[Phase] | None = None,
        weights: dict[str, float] | None = None,
        enhance: dict[str, list[str] | dict[str, float]] | None = None,
        enhance_weight: float = WEIGHT,
        scale_inputs: bool = True,
        engine: str = "auto",
        compile: bool | str = "auto",
        dtype: str = "float64",
        seed: int | None = None,
    ) -> None:
        super().__init__()
        without_advertisements(self)
        if dtype not in DTYPES:
            raise unknown("model.dtype", dtype, DTYPES)
        if engine not in ENGINES:
            raise unknown("model.engine", engine, ENGINES)
        self.problem = problem
        self.phases = with_ends(default_phases() if phases is None else phases)
        self.phase, self.evaluations, seed = 0, 0, chosen_seed(seed)
        self.trial = Trial(problem, build_network(problem, network, scale_inputs, seed), seed)
        self.recipe = description(problem, network, scale_inputs=scale_inputs, engine=engine, dtype=dtype, seed=seed)
        self.weights = LossWeights(loss_weights(problem, weights))
        self.own_dtype = DTYPES[dtype]
        self.to(self.own_dtype)
        check_network(problem, self.trial)
        self.system = ResidualSystem(problem, self.trial, engine, enhancements(problem, enhance, enhance_weight))
        self.errors = SolutionErrors(problem.unknowns, problem.held_out_functions)
        self.objective, self._compile = GlobalLoss(self.system), check_option(compile)
        self._compiled_before: list[str] | bool | None = None  # by the run that this one resumes
        self.batch: Batch = {}
        # Of the objective that the last step was made on, see `objective_version`; the loss that a checkpoint brought.
        self.loss_version, self._loaded_loss = 0, float("nan")
        self._computed: Tensor | None = None  # the loss between `training_step` and `backward`
        self._around: Linearization | None = None  # of an optimizer's step that computes the Jacobian
        self.fault: str | None = None  # what the last step met that is not finite, see `pinnlab.training.faults`
        self._points, self._log, self._updates = PointCount(), StepLog(), Updates()
        describe(self, module_in_words(self, seed))

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an attribute; the one that Lightning sets 44 times a step is not looked at for being a parameter.

        `nn.Module` takes 70 microseconds a step for that, a fifth of all that Lightning adds to a step.
        """
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    # ------------------------------------------------------------------------------ set-up

    def start_over(self) -> None:
        """A new run begins: nothing else is counted yet, and no callback has changed a weight of the loss."""
        self.evaluations, self._compiled_before = self.counted_before.evaluations, None
        self._points = PointCount(self.evaluations, self.counted_before.points_seen)
        self.weights.set_factors(torch.ones_like(self.weights.factors))

    def on_fit_start(self) -> None:
        """Chooses engine and compilation once device and phases are known."""
        self.system.resolve_engine()
        warn_of_conditions(self.system, self.weights.own)
        self.objective.compiler = compiler_for(self, self._compile, self._compiled_before)
        self.objective.build(self.device)
        check_batch(self)

    # ---------------------------------------------------------------------------- training

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Tells the optimizer when points or weights are not those of the last step."""
        self.batch, self.fault = batch, None
        self.check_trained()
        self.follow_problem()
        self.trial.draws.take(self.global_step)
        adopt_compiled(self)
        self._points.begin_step(self.evaluations, rows_of_all_ranks(batch, point_store(self), self.problem.conditions))
        if (version := self.objective_version()) != self.loss_version:
            self.loss_version = version
            for optimizer in self.trainer.optimizers:
                objective_changed(optimizer)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss: its value is that of all ranks' points, its gradient this rank's part; see `GlobalLoss`."""
        self.evaluations += 1
        self._computed = self.objective(batch, self.loss_weights, self._around)
        return self._computed

    # Lightning asks for the signature at every step; finding it out again takes 20 microseconds.
    training_step.__signature__ = inspect.signature(training_step)  # type: ignore[attr-defined]

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Leaves the gradient in `.grad`; the autograd engine runs only where it is not known with the loss."""
        computed, self._computed = self._computed, None
        if self.trainer.accumulate_grad_batches != 1 or computed is None or not leave_gradient(computed):
            super().backward(loss, *args, **kwargs)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Looks at the gradient while the parameters that it belongs to are there.

        Raises:
            NotFiniteError: it is not finite, and no callback goes back to an earlier state.
        """
        self.fault = self.fault or gradient_fault(self, unwrapped(optimizer))
        raise_unless_recovered(self)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """Steps; hands over what else the optimizer needs: residual and Jacobian, or the overlap of mini-batches."""
        extra: dict[str, Any] = {}
        own = unwrapped(optimizer)
        if needs_linearization(own):
            extra["linearization"] = self.linearization(self.batch)
        self._around = extra.get("linearization") if needs_jacobian(own) else None
        if (more := self.phases[self.phase].updates - 1) > 0:
            self._updates.make(self, own, more, _is_plain(self))
        if wants_overlap(own) and (overlap := self.overlap(self.batch)) is not None:
            extra["overlap"] = overlap
        step_whole(optimizer, closure=optimizer_closure, **extra, **_blocks(self, own))
        self._around = None
        self.evaluations += sum(given.evaluations for given in extra.values())
        self.fault = self.fault or step_fault(self, own)

    def linearization(self, batch: Batch) -> Linearization:
        """The loss on this rank's rows around the present parameters, as a sum of squares; a collective."""
        return self.objective.linearization(batch, self.loss_weights)

    def overlap(self, batch: Batch) -> BatchOverlap | None:
        """What the present mini-batch shares with its neighbours; None when every batch has all points."""
        store = point_store(self)
        if store is None or (shared := store.shared(batch)) is None:
            return None
        return self.objective.overlap(shared, self.loss_weights, store.batches.cursor)

    def loss_gradients(self, weights: Tensor | None = None) -> LossGradients:
        """The gradients of the loss on the present batch, in parts, computed when asked for; or with other weights."""
        chosen = self.loss_weights if weights is None else weights.to(self.loss_weights)
        return self.objective.gradients(self.batch, chosen, not needs_jacobian(self.current_optimizer()))

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clips only for optimizers that take one gradient per step: a line search needs the true ones."""
        if gradient_clip_val and not is_multi_eval(unwrapped(optimizer)):
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Logs at the first steps and at every `log_every_n_steps`, after the step; never inside a closure."""
        self.trial.draws.take()
        self._log.after_step(self, self._points)

    def on_train_end(self) -> None:
        """Logs the end."""
        self._log.at_end(self, self._points)

    @property
    def points_seen(self) -> int:
        """Points of all conditions and ranks, counted at every evaluation: progress that batches of any size share."""
        return self._points.seen(self.evaluations)

    def current_loss(self) -> float:
        """The global loss at the last evaluation that the optimizer kept, before a resume, too; NaN before any."""
        kept = loss_of(self.current_optimizer())
        if kept is None:
            kept = self._loaded_loss if self.objective.last is None else self.objective.value()
        return float(kept)

    def current_optimizer(self) -> Optimizer:
        """The optimizer of the current phase, without Lightning's wrapper; outside of training, one like it."""
        running = self.trainer.optimizers
        return unwrapped(running[0]) if running else self.phases[self.phase].sample_optimizer()

    def objective_version(self) -> int:
        """Counts changes of points, weights and the problem; the loss before and after one cannot be compared."""
        store = point_store(self)
        own = self.weights.version + self.system.readings.version
        return own + (0 if store is None else int(store.version + store.reweighed))

    def follow_problem(self) -> None:
        """Goes with what the user has changed of the problem since the last step, such as a viscosity."""
        changed = self.objective.follow(self.device)
        for name in self.problem.conditions:
            if (key := f"conditions.{name}.weight") in changed:
                raise ConfigurationError(f"{key}: is read when the module is built only; use weights.set_factors")
        if (data := evaluation_data(self)) is not None and not set(changed) <= self.system.readings.announced:
            data.forget_reference()

    def loss_terms(self) -> dict[str, float]:
        """The last evaluation's loss, and each condition's mean square, enhanced and with its points' weights."""
        return self.objective.terms(list(self.problem.conditions))

    def gradient_norm(self) -> float:
        """The 2-norm of the loss's gradient at the last evaluation."""
        return self.loss_gradients().norm()

    # ------------------------------------------------------------------------- checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what is neither a parameter nor a callback's: counters, and whose checkpoint it is.

        Raises:
            NotFiniteError: a parameter is not finite; the checkpoints that there are stay.
        """
        check_parameters(self)
        checkpoint["pinnlab"] = described(self)
        leave_out(checkpoint, self)
        leave_out(checkpoint, data_of(self))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuses a checkpoint of another problem or network, and restores the counters."""
        saved = checked(checkpoint, self)
        for line in check_made_with(checkpoint, self):
            self.print(f"goes on with {line}")
        self.evaluations, self.loss_version = saved["evaluations"], saved["loss_version"]
        self.system.readings.version, self._loaded_loss = saved.get("readings", 0), saved.get("loss", float("nan"))
        self._points = PointCount(self.evaluations, saved.get("points_seen", 0))
        self._compiled_before = saved.get("compiled")
        use_saved_dtype(self, checkpoint["state_dict"])


def _blocks(module: PINN, optimizer: Optimizer) -> dict[str, Any]:
    """What an optimizer is handed that works on the parts of a network."""
    return {"blocks": blocks_by_colour(module.system, module.loss_weights)} if wants_blocks(optimizer) else {}


def _is_plain(module: PINN) -> bool:
    """Whether no subclass has another loss or another clipping."""
    names = ("training_step", "backward", "configure_gradient_clipping")
    return all(getattr(type(module), name) is getattr(PINN, name) for name in names)
